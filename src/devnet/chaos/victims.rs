//! The processes of a network as targets.

use std::io;
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::time::Duration;

use nix::sys::signal::Signal;
use reqwest::{Client, StatusCode};
use tokio::net::TcpStream;
use tokio::sync::Mutex;

use super::schedule::{ChaosTarget, TargetKind};
use crate::devnet::ledger::RESULTS_DELAY;
use crate::devnet::network::{Network, ServiceKind};
use crate::devnet::process::Process;
use crate::devnet::redis_server::{self, RedisServer};
use crate::devnet::switch::Switch;

/// Longer than any `SHUTDOWN_GRACE_MS`.
const END_PATIENCE: Duration = Duration::from_secs(35);
/// A younger process may not listen for signals yet.
const STARTING: Duration = Duration::from_secs(5);
const PROBE_TIMEOUT: Duration = Duration::from_secs(2);
/// Delay of the results of blocks.
const LATE: Duration = Duration::from_millis(300);

/// Name of the server with all stores.
pub(super) const REDIS: &str = "redis";

/// A target, by the name of its [`ChaosTarget`].
pub(super) struct Victim<'a> {
    pub target: ChaosTarget,
    /// Locked while it is being hit, so that nothing is hit twice at a time.
    pub body: Mutex<Body<'a>>,
    probe: Probe,
}

/// The running thing.
pub(super) enum Body<'a> {
    Process(&'a mut Process),
    /// `None` only while another thread has it.
    Redis(&'a mut Option<RedisServer>),
    /// What leads a node to the ledger, here and elsewhere.
    Address {
        switch: &'a Switch,
        home: String,
        elsewhere: String,
    },
    /// `host:port` of a ledger whose results can be late.
    Results(String),
}

/// How to find out whether it serves.
enum Probe {
    /// A call of the API that changes nothing is not answered 503.
    Api(String),
    /// This URL answers.
    Url(String),
    /// This address accepts connections.
    Address(String),
    Redis(u16),
}

/// Everything in the network that can be hit.
pub(super) fn of(network: &mut Network) -> Vec<Victim<'_>> {
    let redis_port = network.redis.as_ref().map(RedisServer::port);
    let mut victims = Vec::new();
    if let Some(second) = &network.second_ledger {
        victims.extend(ledger_manners(
            &network.ledger,
            second,
            &network.ledger_switches,
        ));
    }
    for service in &mut network.services {
        let (kind, probe) = match service.kind {
            ServiceKind::Ledger => (
                TargetKind::Ledger,
                Probe::Url(format!("http://{}/status", service.address)),
            ),
            ServiceKind::MessageQueue => (
                TargetKind::MessageQueue,
                Probe::Address(service.address.clone()),
            ),
        };
        victims.push(Victim::new(kind, probe, &mut service.process));
    }
    for part in network
        .nodes
        .iter_mut()
        .flat_map(|node| &mut node.processes)
    {
        let kind = match part.kind {
            "master" => TargetKind::Master,
            "worker" => TargetKind::Worker,
            _ => TargetKind::Standalone,
        };
        let probe = match &part.api {
            Some(base) => Probe::Api(format!("{base}/v6/node/update")),
            None => Probe::Url(part.metrics.clone()),
        };
        victims.push(Victim::new(kind, probe, &mut part.process));
    }
    if let Some(port) = redis_port {
        victims.push(Victim {
            target: ChaosTarget {
                name: REDIS.to_owned(),
                kind: TargetKind::Redis,
            },
            body: Mutex::new(Body::Redis(&mut network.redis)),
            probe: Probe::Redis(port),
        });
    }
    victims
}

/// Faults of a ledger that is not killed.
fn ledger_manners<'a>(
    ledger: &str,
    second: &str,
    switches: &'a [(String, Switch)],
) -> Vec<Victim<'a>> {
    let mut victims: Vec<Victim<'a>> = switches
        .iter()
        .map(|(node_id, switch)| Victim {
            target: ChaosTarget {
                name: format!("{node_id}-ledger"),
                kind: TargetKind::LedgerAddress,
            },
            body: Mutex::new(Body::Address {
                switch,
                home: ledger.to_owned(),
                elsewhere: second.to_owned(),
            }),
            probe: Probe::Address(format!("127.0.0.1:{}", switch.port())),
        })
        .collect();
    victims.push(Victim {
        target: ChaosTarget {
            name: "ledger-results".to_owned(),
            kind: TargetKind::LedgerResults,
        },
        body: Mutex::new(Body::Results(ledger.to_owned())),
        probe: Probe::Url(format!("http://{ledger}/status")),
    });
    victims
}

impl<'a> Victim<'a> {
    fn new(kind: TargetKind, probe: Probe, process: &'a mut Process) -> Self {
        let name = process.name().to_owned();
        Self {
            target: ChaosTarget { name, kind },
            body: Mutex::new(Body::Process(process)),
            probe,
        }
    }

