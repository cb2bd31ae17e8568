//! A secret that all processes of a node know (`CLUSTER_TOKEN_FILE`), where
//! certificates are too much. It never travels: both ends make a key of it and
//! of the node's id, with which TLS 1.3 proves each to the other and encrypts
//! (a pre-shared key). The file may have several tokens, a line each: the first
//! is shown, all are taken, so that it can be changed while processes run.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use openssl::error::ErrorStack;
use openssl::hash::MessageDigest;
use openssl::memcmp;
use openssl::pkey::PKey;
use openssl::sign::Signer;
use openssl::ssl::SslMethod;

use super::context::{self, Ends};
use crate::reread::Reread;

/// A shorter token could be guessed from a recorded connection.
const SHORTEST: usize = 32;

/// The tokens of a node, read again when the file changes.
pub struct SharedSecret {
    ends: Reread<Ends>,
}

#[derive(Clone)]
struct Key {
    /// Says which token the key is made of, without telling it.
    name: String,
    secret: [u8; 32],
}

impl SharedSecret {
    /// Reads the file.
    ///
    /// # Errors
    /// It cannot be read, or a token in it is too short.
    pub fn read(path: &Path, node_id: &str) -> io::Result<Self> {
        let (file, node_id) = (path.to_owned(), node_id.to_owned());
        let read = move || ends(&keys(&file, &node_id)?).map_err(io::Error::other);
        Ok(Self {
            ends: Reread::open(vec![PathBuf::from(path)], read)?,
        })
    }

    pub(super) fn ends(&self) -> std::sync::Arc<Ends> {
        self.ends.now()
    }
}

fn keys(file: &Path, node_id: &str) -> io::Result<Vec<Key>> {
    let wrong = |reason: String| {
        let text = format!("{}: {reason}", file.display());
        io::Error::new(io::ErrorKind::InvalidInput, text)
    };
    let text = fs::read_to_string(file).map_err(|error| wrong(error.to_string()))?;
    let lines = text.lines().map(str::trim);
    let tokens: Vec<&str> = lines
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .collect();
    if tokens.is_empty() || tokens.iter().any(|token| token.len() < SHORTEST) {
        return Err(wrong(format!(
            "a line with a token of at least {SHORTEST} characters is needed; \
             `erawan certs token` makes one"
        )));
    }
    let keys = tokens.iter().map(|token| key(token.as_bytes(), node_id));
    keys.collect::<Result<_, _>>().map_err(io::Error::other)
}

fn key(token: &[u8], node_id: &str) -> Result<Key, ErrorStack> {
    let derive = |purpose: &str| {
        let own = PKey::hmac(token)?;
        let mut signer = Signer::new(MessageDigest::sha256(), &own)?;
        signer.update(format!("erawan cluster {purpose} 1\0{node_id}").as_bytes())?;
        let mut made = [0; 32];
        signer.sign(&mut made)?;
        Ok::<_, ErrorStack>(made)
    };
    Ok(Key {
        name: hex::encode(&derive("name")?[..8]),
        secret: derive("key")?,
    })
}

fn ends(keys: &[Key]) -> Result<Ends, ErrorStack> {
    let mut client = context::without_certificates(SslMethod::tls_client())?;
    client.set_alpn_protos(context::GRPC)?;
    let shown = keys[0].clone();
    client.set_psk_client_callback(move |_, _, name, secret| {
        let own = shown.name.as_bytes();
        if name.len() <= own.len() || secret.len() < shown.secret.len() {
            return Ok(0);
        }
        name[..own.len()].copy_from_slice(own);
        name[own.len()] = 0;
        secret[..shown.secret.len()].copy_from_slice(&shown.secret);
        Ok(shown.secret.len())
    });
    let mut server = context::without_certificates(SslMethod::tls_server())?;
    context::select(&mut server, context::GRPC);
    let taken = keys.to_vec();
    server.set_psk_server_callback(move |_, name, secret| {
        let name = name.unwrap_or_default();
        let is_named = |key: &&Key| {
            let own = key.name.as_bytes();
            own.len() == name.len() && memcmp::eq(own, name)
        };
        let Some(key) = taken.iter().find(is_named) else {
            return Ok(0);
        };
        if secret.len() < key.secret.len() {
            return Ok(0);
        }
        secret[..key.secret.len()].copy_from_slice(&key.secret);
        Ok(key.secret.len())
    });
    Ok(Ends {
        client: client.build(),
        server: server.build(),
    })
}
