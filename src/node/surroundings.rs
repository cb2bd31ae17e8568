//! What `erawan check` looks at around the process: masters, names, ports,
//! certificates, clock and disk.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::Path;
use std::time::Duration;

use nix::sys::statvfs::statvfs;
use openssl::asn1::Asn1Time;
use openssl::x509::X509;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use tokio::time::timeout;

use super::check::Finding;
use crate::config::{Config, Mode, StoreChoice};
use crate::operator;

const PATIENCE: Duration = Duration::from_secs(5);
/// Clocks of a ledger's nodes differ by less.
const CLOCK_OFF: time::Duration = time::Duration::seconds(5);
/// An embedded store needs room to grow.
const LEAST_ROOM: u64 = 64 * 1024 * 1024;
const LITTLE_ROOM: u64 = 1024 * 1024 * 1024;
const SOON_DAYS: i32 = 30;

/// Whether a master answers.
pub(super) async fn masters(config: &Config) -> Finding {
    let masters = config.link.masters_text();
    let variables = "MASTER_SERVER_IP, MASTER_SERVER_PORT";
    match (config.mode, operator::find_master(config).await) {
        (Mode::Standalone, _) => Ok("this process is its own".to_owned()),
        (_, Ok(found)) => Ok(format!("{found} answers")),
        (Mode::Master, Err(_)) => Ok("none runs: this process may be it".to_owned()),
        (Mode::Worker, Err(reason)) => Err(format!(
            "no master answers at {masters} ({variables}): {reason}"
        )),
    }
}

/// Whether the names of other servers can be resolved.
pub(super) async fn names(config: &Config) -> Finding {
    let mut hosts = vec![
        ("TENDERMINT_IP", config.tendermint.host.as_str()),
        ("MQ_SERVICE_SERVER_IP", config.mq.service_host.as_str()),
    ];
    if config.store == StoreChoice::Redis {
        hosts.push((config.redis.variables(), &config.redis.host));
    }
    if config.mode == Mode::Worker {
        let masters = config.link.masters.iter();
        hosts.extend(masters.map(|master| ("MASTER_SERVER_IP", master.host.as_str())));
    }
    let mut found = Vec::new();
    for (variable, host) in hosts {
        match timeout(PATIENCE, tokio::net::lookup_host((host, 0))).await {
            Ok(Ok(addresses)) => {
                let addresses: Vec<String> = addresses.map(|at| at.ip().to_string()).collect();
                found.push(format!("{host} is {}", addresses.join(", ")));
            }
            Ok(Err(error)) => return Err(format!("{variable}={host}: {error}")),
            Err(_) => return Err(format!("{variable}={host}: no answer of the resolver")),
        }
    }
    found.dedup();
    Ok(found.join("; "))
}

/// Whether the ports can be opened.
pub(super) fn ports(config: &Config) -> Finding {
    let mut ports = Vec::new();
    if config.mode != Mode::Master {
        ports.push(("SERVER_PORT", config.api.port));
    }
    if config.mode == Mode::Master {
        ports.push(("MASTER_SERVER_PORT", config.link.port));
    }
    if let Some(prometheus) = &config.prometheus {
        ports.push(("PROMETHEUS_SERVER_PORT", prometheus.port));
    }
    if let Some(dashboard) = &config.dashboard {
        ports.push(("DASHBOARD_PORT", dashboard.port));
    }
    let mut told = Vec::new();
    for (variable, port) in ports {
        let address = SocketAddr::from((Ipv4Addr::UNSPECIFIED, port));
        told.push(match TcpListener::bind(address) {
            Ok(_) => format!("{variable}={port} is free"),
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
                format!("{variable}={port} is in use, by this node if it runs")
            }
            Err(error) => return Err(format!("{variable}={port}: {error}")),
        });
    }
    Ok(told.join("; "))
}

/// How long the configured certificates are valid.
pub(super) fn certificates(config: &Config) -> Finding {
    let mut files = Vec::new();
    if let Some(tls) = &config.api.https {
        files.push(("HTTPS_CERT_PATH", &tls.certificate));
    }
    if let Some(tls) = config.prometheus.as_ref().and_then(|of| of.https.as_ref()) {
        files.push(("PROMETHEUS_HTTPS_CERT_PATH", &tls.certificate));
    }
    if let Some(tls) = &config.grpc.tls {
        files.push(("GRPC_SSL_CERT_FILE_PATH", &tls.own.certificate));
        files.push(("GRPC_SSL_ROOT_CERT_FILE_PATH", &tls.root));
    }
    let mut told = Vec::new();
    for (variable, path) in files {
        let days = days_left(path).map_err(|error| format!("{variable}: {error}"))?;
        told.push(match days {
            ..0 => return Err(format!("{variable}={} has expired", path.display())),
            0..SOON_DAYS => format!("{variable} ends in {days} days: renew it"),
            _ => format!("{variable} ends in {days} days"),
        });
    }
    Ok(match told.is_empty() {
        true => "none is configured".to_owned(),
        false => told.join("; "),
    })
}

