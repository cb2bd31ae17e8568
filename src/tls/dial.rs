//! Opens connections for gRPC clients.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tonic::codegen::http::Uri;
use tonic::codegen::{Service, StdError};

use super::certificates::Certificates;
use super::context::{self, Ends};
use super::handshake::{self, Check};
use super::link::{LinkSecurity, unusable};
use super::stream::MaybeTls;
use crate::config::GrpcTls;
use crate::reread::Reread;

/// The connector of a gRPC client. Every address of a name is tried.
#[derive(Clone)]
pub struct Dialer {
    tcp: HttpConnector,
    host: String,
    security: Security,
}

#[derive(Clone)]
enum Security {
    Link(LinkSecurity),
    /// A server of others, with our certificate if it asks.
    Service(Arc<Reread<Ends>>),
}

impl Dialer {
    /// To a master, whose certificate names `host` or the node.
    pub fn to_master(host: &str, security: LinkSecurity) -> Self {
        Self::new(host, Security::Link(security))
    }

    /// To the message queue service.
    ///
    /// # Errors
    /// A file cannot be used.
    pub fn to_service(host: &str, files: Option<&GrpcTls>) -> io::Result<Self> {
        let Some(files) = files else {
            return Ok(Self::to_master(host, LinkSecurity::Open));
        };
        let watched = vec![
            files.root.clone(),
            files.own.certificate.clone(),
            files.own.key.clone(),
        ];
        let files = files.clone();
        let read = move || {
            let own = Certificates::read(&files)?;
            context::of_certificates(&own).map_err(|error| unusable(&files, &error))
        };
        let ends = Arc::new(Reread::open(watched, read)?);
        Ok(Self::new(host, Security::Service(ends)))
    }

    fn new(host: &str, security: Security) -> Self {
        let mut tcp = HttpConnector::new();
        tcp.set_nodelay(true);
        tcp.enforce_http(false);
        Self {
            tcp,
            host: host.to_owned(),
            security,
        }
    }
}

impl Service<Uri> for Dialer {
    type Response = TokioIo<MaybeTls<TcpStream>>;
    type Error = StdError;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, StdError>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), StdError>> {
        self.tcp.poll_ready(context).map_err(Into::into)
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let connecting = self.tcp.call(uri);
        let (host, security) = (self.host.clone(), self.security.clone());
        Box::pin(async move {
            let stream = connecting.await?.into_inner();
            let secured = match security {
                Security::Link(link) => link.connect(&host, stream).await,
                Security::Service(ends) => {
                    let check = Check::Host(host);
                    let secured = handshake::connect(&ends.now().client, check, stream).await;
                    secured.map(MaybeTls::Tls)
                }
            };
            Ok(TokioIo::new(secured?))
        })
    }
}
