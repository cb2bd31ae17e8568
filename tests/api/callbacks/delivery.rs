//! What is posted, and where.

use erawan::delivery::callback::*;
use erawan::error::codes;
use erawan::job::Run;
use tokio::io::AsyncReadExt;
use tokio::net::TcpListener;

use super::{
    Receiver, Sender, answer, answer_of, data_request, done, handed_on, is_failed, job, job_of,
};
use crate::fakes::config;

#[actix_web::test]
async fn a_callback_is_posted_as_json_under_its_id() {
    let receiver = Receiver::answering(answer("204 No Content", "")).await;
    let sender = Sender::new();
    let job = job(&receiver.url(), Persistence::Timed);
    assert_eq!(sender.deliver(&job).await, done());
    let call = receiver.calls()[0].clone();
    let callback: Callback = job.payload().unwrap();
    let (head, body) = call.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("POST /callback HTTP/1.1"), "{head}");
    for line in [
        "content-type: application/json".to_owned(),
        "accept: */*".to_owned(),
        format!("idempotency-key: {}", callback.id),
    ] {
        assert!(head.lines().any(|found| found == line), "{line} in {head}");
    }
    assert_eq!(body, callback.body);
}

#[actix_web::test]
async fn any_status_means_delivered() {
    for status in [
        "200 OK",
        "404 Not Found",
        "500 Internal Server Error",
        "503 Busy",
    ] {
        let receiver = Receiver::answering(answer(status, "whatever")).await;
        let run = Sender::new()
            .deliver(&job(&receiver.url(), Persistence::Timed))
            .await;
        assert_eq!(run, done(), "{status}");
    }
}

#[actix_web::test]
async fn redirects_are_followed() {
    let last = Receiver::answering(answer("204 No Content", "")).await;
    let first = Receiver::answering(format!(
        "HTTP/1.1 307 Temporary Redirect\r\nLocation: {}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
        last.url()
    ))
    .await;
    let run = Sender::new()
        .deliver(&job(&first.url(), Persistence::Single))
        .await;
    assert_eq!(run, done());
    assert!(last.calls()[0].starts_with("POST /callback"));
}

#[actix_web::test]
async fn redirects_change_the_method_as_browsers_do() {
    for (status, method) in [
        (301, "GET"),
        (302, "GET"),
        (303, "GET"),
        (307, "POST"),
        (308, "POST"),
    ] {
        let last = Receiver::answering(answer("200 OK", "{\"data\":\"x\"}")).await;
        let answer = answer_of(format!(
            "HTTP/1.1 {status} Elsewhere\r\nLocation: {}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
            last.url()
        ))
        .await;
        assert_eq!(answer.body.as_deref(), Some(&b"{\"data\":\"x\"}"[..]));
        let call = last.calls()[0].clone();
        assert!(
            call.starts_with(&format!("{method} /callback")),
            "{status}: {call}"
        );
        let has_body = call.ends_with('}');
        assert_eq!(has_body, method == "POST", "{status}: {call}");
    }
}

#[actix_web::test]
async fn a_changed_url_takes_effect_at_the_next_try() {
    let silent = Receiver::silent().await;
    let receiver = Receiver::answering(answer("204 No Content", "")).await;
    let sender = Sender::impatient();
    sender.know_request(true);
    sender.set_service_url(&silent.url());
    let mut job = data_request(0);
    assert!(matches!(sender.deliver(&job).await, Run::Retry { .. }));
    sender.set_service_url(&receiver.url());
    job.tries = 1;
    handed_on(&sender.deliver(&job).await);
    assert_eq!(receiver.calls().len(), 1);
}

#[actix_web::test]
async fn a_callback_without_a_url_is_done() {
    let sender = Sender::new();
    assert_eq!(sender.deliver(&data_request(0)).await, done());
    let error = codes::REQUEST_INTEGRITY_CHECK_FAILED.into();
    let error = error_job("as", Some("as1"), "as.processMessage", Some("r"), &error);
    assert_eq!(sender.deliver(&job_of(error, 0)).await, done());
}

#[actix_web::test]
async fn a_url_that_cannot_be_called_is_a_failure_at_once() {
    for url in ["", "not a url", "ftp://a", "http://"] {
        let run = Sender::new().deliver(&job(url, Persistence::Timed)).await;
        assert!(is_failed(&run), "{url}: {run:?}");
    }
}

#[actix_web::test]
async fn clients_for_production_start_and_https_receivers_get_a_handshake() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://{}/", listener.local_addr().unwrap());
    let production = config();
    assert!(CallbackClient::new(&production).is_ok());
    let sender = Sender::new();
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut hello = [0; 5];
        stream.read_exact(&mut hello).await.unwrap();
        assert_eq!(hello[0], 22, "a TLS handshake");
    });
    let run = sender.deliver(&job(&url, Persistence::Timed)).await;
    assert!(matches!(run, Run::Retry { .. }), "{run:?}");
}
