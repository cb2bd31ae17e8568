//! What a person would click, in a real browser.

use erawan::store::Store;

use crate::check;
use crate::node::{DEAD, OPERATOR, TestNode, VIEWER, Who, until};
use crate::webdriver::Browser;

const TAB: char = '\u{e004}';
const ENTER: char = '\u{e007}';

async fn log_in(node: &TestNode, browser: &Browser, token: &str) {
    browser.open(&node.url("/")).await;
    browser.wait_for_text("h1", "Log in").await;
    browser.type_into("#token", token).await;
    browser.click("form.login button").await;
}

#[actix::test]
async fn a_person_finds_decides_and_sees_what_came_of_it() {
    let node = TestNode::start(Who::Tokens).await;
    node.fill().await;
    let browser = Browser::start().await;

    log_in(&node, &browser, "a-token-that-nobody-has").await;
    browser.wait_for_text("[role=alert]", "not known").await;
    check::page(&browser, "login").await;

    log_in(&node, &browser, VIEWER).await;
    browser.wait_for_text("h1", "The node").await;
    browser.open(&node.url("/jobs?state=parked")).await;
    browser.wait_for_text("table", "poison").await;
    assert_eq!(
        browser.text("fieldset.decision").await,
        "",
        "a viewer does not decide"
    );
    browser.click(".who button").await;

    log_in(&node, &browser, OPERATOR).await;
    glance(&node, &browser).await;
    keyboard(&browser).await;
    queue(&browser).await;
    retry_one(&node, &browser).await;
    drop_several(&node, &browser).await;
    receivers(&browser).await;
    browser.open(&node.url("/audit")).await;
    browser.wait_for_text("table", "alice").await;
    check::page(&browser, "audit").await;
    browser.open(&node.url("/requests/9b7")).await;
    browser.wait_for_text(".timeline", "rp.time_out").await;
    check::page(&browser, "request").await;
    browser.open(&node.url("/jobs?key=not-there")).await;
    browser.wait_for_text("main", "No job matches").await;
    check::page(&browser, "nothing").await;

    assert_eq!(browser.complaints().await, Vec::<String>::new());
    browser.stop().await;
    node.stop().await;
}

/// Figures change by themselves while somebody looks.
async fn glance(node: &TestNode, browser: &Browser) {
    browser.wait_for_text("#connection", "live").await;
    browser.wait_for_text("main", "rp1-worker-b").await;
    browser.wait_for_text(".tile.alarming", "Parked").await;
    let throughput = ".chart .key.a b";
    for round in 0..200 {
        node.work(20 + round * 7 % 60).await;
        if !["0", "–", ""].contains(&browser.text(throughput).await.as_str()) {
            break;
        }
    }
    assert_ne!(browser.text(throughput).await, "0", "what ended is shown");
    for round in 0..40 {
        node.work(20 + round * 17 % 60).await;
        browser
            .run("return new Promise((done) => setTimeout(done, 100))")
            .await;
    }
    check::page(browser, "glance").await;
}

/// The first key leads to a way past the navigation.
async fn keyboard(browser: &Browser) {
    browser.run("document.activeElement.blur()").await;
    browser.press(TAB).await;
    let focused = browser.run("return document.activeElement.innerText").await;
    assert_eq!(focused, "Skip to the content");
    browser.press(ENTER).await;
    until("the content has the focus", async || {
        browser.run("return document.activeElement.id").await == "content"
    })
    .await;
}

async fn queue(browser: &Browser) {
    browser.click("nav a[href='/queue']").await;
    browser.wait_for_text("table", "rp.time_out").await;
    browser.wait_for_text("#connection", "live").await;
    check::page(browser, "queue").await;
}

async fn retry_one(node: &TestNode, browser: &Browser) {
    browser.click("nav a[href='/jobs']").await;
    browser
        .run("document.querySelector('#state').value = 'parked'")
        .await;
    browser.click(".search button").await;
    browser.wait_for_text("caption", "parked").await;
    check::page(browser, "jobs").await;
    browser.click("tbody th a").await;
    browser.wait_for_text(".trouble", "cannot be read").await;
    check::page(browser, "job").await;
    browser.type_into("#why", "the payload was mended").await;
    browser.click("button[value=retry]").await;
    browser.wait_for_text(".done", "1 job retried").await;
    until("it has run", async || {
        node.store.counts().await.unwrap().parked == 2
    })
    .await;
    browser.run("location.reload()").await;
    browser.wait_for_text("main", "alice decided: retry").await;
}

async fn drop_several(node: &TestNode, browser: &Browser) {
    browser.open(&node.url("/jobs?state=failed")).await;
    browser.wait_for_text("table", "refused").await;
    browser.click("tbody tr:nth-child(1) input").await;
    browser.click("tbody tr:nth-child(3) input").await;
    browser.type_into("#why", "asked again by the client").await;
    browser.click("button[value=drop]").await;
    browser.wait_for_text(".done", "2 jobs dropped").await;
    assert_eq!(node.store.counts().await.unwrap().failed, 4);
}

async fn receivers(browser: &Browser) {
    browser.click("nav a[href='/receivers']").await;
    browser.wait_for_text("table", DEAD).await;
    browser.type_into("#receiver", DEAD).await;
    browser
        .type_into("#why", "their maintenance, until 18:00")
        .await;
    browser.click("button[value=pause]").await;
    browser.wait_for_text(".done", "is paused").await;
    browser.wait_for_text("table", "their maintenance").await;
    check::page(browser, "receivers").await;
}
