//! What the node tells about itself, without readiness or role
//! (spec/http-api.md 3.11).

use serde_json::{Map, Value, json};

use super::answer::PlainResponse;
use super::server::Api;
use crate::config::Environment;
use crate::error::Error;
use crate::job::Table;
use crate::ledger::query;
use crate::protocol::Blocks;

const LICENSE: &str = concat!(
    "erawan ",
    env!("CARGO_PKG_VERSION"),
    "\nLicence: ",
    env!("CARGO_PKG_LICENSE"),
    "\n"
);

/// What the message queue service says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MessageQueueService {
    /// Node it serves.
    pub node_id: String,
    /// Port other nodes reach it on.
    pub message_queue_port: u16,
}

/// Most blocks that are named; a node that has much to catch up with has millions.
const BLOCKS_NAMED: usize = 1000;

/// What a process knows of the node's work.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Status {
    /// `None` while it cannot be reached.
    pub message_queue_service: Option<MessageQueueService>,
    /// Messages that no other node has acknowledged yet.
    pub pending_outbound_messages: u64,
    /// Callbacks that are not delivered yet.
    pub pending_callbacks: u64,
    /// Calls of the external crypto service without an answer yet.
    pub pending_external_crypto_calls: u64,
    /// Blocks whose effects are being worked out.
    pub processing_blocks: Option<Blocks>,
    /// Messages being worked on.
    pub processing_inbound_messages: u64,
}

/// Paths that are answered here.
const NAMES: [&str; 11] = [
    "license",
    "source",
    "info",
    "num_expected_txs",
    "expected_txs",
    "num_pending_outbound_mq_messages",
    "num_pending_client_callbacks",
    "num_pending_external_crypto_callbacks",
    "num_processing_blocks",
    "processing_blocks",
    "num_processing_inbound_messages",
];

/// Whether a path is one of these.
pub(super) fn is_known(path: &[&str]) -> bool {
    let is_name = |name: &&str| NAMES.iter().any(|known| known.eq_ignore_ascii_case(name));
    matches!(path, [name] if is_name(name))
}

/// The answer to a GET, if the path is one of these.
pub(super) async fn answer(api: &Api, path: &[&str]) -> Option<PlainResponse> {
    let [name] = path else {
        return None;
    };
    if !is_known(path) {
        return None;
    }
    let count = |name: &str, number: u64| Ok(json!({name: number}));
    let status = (api.options.status)();
    let body = match name.to_ascii_lowercase().as_str() {
        "license" => return Some(PlainResponse::text("text/plain; charset=utf-8", LICENSE)),
        "source" => return Some(source(env!("CARGO_PKG_REPOSITORY"))),
        "info" => Ok(info(api, &status).await),
        "num_expected_txs" => expected(api)
            .await
            .map(|hashes| json!({"n_expected_txs": hashes.len()})),
        "expected_txs" => expected(api)
            .await
            .map(|hashes| json!({"expected_txs": hashes})),
        "num_pending_outbound_mq_messages" => count(
            "n_pending_outbound_mq_messages",
            status.pending_outbound_messages,
        ),
        "num_pending_client_callbacks" => {
            count("n_pending_client_callbacks", status.pending_callbacks)
        }
        "num_pending_external_crypto_callbacks" => count(
            "n_pending_external_crypto_callbacks",
            status.pending_external_crypto_calls,
        ),
        "num_processing_blocks" => {
            let blocks = status.processing_blocks;
            count("n_processing_blocks", blocks.map_or(0, Blocks::count))
        }
        "processing_blocks" => {
            let blocks = status.processing_blocks.into_iter();
            let heights = blocks.flat_map(|blocks| blocks.first..=blocks.last);
            let names = heights.take(BLOCKS_NAMED).map(|height| height.to_string());
            Ok(json!({"processing_blocks": names.collect::<Vec<_>>()}))
        }
        "num_processing_inbound_messages" => count(
            "n_processing_inbound_messages",
            status.processing_inbound_messages,
        ),
        _ => return None,
    };
    Some(match body {
        Ok(body) => PlainResponse::json(200, &body),
        Err(error) => PlainResponse::error(&error, &api.options.context.config.api),
    })
}

/// Where the program comes from: `repository` in Cargo.toml of whoever built it;
/// 404 where that is not set, since there is nothing true to say.
fn source(repository: &'static str) -> PlainResponse {
    match repository {
        "" => PlainResponse::empty(404),
        repository => PlainResponse::text("text/html; charset=utf-8", repository),
    }
}

async fn expected(api: &Api) -> Result<Vec<String>, Error> {
    let state = &api.options.context.state;
    Ok(state.rows(Table::ExpectedTransaction, "").await?)
}

async fn info(api: &Api, status: &Status) -> Value {
    let context = &api.options.context;
    let config = &context.config;
    let mut info = Map::new();
    let mut put = |name: &str, value: Value| {
        info.insert(name.to_owned(), value);
    };
    put("env", environment(config.environment).into());
    put("version", env!("CARGO_PKG_VERSION").into());
    put("api_version", "6.0".into());
    put("node_id", context.node_id().into());
    let readiness = (api.options.readiness)();
    // Without the ledger these two are left out.
    if readiness.ledger_connected
        && let Ok(Some(node)) = query::node_info(context.ledger.as_ref(), context.node_id()).await
    {
        put("node_name", node.node_name.into());
        put("role", node.role.into());
    }
    put("server_listen_port", config.api.port.into());
    put("db_ip", config.redis.host.as_str().into());
    put("db_port", config.redis.port.into());
    put("message_queue_ip", config.mq.contact_ip.as_str().into());
    put("message_queue_port", config.mq.binding_port.into());
    let service = status.message_queue_service.as_ref().map(|service| {
        json!({
            "node_id": service.node_id,
            "message_queue_port": service.message_queue_port,
        })
    });
    put(
        "message_queue_service_server",
        json!({
            "ip": config.mq.service_host,
            "port": config.mq.service_port,
            "server_info": service,
        }),
    );
    let tendermint = &config.tendermint;
    let address = format!("{}:{}", tendermint.host, tendermint.port);
    put("tendermint_address", address.into());
    put(
        "tendermint_web_socket_connected",
        readiness.ledger_connected.into(),
    );
    put("last_known_chain_id", json!(context.ledger.chain_id().ok()));
    let height = Some(context.ledger.height()).filter(|height| *height > 0);
    put("last_known_block_height", json!(height));
    Value::Object(info)
}

/// `NODE_ENV`.
pub(super) fn environment(environment: Environment) -> &'static str {
    match environment {
        Environment::Development => "development",
        Environment::Production => "production",
        Environment::Test => "test",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_source_is_told_where_the_build_knows_it() {
        let url = "https://git.bank.example/erawan";
        let told = PlainResponse::text("text/html; charset=utf-8", url);
        assert_eq!(source(url), told);
        assert_eq!(told.status(), 200);
        assert_eq!(source(""), PlainResponse::empty(404));
    }
}
