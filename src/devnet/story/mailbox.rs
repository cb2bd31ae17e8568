//! The mailbox of the story's applications: every callback is kept until the
//! step that waits for it takes it.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use actix_web::dev::ServerHandle;
use actix_web::{App, HttpResponse, HttpServer, web};
use parking_lot::Mutex;
use serde_json::Value;
use tokio::sync::Notify;

/// How long a step waits for a callback.
const PATIENCE: Duration = Duration::from_secs(60);

#[derive(Default)]
struct Callbacks {
    /// Application and body.
    kept: Mutex<Vec<(String, Value)>>,
    came: Notify,
}

/// The running server.
pub(super) struct Mailbox {
    address: SocketAddr,
    server: ServerHandle,
    callbacks: Arc<Callbacks>,
}

impl Mailbox {
    /// Listens on a free port of the loopback address.
    ///
    /// # Errors
    /// When no port can be had.
    pub fn start() -> io::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0))?;
        let address = listener.local_addr()?;
        let callbacks = Arc::new(Callbacks::default());
        let shared = web::Data::from(Arc::clone(&callbacks));
        let server = HttpServer::new(move || {
            App::new()
                .app_data(shared.clone())
                .route("/{application}", web::post().to(keep))
        })
        .workers(1)
        .disable_signals()
        .shutdown_timeout(1)
        .listen(listener)?
        .run();
        let handle = server.handle();
        tokio::spawn(server);
        Ok(Self {
            address,
            server: handle,
            callbacks,
        })
    }

    /// The callback URL of an application.
    pub fn url(&self, application: &str) -> String {
        format!("http://{}/{application}", self.address)
    }

    /// The first callback of this type to the application that fits.
    ///
    /// # Errors
    /// When none comes in time; an `error` callback to the application ends the
    /// wait at once.
    pub async fn take(
        &self,
        application: &str,
        kind: &str,
        fits: impl Fn(&Value) -> bool,
    ) -> Result<Value, String> {
        let deadline = tokio::time::Instant::now() + PATIENCE;
        loop {
            // Before the look, so that none is missed in between.
            let came = self.callbacks.came.notified();
            if let Some(body) = self.find(application, |body| body["type"] == kind && fits(body)) {
                return Ok(body);
            }
            if let Some(error) = self.find(application, |body| body["type"] == "error") {
                return Err(format!("{application} was told of an error: {error}"));
            }
            if tokio::time::timeout_at(deadline, came).await.is_err() {
                return Err(format!("{application} got no {kind}"));
            }
        }
    }

    fn find(&self, application: &str, fits: impl Fn(&Value) -> bool) -> Option<Value> {
        let mut kept = self.callbacks.kept.lock();
        let found = kept
            .iter()
            .position(|(of, body)| of == application && fits(body))?;
        Some(kept.remove(found).1)
    }

    /// Ends the server.
    pub async fn stop(self) {
        self.server.stop(false).await;
    }
}

async fn keep(
    application: web::Path<String>,
    body: web::Json<Value>,
    callbacks: web::Data<Callbacks>,
) -> HttpResponse {
    let callback = (application.into_inner(), body.into_inner());
    callbacks.kept.lock().push(callback);
    callbacks.came.notify_waiters();
    HttpResponse::NoContent().finish()
}
