//! `erawan health`: asks the process that runs beside it how it is, for images
//! that have no shell and no other program.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use reqwest::Client;
use serde_json::Value;

use super::WRONG_ENVIRONMENT;
use crate::config::{self, Config, Prometheus};
use crate::http_client::with_causes;
use crate::output;

/// `erawan health`
#[derive(Debug, Clone, Args)]
pub struct HealthArguments {
    /// Ask only whether it lives, not whether it can serve.
    #[arg(long)]
    live: bool,
    /// How long the answer may take.
    #[arg(long, default_value_t = 2_000)]
    timeout_ms: u64,
}

/// Asks this machine's process and prints what it answers. Exit code 0: it is
/// well; 1: it is not, or does not answer; 64: wrong environment.
/// # Errors
/// When the output cannot be written.
pub async fn health(arguments: HealthArguments) -> io::Result<ExitCode> {
    let config = match config::load() {
        Ok(config) => config,
        Err(mistakes) => {
            output::note(mistakes);
            return Ok(ExitCode::from(WRONG_ENVIRONMENT));
        }
    };
    let Some(prometheus) = &config.prometheus else {
        output::note("PROMETHEUS: must be true, because /health and /ready are at its port");
        return Ok(ExitCode::from(WRONG_ENVIRONMENT));
    };
    let question = Question {
        path: if arguments.live { "/health" } else { "/ready" },
        patience: Duration::from_millis(arguments.timeout_ms),
    };
    match question.ask(&config, prometheus).await {
        Ok(state) => {
            output::say(state)?;
            Ok(ExitCode::SUCCESS)
        }
        Err(trouble) => {
            output::note(trouble);
            Ok(ExitCode::FAILURE)
        }
    }
}

struct Question {
    path: &'static str,
    patience: Duration,
}

impl Question {
    /// Asks at one address after the other.
    async fn ask(&self, config: &Config, prometheus: &Prometheus) -> Result<String, String> {
        let client = Client::builder()
            .no_proxy()
            // Its own certificate, which need not name the loopback address.
            .tls_danger_accept_invalid_certs(true)
            .timeout(self.patience)
            .build()
            .map_err(|error| with_causes(&error))?;
        let mut troubles = Vec::new();
        for address in addresses(config, prometheus.port) {
            let scheme = match prometheus.https {
                Some(_) => "https",
                None => "http",
            };
            let url = format!("{scheme}://{address}{}", self.path);
            match self.ask_at(&client, &url).await {
                Ok((true, said)) => return Ok(said),
                Ok((false, said)) => return Err(said),
                Err(error) => troubles.push(format!("{url}: {error}")),
            }
        }
        Err(troubles.join("\n"))
    }

    /// Whether it is well, and its own words.
    async fn ask_at(&self, client: &Client, url: &str) -> Result<(bool, String), String> {
        let answer = client.get(url).send().await;
        let answer = answer.map_err(|error| with_causes(&error))?;
        let is_well = answer.status().is_success();
        let said = answer.text().await.map_err(|error| with_causes(&error))?;
        // Another program has the port.
        if serde_json::from_str::<Value>(&said).is_err() {
            return Err("the answer is not that of erawan".to_owned());
        }
        Ok((is_well, said))
    }
}

/// Where this machine's process listens, as seen from this machine.
fn addresses(config: &Config, port: u16) -> Vec<SocketAddr> {
    let listening = config.listen.metrics.at(port);
    if listening
        .iter()
        .any(|address| address.ip().is_unspecified())
    {
        let local: [IpAddr; 2] = [Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()];
        return local.map(|address| SocketAddr::new(address, port)).into();
    }
    listening
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    /// Answers every connection at this address with this.
    async fn server(address: IpAddr, status: u16, body: &'static str) -> u16 {
        let listener = TcpListener::bind((address, 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let mut request = [0; 4096];
                // Small enough to come in one piece.
                let read = stream.read(&mut request).await.unwrap();
                assert!(read > 0);
                let head = format!(
                    "HTTP/1.1 {status} Any\r\nconnection: close\r\ncontent-length: {}\r\n\r\n",
                    body.len()
                );
                stream.write_all(head.as_bytes()).await.unwrap();
                stream.write_all(body.as_bytes()).await.unwrap();
            }
        });
        port
    }

    async fn ask(port: u16) -> Result<String, String> {
        let question = Question {
            path: "/ready",
            patience: Duration::from_secs(5),
        };
        let prometheus = Prometheus { port, https: None };
        question.ask(&Config::for_test("rp1"), &prometheus).await
    }

    #[tokio::test]
    async fn a_process_that_is_ready_is_well() {
        let port = server(Ipv4Addr::LOCALHOST.into(), 200, r#"{"ready":true}"#).await;
        assert_eq!(ask(port).await, Ok(r#"{"ready":true}"#.to_owned()));
    }

    #[tokio::test]
    async fn a_process_that_listens_on_ipv6_only_is_found() {
        let port = server(Ipv6Addr::LOCALHOST.into(), 200, r#"{"ready":true}"#).await;
        assert!(ask(port).await.is_ok());
    }

    #[tokio::test]
    async fn a_process_that_is_not_ready_says_why() {
        let said = r#"{"ready":false,"reasons":["the ledger is catching up"]}"#;
        let port = server(Ipv4Addr::LOCALHOST.into(), 503, said).await;
        assert_eq!(ask(port).await, Err(said.to_owned()));
    }

    #[tokio::test]
    async fn another_program_at_the_port_is_not_well() {
        let port = server(Ipv4Addr::LOCALHOST.into(), 200, "<html>").await;
        let trouble = ask(port).await.unwrap_err();
        assert!(trouble.contains("not that of erawan"), "{trouble}");
    }

    #[tokio::test]
    async fn nobody_there_is_said_for_both_addresses() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        drop(listener);
        let trouble = ask(port).await.unwrap_err();
        assert!(trouble.contains("127.0.0.1"), "{trouble}");
        assert!(trouble.contains("[::1]"), "{trouble}");
    }
}
