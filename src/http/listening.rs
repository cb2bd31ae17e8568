//! Serves HTTP/1.1 on a port, on threads of its own. actix does the protocol;
//! [`crate::listener`] decides which connections stay.

use std::io;
use std::net::SocketAddr;
use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::time::Duration;

use actix_http::HttpService;
use actix_rt::{Arbiter, ArbiterHandle};
use actix_service::{IntoServiceFactory, Service, ServiceFactory, map_config};
use actix_web::dev::AppConfig;
use actix_web::web::Data;
use actix_web::{App, FromRequest, Handler, Responder, web};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::timeout;
use tokio_openssl::SslStream;

use super::long_heads::LongHeads;
use crate::config::TlsFiles;
use crate::listener::{Guest, GuestStream, Listener, Room, Rules, Sockets};
use crate::tls::ServerTls;

/// A client has this long to agree on TLS.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// Open calls have this long to end when the server stops.
const STOP_TIME_LIMIT: Duration = Duration::from_secs(30);
/// A connection may be silent for this long beyond `keep_alive`. Normally
/// `keep_alive` ends it in better order; only a client that does not read its answer
/// gets this far.
const BEYOND_KEEP_ALIVE: Duration = Duration::from_secs(15);

/// Where and how to listen.
#[derive(Clone)]
pub struct Listening {
    /// Name of the port in logs and metrics.
    pub name: &'static str,
    /// Port 0 takes a free one.
    pub addresses: Vec<SocketAddr>,
    /// Plain HTTP without.
    pub https: Option<TlsFiles>,
    /// Threads that serve connections.
    pub threads: usize,
    /// Most open connections of all threads together.
    pub most_connections: usize,
    /// Idle connections are kept this long.
    pub keep_alive: Duration,
    /// A client has this long to send the head of a request.
    pub head_time_limit: Duration,
}

/// A running server.
#[derive(Clone)]
pub struct ServerHandle {
    address: SocketAddr,
    room: Room,
    stop: Arc<watch::Sender<bool>>,
    threads: Arc<[ArbiterHandle]>,
}

impl ServerHandle {
    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Accepts no more connections and returns when open calls have ended (at most
    /// 30 s).
    pub async fn stop(&self) {
        self.stop.send_replace(true);
        let all_left = async {
            // The threads release the port.
            self.stop.closed().await;
            self.room.empty().await;
        };
        if timeout(STOP_TIME_LIMIT, all_left).await.is_err() {
            tracing::warn!(
                open = self.room.guests(),
                "calls that do not end are dropped"
            );
        }
        for thread in self.threads.iter() {
            thread.stop();
        }
    }
}

/// Serves every request with `handler`, which gets `data`. Must be called inside an
/// actix system, where it runs until it is stopped.
///
/// # Errors
/// The address is taken, or the TLS files cannot be used.
pub fn serve<D, H, Args>(
    listening: Listening,
    data: Data<D>,
    handler: H,
) -> io::Result<ServerHandle>
where
    D: Send + Sync + 'static,
    H: Handler<Args> + Send,
    Args: FromRequest + 'static,
    H::Output: Responder + 'static,
{
    let https = listening.https.as_ref();
    let tls = https.map(ServerTls::read).transpose()?.map(Arc::new);
    let socket = Sockets::bind(&listening.addresses)?;
    let address = socket.address();
    let room = Room::new(Rules {
        name: listening.name,
        most: listening.most_connections,
        patience: listening.keep_alive + BEYOND_KEEP_ALIVE,
        bytes_count: true,
    });
    let stop = watch::Sender::new(false);
    let mut threads = Vec::new();
    for _ in 0..listening.threads.max(1) {
        let arbiter = Arbiter::new();
        let part = ListenerThread {
            listening: listening.clone(),
            socket: socket.try_clone()?,
            room: room.clone(),
            tls: tls.clone(),
            stop: stop.subscribe(),
        };
        let (data, handler) = (data.clone(), handler.clone());
        arbiter.spawn_fn(move || {
            actix_rt::spawn(async move {
                let name = part.listening.name;
                if let Err(error) = part.serve(data, handler).await {
                    tracing::error!(%error, port = name, "the server ended");
                }
            });
        });
        threads.push(arbiter.handle());
    }
    Ok(ServerHandle {
        address,
        room,
        stop: Arc::new(stop),
        threads: threads.into(),
    })
}

/// The listener of one thread.
struct ListenerThread {
    listening: Listening,
    socket: Sockets,
    room: Room,
    tls: Option<Arc<ServerTls>>,
    stop: watch::Receiver<bool>,
}

type Plain = GuestStream<TcpStream>;
type Secured = SslStream<Plain>;

impl ListenerThread {
    /// Accepts until told to stop. Each connection is a task of the thread.
    async fn serve<D, H, Args>(self, data: Data<D>, handler: H) -> io::Result<()>
    where
        D: 'static,
        H: Handler<Args>,
        Args: FromRequest + 'static,
        H::Output: Responder + 'static,
    {
        match self.tls.clone() {
            None => {
                let as_it_is = async |stream: Plain| Some(stream);
                let guest = |stream: &Plain| stream.guest().clone();
                self.serve_over(as_it_is, guest, data, handler).await
            }
            Some(tls) => {
                let secure = async move |stream: Plain| secure(&tls, stream).await;
                let guest = |stream: &Secured| stream.get_ref().guest().clone();
                self.serve_over(secure, guest, data, handler).await
            }
        }
    }

