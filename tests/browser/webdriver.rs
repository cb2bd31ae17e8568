//! A browser, driven over WebDriver.

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use erawan::devnet::ports;
use reqwest::Client;
use serde_json::{Value, json};

use crate::node::until;

/// Under which an element's id stands in answers.
const ELEMENT: &str = "element-6066-11e4-a52e-4f735466cecf";

/// What a page is looked at with.
#[derive(Debug, Clone, Copy)]
pub struct Look {
    pub width: u32,
    pub is_dark: bool,
}

impl Look {
    pub fn name(self) -> String {
        let light = if self.is_dark { "dark" } else { "light" };
        format!("{}-{light}", self.width)
    }
}

pub struct Browser {
    client: Client,
    driver: Child,
    /// URL of the session.
    session: String,
}

impl Drop for Browser {
    fn drop(&mut self) {
        // It takes the browser with it. It may have ended already.
        let _ = self.driver.kill();
        let _ = self.driver.wait();
    }
}

impl Browser {
    pub async fn start() -> Self {
        let port = ports::free().unwrap();
        let driver = Command::new("chromedriver")
            .arg(format!("--port={port}"))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("chromedriver is installed (./test browser does it)");
        let client = Client::builder()
            .no_proxy()
            .timeout(Duration::from_secs(60));
        let mut browser = Self {
            client: client.build().unwrap(),
            driver,
            session: format!("http://127.0.0.1:{port}"),
        };
        let status = format!("http://127.0.0.1:{port}/status");
        let client = browser.client.clone();
        until("the driver answers", async || {
            client.get(&status).send().await.is_ok()
        })
        .await;
        let arguments = [
            "--headless=new",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-dev-shm-usage",
            "--hide-scrollbars",
            "--force-color-profile=srgb",
        ];
        let wanted = json!({ "capabilities": { "alwaysMatch": {
            "browserName": "chrome",
            "goog:chromeOptions": { "args": arguments },
            "goog:loggingPrefs": { "browser": "ALL" },
        } } });
        let made = browser.post("session", wanted).await;
        let id = made["sessionId"].as_str().expect("a session").to_owned();
        browser.session = format!("http://127.0.0.1:{port}/session/{id}");
        browser
    }

    async fn post(&self, path: &str, body: Value) -> Value {
        let url = format!("{}/{path}", self.session);
        let answer = self.client.post(url).json(&body).send().await.unwrap();
        let status = answer.status();
        let mut answer: Value = answer.json().await.unwrap();
        assert!(status.is_success(), "{path} {body}: {answer}");
        answer["value"].take()
    }

    async fn devtools(&self, command: &str, parameters: Value) -> Value {
        let body = json!({ "cmd": command, "params": parameters });
        self.post("goog/cdp/execute", body).await
    }

    pub async fn open(&self, url: &str) {
        self.post("url", json!({ "url": url })).await;
    }

    /// Runs a script in the page.
    pub async fn run(&self, script: &str) -> Value {
        let body = json!({ "script": script, "args": [] });
        self.post("execute/sync", body).await
    }

    /// Waits until nothing on the page moves.
    pub async fn until_still(&self) {
        let script = "const done = arguments[0]; Promise.allSettled(document.getAnimations()\
                      .map((moving) => moving.finished)).then(() => done(true));";
        let body = json!({ "script": script, "args": [] });
        self.post("execute/async", body).await;
    }

    pub async fn look(&self, look: Look) {
        let is_phone = look.width < 600;
        let metrics = json!({
            "width": look.width,
            "height": if is_phone { 844 } else { 900 },
            "deviceScaleFactor": 1,
            "mobile": is_phone,
        });
        self.devtools("Emulation.setDeviceMetricsOverride", metrics)
            .await;
        let scheme = if look.is_dark { "dark" } else { "light" };
        let feature = json!({ "name": "prefers-color-scheme", "value": scheme });
        self.devtools(
            "Emulation.setEmulatedMedia",
            json!({ "features": [feature] }),
        )
        .await;
    }

    /// The first element of a selector.
    async fn find(&self, css: &str) -> String {
        let body = json!({ "using": "css selector", "value": css });
        let found = self.post("element", body).await;
        found[ELEMENT].as_str().expect("an element").to_owned()
    }

    pub async fn click(&self, css: &str) {
        let element = self.find(css).await;
        self.post(&format!("element/{element}/click"), json!({}))
            .await;
    }

    pub async fn type_into(&self, css: &str, text: &str) {
        let element = self.find(css).await;
        let body = json!({ "text": text });
        self.post(&format!("element/{element}/value"), body).await;
    }

    /// Presses a key where the focus is.
    pub async fn press(&self, key: char) {
        let down = json!({ "type": "keyDown", "value": key });
        let up = json!({ "type": "keyUp", "value": key });
        let keys = json!({ "type": "key", "id": "keyboard", "actions": [down, up] });
        self.post("actions", json!({ "actions": [keys] })).await;
    }

    /// The text of the first element of a selector, as people see it.
    pub async fn text(&self, css: &str) -> String {
        let script = format!(
            "return document.querySelector({})?.innerText ?? ''",
            json!(css)
        );
        self.run(&script)
            .await
            .as_str()
            .unwrap_or_default()
            .to_owned()
    }

    pub async fn wait_for_text(&self, css: &str, part: &str) {
        let what = format!("{css} has {part:?}");
        until(&what, async || self.text(css).await.contains(part)).await;
    }

    /// What the browser complained about, other than the statuses of answers:
    /// broken rules of the page's policy, defects of its script.
    pub async fn complaints(&self) -> Vec<String> {
        let log = self.post("se/log", json!({ "type": "browser" })).await;
        let lines = log.as_array().cloned().unwrap_or_default();
        let severe = lines.into_iter().filter(|line| line["level"] == "SEVERE");
        let messages = severe.map(|line| line["message"].as_str().unwrap_or_default().to_owned());
        messages
            .filter(|message| !message.contains("the server responded with a status"))
            .collect()
    }

    /// Keeps a picture of the whole page.
    pub async fn keep_picture(&self, name: &str) {
        let wanted = json!({ "format": "png", "captureBeyondViewport": true });
        let taken = self.devtools("Page.captureScreenshot", wanted).await;
        let picture = STANDARD.decode(taken["data"].as_str().unwrap()).unwrap();
        let directory = pictures();
        std::fs::create_dir_all(&directory).unwrap();
        std::fs::write(directory.join(format!("{name}.png")), picture).unwrap();
    }

    pub async fn stop(self) {
        let ended = self.client.delete(&self.session).send().await;
        assert!(ended.unwrap().status().is_success());
    }
}

/// In the folder that builds go to.
fn pictures() -> PathBuf {
    let built = PathBuf::from(env!("CARGO_BIN_EXE_erawan"));
    let target = built.ancestors().nth(2).expect("target/debug/erawan");
    target.join("screenshots")
}
