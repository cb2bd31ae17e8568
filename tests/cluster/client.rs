//! A client application that only listens.

use std::sync::Arc;

use actix_web::web::{Data, Json};
use actix_web::{App, HttpResponse, HttpServer, web};
use parking_lot::Mutex;
use serde_json::Value;

use crate::network::eventually;

/// The callbacks that came.
#[derive(Clone, Default)]
pub struct Told(Arc<Mutex<Vec<Value>>>);

impl Told {
    /// Waits for a callback of this type and reference id.
    pub async fn result(&self, kind: &str, reference: &str) -> Value {
        let find = || {
            let told = self.0.lock();
            let is_it = |body: &&Value| body["type"] == kind && body["reference_id"] == reference;
            told.iter().find(is_it).cloned()
        };
        eventually(kind, || async { find().is_some() }).await;
        find().unwrap()
    }
}

/// A client that writes down the callbacks it gets; its URL.
pub fn client_application() -> (String, Told) {
    let told = Told::default();
    let noted = Data::new(told.clone());
    let server = HttpServer::new(move || {
        let note = async |told: Data<Told>, body: Json<Value>| {
            told.0.lock().push(body.into_inner());
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