    /// Serves what `prepare` makes of each connection.
    async fn serve_over<S, D, H, Args>(
        mut self,
        prepare: impl AsyncFn(Plain) -> Option<S> + 'static,
        guest: impl Fn(&S) -> Arc<Guest> + Clone + 'static,
        data: Data<D>,
        handler: H,
    ) -> io::Result<()>
    where
        S: AsyncRead + AsyncWrite + Unpin + 'static,
        D: 'static,
        H: Handler<Args>,
        Args: FromRequest + 'static,
        H::Output: Responder + 'static,
    {
        let make = || {
            let app = App::new()
                .app_data(data.clone())
                .wrap_fn(|request, service| {
                    // The room may have closed the connection meanwhile.
                    let serving = request.conn_data::<Arc<Guest>>().map(Guest::begin);
                    let answer = service.call(request);
                    async move {
                        let answer = answer.await;
                        drop(serving);
                        answer
                    }
                });
            let app = app.default_service(web::to(handler.clone()));
            // Nobody asks it for the address or the host.
            let app = map_config(app.into_factory(), |()| AppConfig::default());
            let guest = guest.clone();
            let http = HttpService::build()
                .keep_alive(self.listening.keep_alive)
                .client_request_timeout(self.listening.head_time_limit)
                // A client that hangs up is gone: its call is dropped, so that it
                // does not take the answer that the repeated call waits for.
                .h1_allow_half_closed(false)
                .on_connect_ext(move |stream: &LongHeads<S>, data| {
                    data.insert(guest(stream.get_ref()));
                })
                .h1(app);
            http.new_service(())
        };
        let unusable = |()| io::Error::other("the service cannot be made");
        // The service formats a date twice a second while it exists, so it exists
        // only while somebody is connected.
        let mut in_use = Weak::new();
        let prepare = Rc::new(prepare);
        let mut listener = Listener::new(self.socket, self.room, self.listening.name)?;
        loop {
            let (stream, peer) = tokio::select! {
                accepted = listener.accept() => accepted,
                // The server, which owns the sender, is gone.
                _ = self.stop.wait_for(|stop| *stop) => return Ok(()),
            };
            let http = match in_use.upgrade() {
                Some(http) => http,
                None => Rc::new(make().await.map_err(unusable)?),
            };
            in_use = Rc::downgrade(&http);
            let prepare = prepare.clone();
            actix_rt::spawn(async move {
                if let Some(stream) = prepare(stream).await
                    && let Err(error) = http.call((LongHeads::new(stream), Some(peer))).await
                {
                    tracing::debug!(%error, "a client's connection broke");
                }
            });
        }
    }
}

async fn secure(tls: &ServerTls, stream: Plain) -> Option<Secured> {
    match timeout(HANDSHAKE, tls.accept(stream)).await {
        Ok(Ok(stream)) => Some(stream),
        Ok(Err(reason)) => {
            tracing::debug!(reason, "no TLS was agreed on");
            None
        }
        Err(_) => {
            tracing::debug!("a client took too long to agree on TLS");
            None
        }
    }
}
