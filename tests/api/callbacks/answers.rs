//! Answers of client applications.

use std::io::Write;

use erawan::delivery::callback::*;
use erawan::job::Run;
use flate2::Compression;
use flate2::write::{GzEncoder, ZlibEncoder};
use serde_json::{Value, json};

use super::{
    MIB, Receiver, Sender, answer, answer_of, data_request, done, handed_on, is_failed, job,
};

/// A 200 answer with this body and these further header lines.
fn answer_with(headers: &str, body: &[u8]) -> Vec<u8> {
    let length = body.len();
    let head = format!(
        "HTTP/1.1 200 OK\r\n{headers}Content-Length: {length}\r\nConnection: close\r\n\r\n"
    );
    [head.as_bytes(), body].concat()
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

#[actix_web::test]
async fn callbacks_say_who_sends_them_and_which_answers_are_understood() {
    let receiver = Receiver::answering(answer("204 No Content", "")).await;
    let job = job(&receiver.url(), Persistence::Timed);
    assert_eq!(Sender::new().deliver(&job).await, done());
    let call = receiver.calls()[0].to_lowercase();
    assert!(call.contains("\r\nuser-agent: erawan/"), "{call}");
    let line = call
        .lines()
        .find(|line| line.starts_with("accept-encoding: "));
    for coding in ["gzip", "deflate", "br"] {
        assert!(line.unwrap().contains(coding), "{line:?}");
    }
}

#[actix_web::test]
async fn compressed_answers_are_read() {
    let plain = b"{\"data\":\"x\"}";
    let mut zlib = ZlibEncoder::new(Vec::new(), Compression::default());
    zlib.write_all(plain).unwrap();
    let mut brotli = Vec::new();
    brotli::BrotliCompress(&mut &plain[..], &mut brotli, &Default::default()).unwrap();
    for (coding, body) in [
        ("gzip", gzip(plain)),
        ("deflate", zlib.finish().unwrap()),
        ("br", brotli),
    ] {
        let headers = format!("Content-Encoding: {coding}\r\n");
        let answer = answer_of(answer_with(&headers, &body)).await;
        assert_eq!(answer.body.as_deref(), Some(&plain[..]), "{coding}");
    }
}

#[actix_web::test]
async fn the_limit_of_answers_is_that_of_what_they_unpack_to() {
    let bomb = gzip(&vec![b'x'; 26 * MIB]);
    assert!(bomb.len() < MIB);
    let answer = answer_of(answer_with("Content-Encoding: gzip\r\n", &bomb)).await;
    assert_eq!((answer.status, answer.body), (200, None));
}

#[actix_web::test]
async fn an_answer_that_cannot_be_unpacked_says_nothing_and_is_not_asked_for_again() {
    let headers = "Content-Encoding: gzip\r\n";
    let answer = answer_of(answer_with(headers, b"not gzip at all")).await;
    assert_eq!((answer.status, answer.body), (200, Some(Vec::new())));
    let empty = answer_of(answer_with(headers, b"")).await;
    assert_eq!((empty.status, empty.body), (200, Some(Vec::new())));
    let no_content = "HTTP/1.1 204 No Content\r\nContent-Encoding: br\r\nConnection: close\r\n\r\n";
    let later = answer_of(no_content).await;
    assert_eq!((later.status, later.body), (204, Some(Vec::new())));
}

#[actix_web::test]
async fn a_compressed_answer_that_breaks_off_is_asked_for_again() {
    let whole = answer_with("Content-Encoding: gzip\r\n", &gzip(&[b'x'; 1000]));
    let receiver = Receiver::answering(&whole[..whole.len() - 3]).await;
    let sender = Sender::new();
    sender.set_service_url(&receiver.url());
    let run = sender.deliver(&data_request(0)).await;
    assert!(matches!(run, Run::Retry { .. }), "{run:?}");
}

#[actix_web::test]
async fn answers_are_read_in_the_charset_they_name() {
    let text = "{\"data\":\"สวัสดี\"}";
    let utf_16: Vec<u8> = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
    let headers = "Content-Type: application/json; charset=utf-16le\r\n";
    let answer = answer_of(answer_with(headers, &utf_16)).await;
    assert_eq!(answer.body.as_deref(), Some(text.as_bytes()));
    let headers = format!("{headers}Content-Encoding: gzip\r\n");
    let answer = answer_of(answer_with(&headers, &gzip(&utf_16))).await;
    assert_eq!(answer.body.as_deref(), Some(text.as_bytes()));
}

#[actix_web::test]
async fn an_answer_above_the_limit_is_not_read_and_not_tried_again() {
    let mut huge = b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n".to_vec();
    huge.resize(huge.len() + 26 * MIB, b'x');
    let receiver = Receiver::answering(huge).await;
    let sender = Sender::new();
    let run = sender
        .deliver(&job(&receiver.url(), Persistence::Timed))
        .await;
    assert!(is_failed(&run), "{run:?}");
    sender.set_service_url(&receiver.url());
    let (_, answer) = handed_on(&sender.deliver(&data_request(0)).await);
    assert_eq!((answer.status, answer.body), (200, None));
}

#[actix_web::test]
async fn the_answer_to_a_data_request_is_handed_on() {
    let receiver = Receiver::answering(answer("200 OK", "{\"data\":\"x\"}")).await;
    let sender = Sender::new();
    sender.set_service_url(&receiver.url());
    let job = data_request(0);
    let callback: Callback = job.payload().unwrap();
    let (source, handed) = handed_on(&sender.deliver(&job).await);
    assert_eq!(source, Some(format!("answer:{}", callback.id)));
    let body: Value = serde_json::from_slice(&handed.body.unwrap()).unwrap();
    assert_eq!((handed.status, body), (200, json!({"data": "x"})));

    let refusing = Receiver::answering(answer("404 Not Found", "no")).await;
    sender.set_service_url(&refusing.url());
    let (_, handed) = handed_on(&sender.deliver(&data_request(0)).await);
    assert_eq!((handed.status, handed.body), (404, Some(Vec::new())));
}

#[actix_web::test]
async fn an_answer_to_a_data_request_that_breaks_off_is_asked_for_again() {
    let broken = "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{\"data\":";
    let receiver = Receiver::answering(broken).await;
    let sender = Sender::new();
    sender.set_service_url(&receiver.url());
    let run = sender.deliver(&data_request(0)).await;
    assert!(matches!(run, Run::Retry { .. }), "{run:?}");
    let run = sender
        .deliver(&job(&receiver.url(), Persistence::Timed))
        .await;
    assert_eq!(run, done());
}
