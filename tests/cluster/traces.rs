//! A request's trace, as a collector is sent it.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;

use actix_web::web::{self, Bytes, Data, PayloadConfig};
use actix_web::{App, HttpRequest, HttpResponse, HttpServer};
use erawan::context::Role;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::trace::v1::Span;
use parking_lot::Mutex;
use prost::Message;

use crate::network::*;

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const CALLER: &str = "00f067aa0ba902b7";

/// A collector and a client application.
#[derive(Default)]
struct Heard {
    spans: Mutex<Vec<Span>>,
    /// Headers `traceparent` of callbacks.
    callbacks: Mutex<Vec<String>>,
}

async fn collect(body: Bytes, heard: Data<Heard>) -> HttpResponse {
    let request = ExportTraceServiceRequest::decode(body).unwrap();
    let resources = request.resource_spans.into_iter();
    let scopes = resources.flat_map(|resource| resource.scope_spans);
    let spans = scopes.flat_map(|scope| scope.spans);
    heard.spans.lock().extend(spans);
    HttpResponse::Ok().finish()
}

async fn called(request: HttpRequest, heard: Data<Heard>) -> HttpResponse {
    let header = request.headers().get("traceparent");
    let header = header.map(|header| header.to_str().unwrap().to_owned());
    heard.callbacks.lock().push(header.unwrap_or_default());
    HttpResponse::NoContent().finish()
}

fn listen(heard: Arc<Heard>) -> SocketAddr {
    let heard = Data::from(heard);
    let server = HttpServer::new(move || {
        App::new()
            .app_data(heard.clone())
            .app_data(PayloadConfig::new(16 * 1024 * 1024))
            .route("/v1/traces", web::post().to(collect))
            .route("/callback", web::post().to(called))
    });
    let server = server.workers(1).disable_signals();
    let server = server.bind(("127.0.0.1", 0)).unwrap();
    let address = server.addrs()[0];
    actix_web::rt::spawn(server.run());
    address
}

fn of_trace(heard: &Heard) -> Vec<Span> {
    let trace = hex::decode(TRACE).unwrap();
    let spans = heard.spans.lock();
    let own = spans.iter().filter(|span| span.trace_id == trace);
    own.cloned().collect()
}

/// Whether each span's parent is the caller or one of them.
fn is_one_tree(spans: &[Span]) -> bool {
    let caller = hex::decode(CALLER).unwrap();
    let known: BTreeSet<&[u8]> = spans.iter().map(|span| &span.span_id[..]).collect();
    spans
        .iter()
        .all(|span| span.parent_span_id == caller || known.contains(&span.parent_span_id[..]))
}

#[actix_web::test]
async fn one_trace_goes_from_the_call_to_transaction_message_and_callback() {
    let heard = Arc::new(Heard::default());
    let address = listen(heard.clone());
    let net = Net::with(Store::Redis, 2, |options| {
        options.settings = [
            ("OTEL_EXPORTER_OTLP_ENDPOINT", format!("http://{address}")),
            ("OTEL_BSP_SCHEDULE_DELAY", "200".to_owned()),
            ("OTEL_TRACES_SAMPLER", "parentbased_always_off".to_owned()),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .to_vec();
    })
    .await;
    for role in ROLES {
        ready(vec![net.api(role)]).await;
    }
    let (_, mut body) = unanswered_request();
    body["callback_url"] = format!("http://{address}/callback").into();
    let url = format!("{}/v6/rp/requests/{IDENTITY}", net.api(Role::Rp));
    let call = plain_client().post(url).json(&body);
    let call = call.header("traceparent", format!("00-{TRACE}-{CALLER}-01"));
    assert_eq!(call.send().await.unwrap().status(), 202);

    let wanted = [
        "POST /rp/requests/:namespace/:identifier",
        "transaction",
        "deliver.message",
        "deliver.callback",
    ];
    let is_whole = || async {
        let spans = of_trace(&heard);
        let names: BTreeSet<&str> = spans.iter().map(|span| &span.name[..]).collect();
        wanted.iter().all(|name| names.contains(name)) && is_one_tree(&spans)
    };
    eventually("the whole trace has come", is_whole).await;
    let callbacks = heard.callbacks.lock().clone();
    let spans = of_trace(&heard);
    // A status that a block brings belongs to no call.
    let of_call = callbacks
        .iter()
        .map(|callback| callback.split('-').collect());
    let of_call: Vec<Vec<&str>> = of_call
        .filter(|parts: &Vec<&str>| parts[1] == TRACE)
        .collect();
    assert!(!of_call.is_empty(), "{callbacks:?}");
    for parts in of_call {
        let sender = hex::decode(parts[2]).unwrap();
        let sender = spans.iter().find(|span| span.span_id == sender);
        assert!(sender.is_none_or(|span| span.name == "deliver.callback"));
    }
    // A call without a trace is not sampled here.
    let all = heard.spans.lock().len();
    assert_eq!(all, of_trace(&heard).len());
    net.close().await;
}

#[actix_web::test]
async fn a_caller_s_trace_reaches_callbacks_where_none_are_exported() {
    let heard = Arc::new(Heard::default());
    let address = listen(heard.clone());
    let net = Net::start(Store::Embedded, 0).await;
    let (_, mut body) = unanswered_request();
    body["callback_url"] = format!("http://{address}/callback").into();
    let url = format!("{}/v6/rp/requests/{IDENTITY}", net.api(Role::Rp));
    let call = plain_client().post(url).json(&body);
    let header = format!("00-{TRACE}-{CALLER}-01");
    let call = call.header("traceparent", &header);
    assert_eq!(call.send().await.unwrap().status(), 202);
    let called = || async { heard.callbacks.lock().contains(&header) };
    eventually("the callback has it", called).await;
    net.close().await;
}
