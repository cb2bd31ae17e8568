//! Bodies of every kind (spec/http-api.md 1.3).

use std::io::Write;

use erawan::context::Role;
use flate2::Compression;
use flate2::write::{GzEncoder, ZlibEncoder};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::fakes::Node;
use crate::network::{ReceivedResponse, client, send, talk};

const MIB: usize = 1024 * 1024;

async fn post(
    node: &Node,
    headers: &[(&str, &str)],
    body: impl Into<reqwest::Body>,
) -> ReceivedResponse {
    let mut request = client().post(node.url("/rp/request_data_removal"));
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    send(request.body(body)).await
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn deflate(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

const JSON: (&str, &str) = ("content-type", "application/json");

#[actix_web::test]
async fn a_body_that_cannot_be_parsed_changes_nothing() {
    let node = Node::start(Role::Rp).await;
    for body in ["{", "nul", "\"x\"", "1", "  "] {
        let answer = post(&node, &[JSON], body).await;
        assert_eq!(
            (answer.status, answer.error_code()),
            (400, Some(20007)),
            "{body}"
        );
    }
    assert_eq!(node.take_reached(), []);
}

#[actix_web::test]
async fn bodies_of_other_media_types_count_as_empty() {
    let node = Node::start(Role::Rp).await;
    for content_type in ["text/plain", "application/json-seq", "application/xml", "x"] {
        let answer = post(&node, &[("content-type", content_type)], "{").await;
        assert_eq!(answer.status, 204, "{content_type}");
    }
    assert_eq!(post(&node, &[JSON], "").await.status, 204);
    let without_type = client().post(node.url("/rp/request_data_removal"));
    assert_eq!(send(without_type).await.status, 204);
}

#[actix_web::test]
async fn packed_bodies_are_unpacked() {
    let node = Node::start_with(Role::Rp, |_| ()).await;
    let close = json!({"reference_id": "ก", "callback_url": "http://a", "request_id": "r"});
    let text = close.to_string();
    for (encoding, body) in [
        ("gzip", gzip(text.as_bytes())),
        ("GZIP", gzip(text.as_bytes())),
        ("deflate", deflate(text.as_bytes())),
        ("identity", text.clone().into_bytes()),
    ] {
        let request = client()
            .post(node.url("/v6/rp/request_close"))
            .header("content-type", "application/json; charset=utf-8")
            .header("content-encoding", encoding)
            .body(body);
        assert_eq!(send(request).await.status, 204, "{encoding}");
        assert_eq!(node.take_reached()[0].body, close, "{encoding}");
    }
}

#[actix_web::test]
async fn unknown_encodings_and_charsets_are_told_apart_from_bad_json() {
    let node = Node::start(Role::Rp).await;
    let answer = post(&node, &[JSON, ("content-encoding", "br")], "{}").await;
    assert_eq!((answer.status, answer.error_code()), (500, Some(10009)));
    assert!(answer.text.contains("unsupported content encoding"));
    let latin = [("content-type", "application/json; charset=iso-8859-1")];
    let answer = post(&node, &latin, "{}").await;
    assert_eq!((answer.status, answer.error_code()), (500, Some(10009)));
    let answer = post(&node, &[JSON, ("content-encoding", "gzip")], "not gzip").await;
    assert_eq!((answer.status, answer.error_code()), (500, Some(10009)));
    assert_eq!(node.take_reached(), []);
}

#[actix_web::test]
async fn the_size_limit_holds_before_and_after_unpacking() {
    let node = Node::start(Role::Rp).await;
    let body_of = |size: usize| {
        let mut body = b"{\"a\":\"".to_vec();
        body.resize(size - 2, b'x');
        body.extend_from_slice(b"\"}");
        body
    };
    let largest = body_of(25 * MIB);
    assert_eq!(post(&node, &[JSON], largest.clone()).await.status, 204);
    let packed = [JSON, ("content-encoding", "gzip")];
    assert_eq!(post(&node, &packed, gzip(&largest)).await.status, 204);
    let too_large = body_of(25 * MIB + 1);
    let answer = post(&node, &[JSON], too_large.clone()).await;
    assert_eq!((answer.status, answer.error_code()), (400, Some(20036)));
    let answer = post(&node, &packed, gzip(&too_large)).await;
    assert_eq!((answer.status, answer.error_code()), (400, Some(20036)));
}

#[actix_web::test]
async fn a_bomb_is_refused_as_too_large() {
    let node = Node::start(Role::Rp).await;
    let bomb = gzip(&vec![b' '; 512 * MIB]);
    assert!(bomb.len() < MIB);
    let answer = post(&node, &[JSON, ("content-encoding", "gzip")], bomb).await;
    assert_eq!((answer.status, answer.error_code()), (400, Some(20036)));
}

#[actix_web::test]
async fn chunked_bodies_are_read_to_their_end() {
    let node = Node::start(Role::Rp).await;
    let body = r#"{"reference_id":"a","callback_url":"http://a","request_id":"r"}"#;
    let (first, second) = body.split_at(5);
    let head = concat!(
        "POST /rp/request_close HTTP/1.1\r\nHost: x\r\nConnection: close\r\n",
        "Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
    );
    let chunk = |text: &str| format!("{:x}\r\n{text}\r\n", text.len());
    let request = format!("{head}{}{}{}", chunk(first), chunk(second), chunk(""));
    let answer = talk(node.address, request.as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 204"), "{answer}");
    assert_eq!(node.take_reached()[0].body["request_id"], "r");
}

#[actix_web::test]
async fn a_slow_sender_holds_up_nobody_else() {
    let node = Node::start(Role::Rp).await;
    let mut slow = TcpStream::connect(node.address).await.unwrap();
    let head = concat!(
        "POST /rp/request_data_removal HTTP/1.1\r\nHost: x\r\nConnection: close\r\n",
        "Content-Type: application/json\r\nContent-Length: 2\r\n\r\n{"
    );
    slow.write_all(head.as_bytes()).await.unwrap();
    assert_eq!(post(&node, &[JSON], "{}").await.status, 204);
    slow.write_all(b"}").await.unwrap();
    let mut answer = String::new();
    slow.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 204"), "{answer}");
}

#[actix_web::test]
async fn a_sender_that_hangs_up_leaves_nothing_behind() {
    let node = Node::start(Role::Rp).await;
    let head = concat!(
        "POST /rp/request_data_removal HTTP/1.1\r\nHost: x\r\n",
        "Content-Type: application/json\r\nContent-Length: 10\r\n\r\n{"
    );
    for _ in 0..20 {
        let mut gone = TcpStream::connect(node.address).await.unwrap();
        gone.write_all(head.as_bytes()).await.unwrap();
    }
    assert_eq!(post(&node, &[JSON], "{}").await.status, 204);
    assert_eq!(node.take_reached().len(), 1);
}

#[actix_web::test]
async fn whole_numbers_reach_operations_as_integers() {
    let node = Node::start(Role::Idp).await;
    let body =
        r#"{"reference_id":"a","callback_url":"http://a","request_id":"r","error_code":1.0}"#;
    let request = client()
        .post(node.url("/idp/error_response"))
        .header("content-type", "application/json")
        .body(body);
    assert_eq!(send(request).await.status, 204);
    let reached: Value = node.take_reached()[0].body.clone();
    assert_eq!(reached["error_code"].as_u64(), Some(1));
}

#[actix_web::test]
async fn a_body_of_too_many_small_values_is_too_large() {
    let node = Node::start(Role::Rp).await;
    let body = format!("[{}1]", "1,".repeat(10 * MIB));
    let answer = post(&node, &[JSON], body).await;
    assert_eq!((answer.status, answer.error_code()), (400, Some(20036)));
    let text = json!({"data": "[1,2]{\"a\":[]},\\".repeat(MIB)}).to_string();
    assert_eq!(post(&node, &[JSON], text).await.status, 204);
}

/// How long the answer to a body with so many faults takes.
async fn time_of_faults(node: &Node, count: usize) -> std::time::Duration {
    let faulty: Vec<Value> = (0..count).map(|number| json!({"min_as": number})).collect();
    let body = json!({"data_request_list": faulty});
    let started = std::time::Instant::now();
    let request = client().post(node.url("/rp/requests/a/b")).json(&body);
    let answer = send(request).await;
    assert_eq!((answer.status, answer.error_code()), (400, Some(20003)));
    assert!(answer.text.len() < MIB, "{}", answer.text.len());
    started.elapsed()
}

/// Ten times the faults take some ten times as long, not a hundred times, on a
/// machine however busy.
#[actix_web::test]
async fn a_body_with_very_many_faults_is_answered_soon_and_in_short() {
    let node = Node::start(Role::Rp).await;
    let few = time_of_faults(&node, 6_000).await;
    let many = time_of_faults(&node, 60_000).await;
    assert!(many < 40 * few, "{few:?}, then {many:?}");
}
