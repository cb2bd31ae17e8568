//! What every page must be: readable on any screen, for everybody.

use crate::webdriver::{Browser, Look};

const CHECK: &str = include_str!("check.js");

pub const LOOKS: [Look; 4] = [
    Look {
        width: 1280,
        is_dark: false,
    },
    Look {
        width: 1280,
        is_dark: true,
    },
    Look {
        width: 390,
        is_dark: false,
    },
    Look {
        width: 390,
        is_dark: true,
    },
];

/// Looks at the open page in every way, and keeps pictures of it.
pub async fn page(browser: &Browser, name: &str) {
    for look in LOOKS {
        browser.look(look).await;
        // Colours of the look before may still be fading.
        browser.until_still().await;
        let problems = browser.run(CHECK).await;
        let look = look.name();
        browser.keep_picture(&format!("{name}-{look}")).await;
        assert_eq!(problems, serde_json::json!([]), "{name} {look}");
    }
    browser.look(LOOKS[0]).await;
}