    /// Whether it serves others.
    pub async fn serves(&self, http: &Client) -> bool {
        match &self.probe {
            Probe::Api(url) => {
                let call = http.post(url).json(&serde_json::json!({}));
                match call.timeout(PROBE_TIMEOUT).send().await {
                    Ok(answer) => answer.status() != StatusCode::SERVICE_UNAVAILABLE,
                    Err(_) => false,
                }
            }
            Probe::Url(url) => {
                let answer = http.get(url).timeout(PROBE_TIMEOUT).send().await;
                answer.is_ok_and(|answer| answer.status().is_success())
            }
            Probe::Address(address) => {
                let connected = TcpStream::connect(address);
                matches!(
                    tokio::time::timeout(PROBE_TIMEOUT, connected).await,
                    Ok(Ok(_))
                )
            }
            Probe::Redis(port) => {
                let port = *port;
                let asked = tokio::task::spawn_blocking(move || redis_server::answers(port));
                asked.await.unwrap_or(false)
            }
        }
    }
}

impl Body<'_> {
    /// Its process id; `None` for Redis, whose memory is not judged.
    pub fn pid(&self) -> Option<u32> {
        match self {
            Body::Process(process) => process.pid(),
            Body::Redis(_) | Body::Address { .. } | Body::Results(_) => None,
        }
    }

    /// Whether it has ended by itself.
    pub fn has_ended(&mut self) -> bool {
        match self {
            Body::Process(process) => process.has_ended(),
            Body::Redis(_) | Body::Address { .. } | Body::Results(_) => false,
        }
    }

    /// SIGKILL.
    pub async fn kill(&mut self) -> io::Result<()> {
        match self {
            Body::Process(process) => {
                process.kill().await;
                Ok(())
            }
            Body::Redis(server) => with_redis(server, RedisServer::kill9).await,
            Body::Address { .. } | Body::Results(_) => Err(no_process()),
        }
    }

    /// SIGSTOP.
    pub fn freeze(&self) -> io::Result<()> {
        match self {
            Body::Process(process) => {
                process.signal(Signal::SIGSTOP);
                Ok(())
            }
            Body::Redis(server) => server.as_ref().map_or(Ok(()), RedisServer::freeze),
            Body::Address { .. } | Body::Results(_) => Err(no_process()),
        }
    }

    /// SIGCONT.
    pub fn thaw(&self) -> io::Result<()> {
        match self {
            Body::Process(process) => {
                process.signal(Signal::SIGCONT);
                Ok(())
            }
            Body::Redis(server) => server.as_ref().map_or(Ok(()), RedisServer::thaw),
            Body::Address { .. } | Body::Results(_) => Err(no_process()),
        }
    }

    /// SIGTERM; waits for its end. Returns what was wrong with it.
    pub async fn terminate(&mut self) -> io::Result<Option<String>> {
        match self {
            Body::Process(process) => {
                let may_be_deaf = process.age() < STARTING;
                let problem = match process.terminate(END_PATIENCE).await? {
                    Some(status) if status.success() => return Ok(None),
                    // It did not listen for signals yet.
                    Some(status) if may_be_deaf && is_end_by(status, Signal::SIGTERM) => {
                        return Ok(None);
                    }
                    Some(status) => format!("ended with {status} at SIGTERM"),
                    None => format!("had not ended {} s after SIGTERM", END_PATIENCE.as_secs()),
                };
                Ok(Some(format!("{} {problem}", process.name())))
            }
            Body::Redis(server) => {
                with_redis(server, RedisServer::stop).await?;
                Ok(None)
            }
            Body::Address { .. } | Body::Results(_) => Err(no_process()),
        }
    }

    /// Restarts it where it was, with what it had on disk.
    pub async fn start_again(&mut self) -> io::Result<()> {
        match self {
            Body::Process(process) => process.start_again(),
            Body::Redis(server) => with_redis(server, RedisServer::restart).await,
            Body::Address { .. } | Body::Results(_) => Err(no_process()),
        }
    }

    /// Spoils its answers, or mends them.
    pub async fn misbehave(&self, http: &Client, is_bad: bool) -> io::Result<()> {
        match self {
            Body::Process(_) | Body::Redis(_) => Err(io::Error::other("it has no manners")),
            Body::Address {
                switch,
                home,
                elsewhere,
            } => {
                let target = if is_bad { elsewhere } else { home };
                switch.point_at(target.clone());
                Ok(())
            }
            Body::Results(ledger) => {
                let delay = if is_bad { LATE } else { RESULTS_DELAY };
                let url = format!("http://{ledger}/devnet_results_delay");
                let call = http
                    .get(url)
                    .query(&[("ms", delay.as_millis().to_string())]);
                match call.timeout(PROBE_TIMEOUT).send().await {
                    Ok(answer) => match answer.error_for_status() {
                        Ok(_) => Ok(()),
                        Err(error) => Err(io::Error::other(error)),
                    },
                    // Another fault has taken it away.
                    Err(_) => Ok(()),
                }
            }
        }
    }
}

fn no_process() -> io::Error {
    io::Error::other("it is no process")
}

fn is_end_by(status: ExitStatus, signal: Signal) -> bool {
    status.signal() == Some(signal as i32)
}

/// Redis is controlled by blocking calls.
async fn with_redis(
    slot: &mut Option<RedisServer>,
    act: impl FnOnce(&mut RedisServer) -> io::Result<()> + Send + 'static,
) -> io::Result<()> {
    let gone = || io::Error::other("the Redis server is gone");
    let mut server = slot.take().ok_or_else(gone)?;
    let acted = tokio::task::spawn_blocking(move || {
        let result = act(&mut server);
        (server, result)
    });
    let (server, result) = acted.await.map_err(io::Error::other)?;
    *slot = Some(server);
    result
}
