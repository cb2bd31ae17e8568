//! Information about the node, served whatever its readiness and role
//! (spec/http-api.md 3.11).

use std::sync::Arc;

use serde_json::{Map, Value, json};

use super::own_endpoints::{get, own};
use super::readiness::Readiness;
use crate::api::{CallOutcome, Endpoint, Success};
use crate::config::Environment;
use crate::config::address::authority;
use crate::context::Context;
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

/// The message queue service, as it describes itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MessageQueueService {
    /// Node it serves.
    pub node_id: String,
    /// Port other nodes reach it on.
    pub message_queue_port: u16,
}

/// Most blocks that are named; a node that lags far behind has millions.
const BLOCKS_NAMED: usize = 1000;

/// The node's open work, as a process knows it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ProcessStatus {
    /// `None` while it cannot be reached.
    pub message_queue_service: Option<MessageQueueService>,
    /// Messages that no other node has acknowledged yet.
    pub pending_outbound_messages: u64,
    /// Callbacks that are not delivered yet.
    pub pending_callbacks: u64,
    /// Calls of the external crypto service that have no answer yet.
    pub pending_external_crypto_calls: u64,
    /// Blocks that are being processed.
    pub processing_blocks: Option<Blocks>,
    /// Messages that are being processed.
    pub processing_inbound_messages: u64,
}

/// The sources of a process's information.
#[derive(Clone)]
struct ProcessInformation {
    status: Arc<dyn Fn() -> ProcessStatus + Send + Sync>,
    readiness: Arc<dyn Fn() -> Readiness + Send + Sync>,
}

const PLAIN: &str = "text/plain; charset=utf-8";
const HTML: &str = "text/html; charset=utf-8";

pub(super) fn endpoints(
    status: &Arc<dyn Fn() -> ProcessStatus + Send + Sync>,
    readiness: &Arc<dyn Fn() -> Readiness + Send + Sync>,
) -> Vec<Endpoint> {
    let process = ProcessInformation {
        status: status.clone(),
        readiness: readiness.clone(),
    };
    let mut all = counts(&process.status);
    all.extend([
        own(
            get("/license", "Shows the licence.").answers(Success::text(PLAIN)),
            |_| async {
                let (content_type, text) = (PLAIN, LICENSE.into());
                Ok(CallOutcome::Text { content_type, text })
            },
        ),
        own(
            get("/source", "Shows where this program comes from.").answers(Success::text(HTML)),
            |_| async { Ok(source(env!("CARGO_PKG_REPOSITORY"))) },
        ),
        own(
            get(
                "/info",
                "Shows what this process is and what it is connected to.",
            )
            .tells(shown_info()),
            move |call| info(call.context, process.clone()),
        ),
        own(
            get(
                "/num_expected_txs",
                "Counts the transactions that are in no block yet.",
            )
            .tells(json!({"n_expected_txs": "integer"})),
            |call| async move {
                let hashes = expected(&call.context).await?;
                Ok(CallOutcome::Ok(json!({"n_expected_txs": hashes.len()})))
            },
        ),
        own(
            get(
                "/expected_txs",
                "Lists the transactions that are in no block yet.",
            )
            .tells(json!({"expected_txs": ["text"]})),
            |call| async move {
                let hashes = expected(&call.context).await?;
                Ok(CallOutcome::Ok(json!({"expected_txs": hashes})))
            },
        ),
    ]);
    all
}

