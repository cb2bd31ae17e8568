//! A client application that only listens.

use std::collections::BTreeSet;
use std::sync::Arc;

use actix_web::web::{Data, Json};
use actix_web::{App, HttpRequest, HttpResponse, HttpServer, web};
use parking_lot::Mutex;
use serde_json::Value;

use crate::network::eventually;

/// A callback that came: it may come again under the same key.
struct Came {
    key: String,
    body: Value,
}

/// The callbacks that came.
#[derive(Clone, Default)]
pub struct Told(Arc<Mutex<Vec<Came>>>);

impl Told {
    /// Waits for a callback of this type and reference id.
    pub async fn result(&self, kind: &str, reference: &str) -> Value {
        let is_it = |body: &Value| body["type"] == kind && body["reference_id"] == reference;
        self.until(kind, is_it).await
    }

    /// Waits for a callback that is so.
    pub async fn until(&self, what: &str, is_it: impl Fn(&Value) -> bool) -> Value {
        let find = || {
            let told = self.0.lock();
            let mut bodies = told.iter().map(|came| &came.body);
            bodies.find(|body| is_it(body)).cloned()
        };
        eventually(what, || async { find().is_some() }).await;
        find().unwrap()
    }

    /// How many different callbacks that are so have come.
    pub fn count(&self, is_it: impl Fn(&Value) -> bool) -> usize {
        let told = self.0.lock();
        let those = told.iter().filter(|came| is_it(&came.body));
        let keys: BTreeSet<&str> = those.map(|came| came.key.as_str()).collect();
        keys.len()
    }
}

/// A client that writes down the callbacks it gets; its URL.
pub fn client_application() -> (String, Told) {
    let told = Told::default();
    let noted = Data::new(told.clone());
    let server = HttpServer::new(move || {
        let note = async |told: Data<Told>, request: HttpRequest, body: Json<Value>| {
            let key = request.headers().get("idempotency-key");
            let key = key.map(|key| key.to_str().unwrap().to_owned());
            told.0.lock().push(Came {
                key: key.unwrap_or_default(),
                body: body.into_inner(),
            });
            HttpResponse::NoContent().finish()
        };
        App::new()
            .app_data(noted.clone())
            .default_service(web::to(note))
    });
    let server = server.workers(1).bind(("127.0.0.1", 0)).unwrap();
    let url = format!("http://{}/callback", server.addrs()[0]);
    actix_web::rt::spawn(server.disable_signals().run());
    (url, told)
}