/// Of the certificate of a chain that ends first.
fn days_left(path: &Path) -> Result<i32, String> {
    let pem = std::fs::read(path).map_err(|error| error.to_string())?;
    let chain = X509::stack_from_pem(&pem).map_err(|error| error.to_string())?;
    let now = Asn1Time::days_from_now(0).map_err(|error| error.to_string())?;
    let days = chain.iter().map(|certificate| {
        let left = now.diff(certificate.not_after());
        left.map(|left| {
            if left.secs < 0 {
                left.days - 1
            } else {
                left.days
            }
        })
    });
    let days: Result<Vec<i32>, _> = days.collect();
    let days = days.map_err(|error| error.to_string())?;
    days.into_iter().min().ok_or("no certificate".to_owned())
}

/// Whether the clock is behind the ledger's last block.
pub(super) async fn clock(config: &Config) -> Finding {
    let at = match block_time(config).await {
        Ok(at) => at,
        Err(reason) => return Ok(format!("not compared with the ledger's: {reason}")),
    };
    let behind = at - OffsetDateTime::now_utc();
    match behind > CLOCK_OFF {
        true => Err(format!(
            "this machine's clock is {} s behind the ledger's last block: set it",
            behind.whole_seconds()
        )),
        false => Ok("it is not behind the ledger's last block".to_owned()),
    }
}

async fn block_time(config: &Config) -> Result<OffsetDateTime, String> {
    let tendermint = &config.tendermint;
    let url = format!("http://{}:{}/status", tendermint.host, tendermint.port);
    let client = reqwest::Client::builder().no_proxy().timeout(PATIENCE);
    let client = client.build().map_err(|error| error.to_string())?;
    let asked = async { client.get(&url).send().await?.json().await };
    let status: serde_json::Value = asked.await.map_err(|error| error.to_string())?;
    let at = &status["result"]["sync_info"]["latest_block_time"];
    let at = at
        .as_str()
        .ok_or("the ledger tells no time of its last block")?;
    OffsetDateTime::parse(at, &Rfc3339).map_err(|error| error.to_string())
}

/// Whether there is room where the store is.
pub(super) fn disk(config: &Config) -> Finding {
    if config.store != StoreChoice::Embedded || config.mode == Mode::Worker {
        return Ok("this process keeps nothing on it".to_owned());
    }
    let path = &config.data_directory;
    let told = |error| format!("DATA_DIRECTORY_PATH={}: {error}", path.display());
    let disk = statvfs(path.as_path()).map_err(|error| told(error.to_string()))?;
    let free = disk.blocks_available() as u64 * disk.fragment_size() as u64;
    let megabytes = free / 1_000_000;
    match free {
        ..LEAST_ROOM => Err(told(format!("only {megabytes} MB are free"))),
        LEAST_ROOM..LITTLE_ROOM => Ok(format!("{megabytes} MB are free, which is little")),
        _ => Ok(format!("{megabytes} MB are free")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_and_disk_of_a_node_are_looked_at() {
        let mut config = Config::for_test("rp1");
        let taken = TcpListener::bind((Ipv4Addr::UNSPECIFIED, 0)).unwrap();
        config.api.port = taken.local_addr().unwrap().port();
        assert!(ports(&config).unwrap().contains("in use"));
        let directory = tempfile::tempdir().unwrap();
        config.data_directory = directory.path().to_owned();
        assert!(disk(&config).unwrap().contains("MB are free"));
        config.data_directory = directory.path().join("none");
        assert!(disk(&config).unwrap_err().contains("DATA_DIRECTORY_PATH"));
        assert_eq!(certificates(&config).unwrap(), "none is configured");
    }

    #[tokio::test]
    async fn a_name_that_cannot_be_resolved_is_named_with_its_variable() {
        let mut config = Config::for_test("rp1");
        config.tendermint.host = "127.0.0.1".to_owned();
        config.mq.service_host = "no-such-host.invalid".to_owned();
        let told = names(&config).await.unwrap_err();
        assert!(
            told.starts_with("MQ_SERVICE_SERVER_IP=no-such-host.invalid"),
            "{told}"
        );
    }
}
