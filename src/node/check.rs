//! `erawan check`: checks the environment, and whether its addresses can be
//! reached.

use std::io;
use std::process::ExitCode;
use std::time::Duration;

use tokio::time::timeout;

use super::{WRONG_ENVIRONMENT, certificates, keys, surroundings};
use crate::config::address::authority;
use crate::config::{self, Config, Keys, Mode, StoreChoice};
use crate::crypto::key_files;
use crate::ledger::rpc::RpcOptions;
use crate::ledger::{LedgerClient, query};
use crate::mq::client::MqClient;
use crate::output;
use crate::store::redis::{self, RedisStore};
use crate::tls::LinkSecurity;

const PATIENCE: Duration = Duration::from_secs(5);

/// The result of one check.
pub(super) type Finding = Result<String, String>;

/// Runs the checks and prints a line for each. Exit code 64 for a wrong
/// environment, 1 when something cannot be reached.
/// # Errors
/// When the output cannot be written.
pub async fn check() -> io::Result<ExitCode> {
    let config = match config::load() {
        Ok(config) => config,
        Err(mistakes) => {
            output::say(mistakes)?;
            return Ok(ExitCode::from(WRONG_ENVIRONMENT));
        }
    };
    output::say(format_args!(
        "ok      environment: {:?} of node {}",
        config.mode, config.node_id
    ))?;
    for warning in &config.warnings {
        output::say(format_args!("note    {warning}"))?;
    }
    let mut code = ExitCode::SUCCESS;
    for (variable, file) in certificates::files(&config) {
        match certificates::trouble(variable, &file) {
            Ok(expiry) => output::say(format_args!(
                "ok      {variable}: {} until {}",
                expiry.title, expiry.end
            ))?,
            Err(problem) => {
                output::say(format_args!("FAILED  certificates: {problem}"))?;
                code = ExitCode::FAILURE;
            }
        }
    }
    let findings = [
        ("cluster link", check_link(&config)),
        ("keys", check_keys(&config)),
        ("store", check_store(&config).await),
        ("ledger", check_ledger(&config).await),
        ("message queue service", check_mq(&config).await),
        ("master", surroundings::masters(&config).await),
        ("names", surroundings::names(&config).await),
        ("ports", surroundings::ports(&config)),
        ("certificates", surroundings::certificates(&config)),
        ("clock", surroundings::clock(&config).await),
        ("disk", surroundings::disk(&config)),
    ];
    for (what, finding) in findings {
        match finding {
            Ok(found) => output::say(format_args!("ok      {what}: {found}"))?,
            Err(problem) => {
                output::say(format_args!("FAILED  {what}: {problem}"))?;
                code = ExitCode::FAILURE;
            }
        }
    }
    Ok(code)
}

fn check_link(config: &Config) -> Finding {
    let security = LinkSecurity::of(config).map_err(|error| error.to_string())?;
    Ok(match security {
        LinkSecurity::Certificates(_) => "secured by certificates (GRPC_SSL)",
        LinkSecurity::Secret(_) => "secured by a token (CLUSTER_TOKEN_FILE)",
        LinkSecurity::Open if config.mode == Mode::Standalone => "inside this process",
        LinkSecurity::Open => "not secured: for one machine (GRPC_SSL, CLUSTER_TOKEN_FILE)",
    }
    .to_owned())
}

fn check_keys(config: &Config) -> Finding {
    match &config.keys {
        Keys::External => Ok("an external crypto service".to_owned()),
        keys @ Keys::Files { .. } => key_files::load_own(keys)
            .map(|_| "key files can be used".to_owned())
            .map_err(|error| error.to_string()),
    }
}

async fn check_store(config: &Config) -> Finding {
    match (config.store, config.mode) {
        (StoreChoice::Redis, _) => {
            let target = redis::RedisTarget {
                redis: config.redis.clone(),
                node_id: config.node_id.clone(),
            };
            let (address, variables) = (config.redis.to_string(), config.redis.variables());
            let connected = timeout(PATIENCE, RedisStore::connect(target)).await;
            match connected {
                Ok(Ok(store)) => {
                    let dangers = store.dangers().await.into_iter();
                    let dangers: String = dangers.map(|danger| format!("; {danger}")).collect();
                    Ok(format!("Redis at {address} answers{dangers}"))
                }
                Ok(Err(error)) => Err(format!("Redis at {address} ({variables}): {error}")),
                Err(_) => Err(format!("Redis at {address} ({variables}) does not answer")),
            }
        }
        (StoreChoice::Embedded, Mode::Worker) => {
            Ok("embedded, at the master, which this command does not call".to_owned())
        }
        (StoreChoice::Embedded, _) => {
            Ok(format!("embedded, in {}", config.data_directory.display()))
        }
    }
}

async fn check_ledger(config: &Config) -> Finding {
    let tendermint = &config.tendermint;
    let address = authority(&tendermint.host, tendermint.port);
    let client = LedgerClient::start(RpcOptions::new(tendermint.host.clone(), tendermint.port, 1));
    let asked = timeout(PATIENCE, async {
        loop {
            match client.status().await {
                Ok(status) => return status,
                Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
            }
        }
    });
    let Ok(status) = asked.await else {
        return Err(format!(
            "{address} (TENDERMINT_IP, TENDERMINT_PORT) does not answer"
        ));
    };
    let chain = format!(
        "{address}: chain {} at height {}",
        status.chain_id, status.height
    );
    if status.catching_up {
        return Err(format!("{chain}, still catching up"));
    }
    match query::node_info(client.as_ref(), &config.node_id).await {
        Ok(Some(node)) => {
            keys::check(config, &node).map(|()| format!("{chain}, this node is {}", node.role))
        }
        Ok(None) if config.ndid_node => Ok(chain),
        Ok(None) => Err(format!(
            "{chain}, which does not know NODE_ID={}",
            config.node_id
        )),
        Err(error) => Err(format!("{chain}: {error}")),
    }
}

async fn check_mq(config: &Config) -> Finding {
    let address = authority(&config.mq.service_host, config.mq.service_port);
    let variables = "MQ_SERVICE_SERVER_IP, MQ_SERVICE_SERVER_PORT";
    let client = MqClient::new(config).map_err(|error| error.to_string())?;
    match timeout(PATIENCE, client.get_info()).await {
        Ok(Ok(info)) if info.node_id == config.node_id => Ok(format!(
            "{address} serves {}, version {}",
            info.node_id, info.version
        )),
        Ok(Ok(info)) => Err(format!(
            "{address} serves {:?}, not NODE_ID={} ({variables})",
            info.node_id, config.node_id
        )),
        Ok(Err(error)) => Err(format!("{address} ({variables}): {}", error.message())),
        Err(_) => Err(format!("{address} ({variables}) does not answer")),
    }
}
