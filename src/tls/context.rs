//! OpenSSL contexts: what is offered and taken (docs/operator.md has the table).

use openssl::error::ErrorStack;
use openssl::ssl::{
    AlpnError, SslContext, SslContextBuilder, SslMethod, SslOptions, SslSessionCacheMode,
    SslVersion, select_next_proto,
};
use openssl::x509::store::{X509Store, X509StoreBuilder};

use super::certificates::Certificates;

/// What Node.js offers and takes, exchange of keys by RSA included.
const CIPHERS: &str = "ECDHE+AESGCM:ECDHE+CHACHA20:DHE+AESGCM:DHE+CHACHA20:HIGH:!aNULL:!eNULL:\
                       !EXPORT:!DES:!3DES:!RC4:!MD5:!PSK:!SRP:!CAMELLIA:!ARIA";

/// The protocol of gRPC, as ALPN names it, with its length.
const H2: &[u8] = b"\x02h2";
/// Before and without HTTP/2.
const HTTP_1: &[u8] = b"\x08http/1.1";

/// The settings of all contexts.
fn builder(method: SslMethod) -> Result<SslContextBuilder, ErrorStack> {
    let mut builder = SslContextBuilder::new(method)?;
    builder.set_min_proto_version(Some(SslVersion::TLS1_2))?;
    builder.set_cipher_list(CIPHERS)?;
    builder.set_options(SslOptions::NO_COMPRESSION | SslOptions::NO_RENEGOTIATION);
    Ok(builder)
}

/// No connection goes on with what an earlier one has agreed on: the other
/// side's certificate or token is looked at each time.
pub(super) fn forget_sessions(builder: &mut SslContextBuilder) -> Result<(), ErrorStack> {
    builder.set_options(SslOptions::NO_TICKET);
    builder.set_session_cache_mode(SslSessionCacheMode::OFF);
    builder.set_num_tickets(0)
}

fn show(builder: &mut SslContextBuilder, own: &Certificates) -> Result<(), ErrorStack> {
    builder.set_certificate(own.own())?;
    for further in &own.chain[1..] {
        builder.add_extra_chain_cert(further.clone())?;
    }
    builder.set_private_key(&own.key)?;
    builder.check_private_key()
}

fn store(own: &Certificates) -> Result<X509Store, ErrorStack> {
    let mut store = X509StoreBuilder::new()?;
    for root in &own.roots {
        store.add_cert(root.clone())?;
    }
    Ok(store.build())
}

/// Both ends of a gRPC link.
pub(super) struct Ends {
    pub client: SslContext,
    pub server: SslContext,
}

/// With certificates on both ends. The handshake says who is verified.
pub(super) fn of_certificates(own: &Certificates) -> Result<Ends, ErrorStack> {
    let mut client = builder(SslMethod::tls_client())?;
    show(&mut client, own)?;
    client.set_cert_store(store(own)?);
    client.set_alpn_protos(H2)?;
    let mut server = builder(SslMethod::tls_server())?;
    show(&mut server, own)?;
    server.set_cert_store(store(own)?);
    for root in &own.roots {
        server.add_client_ca(root)?;
    }
    select(&mut server, H2);
    forget_sessions(&mut server)?;
    Ok(Ends {
        client: client.build(),
        server: server.build(),
    })
}

/// Without certificates, for a shared secret: TLS 1.3 whose only proof is the
/// key that both ends make of it.
pub(super) fn without_certificates(method: SslMethod) -> Result<SslContextBuilder, ErrorStack> {
    let mut builder = SslContextBuilder::new(method)?;
    builder.set_min_proto_version(Some(SslVersion::TLS1_3))?;
    // A pre-shared key goes with one hash, and this is it.
    builder.set_ciphersuites("TLS_AES_128_GCM_SHA256")?;
    builder.set_options(SslOptions::NO_COMPRESSION);
    forget_sessions(&mut builder)?;
    Ok(builder)
}

/// Of an HTTPS listener.
pub(super) fn of_listener(own: &Certificates) -> Result<SslContext, ErrorStack> {
    let mut server = builder(SslMethod::tls_server())?;
    show(&mut server, own)?;
    select(&mut server, HTTP_1);
    Ok(server.build())
}

pub(super) fn select(server: &mut SslContextBuilder, protocols: &'static [u8]) {
    server.set_alpn_select_callback(move |_, offered| {
        // A client that offers others only is served too.
        select_next_proto(protocols, offered).ok_or(AlpnError::NOACK)
    });
}

pub(super) const GRPC: &[u8] = H2;