/// The endpoints that show the node's open work.
fn counts(status: &Arc<dyn Fn() -> ProcessStatus + Send + Sync>) -> Vec<Endpoint> {
    let count = |path, does, shape: Value, count: fn(ProcessStatus) -> Value| {
        let status = status.clone();
        own(get(path, does).tells(shape), move |_| {
            std::future::ready(Ok(CallOutcome::Ok(count(status()))))
        })
    };
    vec![
        count(
            "/num_pending_outbound_mq_messages",
            "Counts the messages that no other node has acknowledged yet.",
            json!({"n_pending_outbound_mq_messages": "integer"}),
            |status| json!({"n_pending_outbound_mq_messages": status.pending_outbound_messages}),
        ),
        count(
            "/num_pending_client_callbacks",
            "Counts the callbacks that are not delivered yet.",
            json!({"n_pending_client_callbacks": "integer"}),
            |status| json!({"n_pending_client_callbacks": status.pending_callbacks}),
        ),
        count(
            "/num_pending_external_crypto_callbacks",
            "Counts the calls of the external crypto service without an answer yet.",
            json!({"n_pending_external_crypto_callbacks": "integer"}),
            |status| {
                let calls = status.pending_external_crypto_calls;
                json!({"n_pending_external_crypto_callbacks": calls})
            },
        ),
        count(
            "/num_processing_blocks",
            "Counts the blocks that are being processed.",
            json!({"n_processing_blocks": "integer"}),
            |status| {
                let blocks = status.processing_blocks;
                json!({"n_processing_blocks": blocks.map_or(0, Blocks::count)})
            },
        ),
        count(
            "/processing_blocks",
            "Lists the blocks that are being processed.",
            json!({"processing_blocks": ["text"]}),
            |status| {
                let blocks = status.processing_blocks.into_iter();
                let heights = blocks.flat_map(|blocks| blocks.first..=blocks.last);
                let names = heights.take(BLOCKS_NAMED).map(|height| height.to_string());
                json!({"processing_blocks": names.collect::<Vec<_>>()})
            },
        ),
        count(
            "/num_processing_inbound_messages",
            "Counts the messages that are being processed.",
            json!({"n_processing_inbound_messages": "integer"}),
            |status| json!({"n_processing_inbound_messages": status.processing_inbound_messages}),
        ),
    ]
}

/// The URL that this program was built from: `repository` in its Cargo.toml. 404
/// where the builder has set none.
fn source(repository: &'static str) -> CallOutcome {
    match repository {
        "" => CallOutcome::NotFound,
        text => CallOutcome::Text {
            content_type: HTML,
            text: text.into(),
        },
    }
}

/// Shape of `/info`.
fn shown_info() -> Value {
    json!({
        "env": "text",
        "version~": "text",
        "api_version": "text",
        "node_id": "text",
        "node_name?": "text",
        "role?": "text",
        "server_listen_port": "integer",
        "db_ip": "text",
        "db_port": "integer",
        "message_queue_ip": "text",
        "message_queue_port": "integer",
        "message_queue_service_server": {
            "ip": "text",
            "port": "integer",
            "server_info~": {"node_id": "text", "message_queue_port": "integer"},
        },
        "tendermint_address": "text",
        "tendermint_web_socket_connected": "boolean",
        "last_known_chain_id~": "text",
        "last_known_block_height~": "integer",
    })
}

async fn expected(context: &Context) -> Result<Vec<String>, Error> {
    Ok(context.state.rows(Table::ExpectedTransaction, "").await?)
}

async fn info(context: Context, process: ProcessInformation) -> Result<CallOutcome, Error> {
    let status = (process.status)();
    let config = &context.config;
    let mut info = Map::new();
    let mut put = |name: &str, value: Value| {
        info.insert(name.to_owned(), value);
    };
    put("env", environment(config.environment).into());
    put("version", env!("CARGO_PKG_VERSION").into());
    put("api_version", "6.0".into());
    put("node_id", context.node_id().into());
    let readiness = (process.readiness)();
    // Leaves these two out without a ledger.
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
    let address = authority(&tendermint.host, tendermint.port);
    put("tendermint_address", address.into());
    put(
        "tendermint_web_socket_connected",
        readiness.ledger_connected.into(),
    );
    put("last_known_chain_id", json!(context.ledger.chain_id().ok()));
    let height = Some(context.ledger.height()).filter(|height| *height > 0);
    put("last_known_block_height", json!(height));
    Ok(CallOutcome::Ok(Value::Object(info)))
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
        let told = CallOutcome::Text {
            content_type: "text/html; charset=utf-8",
            text: url.into(),
        };
        assert_eq!(source(url), told);
        assert_eq!(source(""), CallOutcome::NotFound);
    }
}
