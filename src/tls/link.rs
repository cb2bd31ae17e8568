//! How master, workers and operators of a node know each other.

use std::collections::BTreeSet;
use std::fmt;
use std::io;
use std::sync::Arc;

use openssl::error::ErrorStack;
use tokio::io::{AsyncRead, AsyncWrite};

use super::certificates::Certificates;
use super::context::{self, Ends};
use super::handshake::{self, Check, NodeCheck};
use super::identity::NodeNames;
use super::secret::SharedSecret;
use super::stream::MaybeTls;
use crate::config::{Config, GrpcTls};
use crate::reread::Reread;

/// What a connection of the cluster link is secured by.
#[derive(Clone)]
pub enum LinkSecurity {
    /// Nothing: whoever reaches the port is believed.
    Open,
    /// Certificates of both sides (`GRPC_SSL`).
    Certificates(Arc<NodeCertificates>),
    /// What both sides know (`CLUSTER_TOKEN_FILE`).
    Secret(Arc<SharedSecret>),
}

impl fmt::Debug for LinkSecurity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Open => "Open",
            Self::Certificates(_) => "Certificates",
            Self::Secret(_) => "Secret",
        })
    }
}

/// The certificates of a process, read again when their files change.
pub struct NodeCertificates {
    node_id: Arc<str>,
    loaded: Reread<Loaded>,
}

struct Loaded {
    ends: Ends,
    /// Names that stand for the node in certificates that do not name it.
    accepted: Arc<BTreeSet<String>>,
}

impl NodeCertificates {
    /// Those in these files. `peers`: names in certificates that do not name
    /// the node.
    ///
    /// # Errors
    /// A file cannot be used.
    pub fn read(files: &GrpcTls, node_id: &str, peers: &[String]) -> io::Result<Self> {
        let watched = vec![
            files.root.clone(),
            files.own.certificate.clone(),
            files.own.key.clone(),
        ];
        let (files, peers) = (files.clone(), peers.to_vec());
        let read = move || {
            let own = Certificates::read(&files)?;
            let ends = context::of_certificates(&own).map_err(|error| unusable(&files, &error))?;
            let mut accepted = NodeNames::of(own.own()).hosts;
            accepted.extend(peers.iter().map(|name| name.to_lowercase()));
            let accepted = Arc::new(accepted);
            Ok(Loaded { ends, accepted })
        };
        Ok(Self {
            node_id: node_id.into(),
            loaded: Reread::open(watched, read)?,
        })
    }

    fn check(&self, loaded: &Loaded, host: Option<&str>) -> Check {
        Check::Node(NodeCheck {
            node_id: self.node_id.clone(),
            accepted: loaded.accepted.clone(),
            host: host.map(str::to_owned),
        })
    }
}

pub(super) fn unusable(files: &GrpcTls, error: &ErrorStack) -> io::Error {
    let certificate = files.own.certificate.display();
    let reason = handshake::reasons(error);
    io::Error::other(format!("{certificate}: {reason}"))
}

impl LinkSecurity {
    /// As the environment says. Certificates go before a token.
    ///
    /// # Errors
    /// A file cannot be used.
    pub fn of(config: &Config) -> io::Result<Self> {
        let (node_id, cluster) = (&config.node_id, &config.cluster);
        Ok(match (&config.grpc.tls, &cluster.token_file) {
            (Some(files), _) => {
                let read = NodeCertificates::read(files, node_id, &cluster.peer_names)?;
                Self::Certificates(Arc::new(read))
            }
            (None, Some(file)) => Self::Secret(Arc::new(SharedSecret::read(file, node_id)?)),
            (None, None) => Self::Open,
        })
    }

    /// Makes a connection to a master ready for use.
    ///
    /// # Errors
    /// Why the master is not trusted, or does not trust us.
    pub async fn connect<S>(&self, host: &str, stream: S) -> Result<MaybeTls<S>, String>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let secured = match self {
            Self::Open => return Ok(MaybeTls::Plain(stream)),
            Self::Certificates(own) => {
                let loaded = own.loaded.now();
                let check = own.check(&loaded, Some(host));
                handshake::connect(&loaded.ends.client, check, stream).await
            }
            Self::Secret(own) => {
                handshake::connect(&own.ends().client, Check::Secret, stream).await
            }
        };
        secured.map(MaybeTls::Tls)
    }

    /// Makes a connection of a worker or operator ready for use.
    ///
    /// # Errors
    /// Why it is refused.
    pub async fn accept<S>(&self, stream: S) -> Result<MaybeTls<S>, String>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let secured = match self {
            Self::Open => return Ok(MaybeTls::Plain(stream)),
            Self::Certificates(own) => {
                let loaded = own.loaded.now();
                let check = own.check(&loaded, None);
                handshake::accept(&loaded.ends.server, check, stream).await
            }
            Self::Secret(own) => handshake::accept(&own.ends().server, Check::Secret, stream).await,
        };
        secured.map(MaybeTls::Tls)
    }
}
