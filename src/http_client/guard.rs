//! Holds every call to the networks that are allowed: addresses in URLs, names
//! after they are resolved, and the same for redirects.

use std::sync::Arc;

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::redirect::Policy;
use url::{Host, Url};

use crate::config::{Denied, Networks};

const MOST_REDIRECTS: usize = 20;

/// Refuses a URL with a denied address. Connections to a name are checked by
/// the [`Resolver`].
pub(super) fn check(networks: &Networks, url: &Url) -> Result<(), Denied> {
    match url.host() {
        Some(Host::Ipv4(address)) => networks.check(address.into()),
        Some(Host::Ipv6(address)) => networks.check(address.into()),
        Some(Host::Domain(_)) | None => Ok(()),
    }
}

pub(super) fn redirects(networks: Arc<Networks>) -> Policy {
    Policy::custom(move |attempt| {
        if attempt.previous().len() > MOST_REDIRECTS {
            return attempt.error("too many redirects");
        }
        match check(&networks, attempt.url()) {
            Ok(()) => attempt.follow(),
            Err(denied) => attempt.error(denied),
        }
    })
}

/// Resolves names as the system does, and keeps the addresses that are allowed.
/// What it returns is what is connected to, so that a name cannot point
/// somewhere else a moment later.
pub(super) struct Resolver {
    networks: Arc<Networks>,
}

impl Resolver {
    pub fn new(networks: Arc<Networks>) -> Self {
        Self { networks }
    }
}

impl Resolve for Resolver {
    fn resolve(&self, name: Name) -> Resolving {
        let networks = self.networks.clone();
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            let mut denied = None;
            let mut allowed = Vec::new();
            for address in found {
                match networks.check(address.ip()) {
                    Ok(()) => allowed.push(address),
                    Err(reason) => denied = Some(reason),
                }
            }
            match denied {
                Some(reason) if allowed.is_empty() => Err(reason.into()),
                _ => Ok(Box::new(allowed.into_iter()) as Addrs),
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::super::{HttpClient, with_causes};
    use super::*;
    use crate::config::{Config, Outbound};

    /// A client that calls nothing of IPv4 loopback but `allowed`.
    fn client(denied: &str, allowed: &str) -> HttpClient {
        let networks = |text: &str| {
            let entries = text.split(',').filter(|entry| !entry.is_empty());
            entries.map(|entry| entry.parse().unwrap()).collect()
        };
        let config = Config {
            outbound: Outbound {
                networks: Arc::new(Networks::new(networks(denied), networks(allowed))),
                extra_authorities: None,
            },
            ..Config::for_test("rp1")
        };
        HttpClient::new(&config, |client| client).unwrap()
    }

    async fn get(client: &HttpClient, url: &str) -> Result<u16, String> {
        let request = client.get(url.parse().unwrap());
        let request = request.map_err(|denied| denied.to_string())?;
        let answer = request.send().await;
        let answer = answer.map_err(|error| with_causes(&error.without_url()))?;
        Ok(answer.status().as_u16())
    }

    /// A server that answers everybody with this.
    async fn server(answer: String) -> u16 {
        let listener = TcpListener::bind("0.0.0.0:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                // What is asked does not matter, and the client may have gone.
                let _ = stream.read(&mut [0; 4096]).await;
                let _ = stream.write_all(answer.as_bytes()).await;
            }
        });
        port
    }

    #[tokio::test]
    async fn a_denied_address_and_a_name_that_has_it_are_not_called() {
        let end = "\r\nConnection: close\r\nContent-Length: 0\r\n\r\n";
        let port = server(format!("HTTP/1.1 200 OK{end}")).await;
        let client = client("127.0.0.0/8,::1/128", "");
        for host in ["127.0.0.1", "localhost", "[::ffff:127.0.0.1]"] {
            let refused = get(&client, &format!("http://{host}:{port}/")).await;
            let reason = refused.unwrap_err();
            assert!(
                reason.contains("OUTBOUND_DENY_NETWORKS"),
                "{host}: {reason}"
            );
        }
    }

    #[tokio::test]
    async fn a_redirect_to_a_denied_address_or_name_is_not_followed() {
        let end = "\r\nConnection: close\r\nContent-Length: 0\r\n\r\n";
        // Linux answers at all of 127.0.0.0/8, and `localhost` is none of these.
        let client = client("127.0.0.1/32,::1/128", "127.0.0.2/32");
        for target in ["169.254.169.254/latest", "127.0.0.1:1/", "localhost:1/"] {
            let answer = format!("HTTP/1.1 302 Found\r\nLocation: http://{target}{end}");
            let port = server(answer).await;
            let url = format!("http://127.0.0.2:{port}/");
            let reason = get(&client, &url).await.unwrap_err();
            assert!(reason.contains("is not called"), "{target}: {reason}");
        }
    }

    #[tokio::test]
    async fn what_is_allowed_is_called() {
        let end = "\r\nConnection: close\r\nContent-Length: 0\r\n\r\n";
        let port = server(format!("HTTP/1.1 200 OK{end}")).await;
        let client = client("127.0.0.0/8,::1/128", "127.0.0.2/32");
        let url = format!("http://127.0.0.2:{port}/");
        assert_eq!(get(&client, &url).await, Ok(200));
    }
}
