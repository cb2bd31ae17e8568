//! JSON as CometBFT 0.38 writes it (spec/ledger.md 1.3-1.5): 64-bit numbers
//! are text, bytes are base64, hashes are upper-case hex.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use openssl::sha::sha256;
use prost::bytes::Bytes;
use serde_json::{Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::devnet::ledger::app::{QueryResponse, TxResult};
use crate::devnet::ledger::chain::{Block, Chain, Included, VOTING_POWER, data_hash};

const COMETBFT_VERSION: &str = "0.38.6";
const APP_VERSION: &str = "9.0.0";
const APP_PROTOCOL: &str = "5";

fn hex_bytes(bytes: &[u8]) -> String {
    hex::encode_upper(bytes)
}

fn base64_or_null(bytes: Option<&[u8]>) -> Value {
    bytes.map_or(Value::Null, |bytes| json!(STANDARD.encode(bytes)))
}

fn moment(time: OffsetDateTime) -> String {
    // Block times are of our clock, far inside the years RFC 3339 can write.
    time.format(&Rfc3339).unwrap_or_default()
}

/// `status`.
pub fn status(chain: &Chain) -> Value {
    let validator = chain.validator();
    let address = hex_bytes(&validator.address);
    let mut sync = json!({
        "latest_block_hash": "",
        "latest_app_hash": "",
        "latest_block_height": "0",
        "latest_block_time": "0001-01-01T00:00:00Z",
        "earliest_block_hash": "",
        "earliest_app_hash": "",
        "earliest_block_height": "0",
        "earliest_block_time": "0001-01-01T00:00:00Z",
        "catching_up": false,
    });
    let last = chain.last_block().map(AsRef::as_ref);
    let latest = chain.stored().or(last);
    let earliest = chain.block(1).map(AsRef::as_ref).or(latest);
    for (which, block) in [("latest", latest), ("earliest", earliest)] {
        if let Some(block) = block {
            sync[format!("{which}_block_hash")] = json!(hex_bytes(&block.hash));
            sync[format!("{which}_app_hash")] = json!(hex_bytes(&block.app_hash));
            sync[format!("{which}_block_height")] = json!(block.height.to_string());
            sync[format!("{which}_block_time")] = json!(moment(block.time));
        }
    }
    json!({
        "node_info": {
            "protocol_version": {"p2p": "8", "block": "11", "app": APP_PROTOCOL},
            "id": address.to_lowercase(),
            "listen_addr": "",
            "network": chain.chain_id(),
            "version": COMETBFT_VERSION,
            "channels": "",
            "moniker": "erawan-devledger",
            "other": {"tx_index": "on", "rpc_address": ""},
        },
        "sync_info": sync,
        "validator_info": {
            "address": address,
            "pub_key": {"type": "tendermint/PubKeyEd25519", "value": validator.public_key},
            "voting_power": VOTING_POWER.to_string(),
        },
    })
}

/// `abci_info`.
pub fn abci_info(chain: &Chain) -> Value {
    json!({"response": {
        "data": "{\"initial_state_data_loaded\":false}",
        "version": APP_VERSION,
        "app_version": APP_PROTOCOL,
        "last_block_height": chain.height().to_string(),
        "last_block_app_hash": STANDARD.encode(chain.app_hash()),
    }})
}

/// `num_unconfirmed_txs`.
pub fn unconfirmed(count: usize, bytes: usize) -> Value {
    json!({
        "n_txs": count.to_string(),
        "total": count.to_string(),
        "total_bytes": bytes.to_string(),
        "txs": null,
    })
}

/// `abci_query`.
pub fn query_answer(answer: &QueryResponse, height: i64) -> Value {
    json!({"response": {
        "code": answer.code,
        "log": answer.log,
        "info": "",
        "index": "0",
        "key": null,
        "value": base64_or_null(answer.value.as_deref()),
        "proofOps": null,
        "height": height.to_string(),
        "codespace": "",
    }})
}

/// `broadcast_tx_sync`.
pub fn broadcast(result: &TxResult, hash: &[u8]) -> Value {
    json!({
        "code": result.code,
        "data": "",
        "log": result.log,
        "codespace": "",
        "hash": hex_bytes(hash),
    })
}

fn block_id(hash: Option<&[u8; 32]>) -> Value {
    let (text, total) = hash.map_or_else(Default::default, |hash| (hex_bytes(hash), 1));
    json!({"hash": text, "parts": {"total": total, "hash": text}})
}

fn base64_list(transactions: &[Bytes]) -> Value {
    transactions
        .iter()
        .map(|tx| json!(STANDARD.encode(tx)))
        .collect()
}

fn block_body(chain: &Chain, block: &Block) -> Value {
    let validator = chain.validator();
    let validators_hash = hex_bytes(&sha256(validator.public_key.as_bytes()));
    let nothing_hash = hex_bytes(&sha256(b""));
    let last_block_id = block_id(block.last_hash.as_ref());
    let results_hash = |block: &Block| {
        let text = results(block).to_string();
        hex_bytes(&sha256(text.as_bytes()))
    };
    let last_results_hash = chain.block(block.height - 1).map(|last| results_hash(last));
    json!({
        "header": {
            "version": {"block": "11", "app": APP_PROTOCOL},
            "chain_id": chain.chain_id(),
            "height": block.height.to_string(),
            "time": moment(block.time),
            "last_block_id": last_block_id,
            "last_commit_hash": nothing_hash,
            "data_hash": hex_bytes(&data_hash(&block.transactions)),
            "validators_hash": validators_hash,
            "next_validators_hash": validators_hash,
            "consensus_hash": nothing_hash,
            "app_hash": hex_bytes(&block.app_hash),
            "last_results_hash": last_results_hash.unwrap_or(nothing_hash.clone()),
            "evidence_hash": nothing_hash,
            "proposer_address": hex_bytes(&validator.address),
        },
        "data": {"txs": base64_list(&block.transactions)},
        "evidence": {"evidence": []},
        "last_commit": {
            "height": (block.height - 1).to_string(),
            "round": 0,
            "block_id": last_block_id,
            "signatures": [],
        },
    })
}

/// `block`.
pub fn block(chain: &Chain, block: &Block) -> Value {
    json!({"block_id": block_id(Some(&block.hash)), "block": block_body(chain, block)})
}

fn result(result: &TxResult) -> Value {
    let attributes = result
        .attributes
        .iter()
        .map(|(key, value)| json!({"key": key, "value": value, "index": false}));
    let attributes: Vec<Value> = attributes.collect();
    json!({
        "code": result.code,
        "data": base64_or_null(result.data.as_deref()),
        "log": result.log,
        "info": "",
        "gas_wanted": "0",
        "gas_used": "0",
        "events": [{"type": "did.result", "attributes": attributes}],
        "codespace": "",
    })
}

/// Results of the transactions, null for an empty block.
fn results(block: &Block) -> Value {
    match block.result.transactions.as_slice() {
        [] => Value::Null,
        results => results.iter().map(result).collect(),
    }
}

fn validator_updates(block: &Block) -> Value {
    let updates = block.result.validators.iter().map(|(key, power)| {
        json!({
            "pub_key": {"Sum": {
                "type": "tendermint.crypto.PublicKey_Ed25519",
                "value": {"ed25519": key},
            }},
            "power": power.to_string(),
        })
    });
    updates.collect()
}

/// `block_results`.
pub fn block_results(block: &Block) -> Value {
    json!({
        "height": block.height.to_string(),
        "txs_results": results(block),
        "finalize_block_events": [],
        "validator_updates": validator_updates(block),
        "consensus_param_updates": null,
        "app_hash": STANDARD.encode(block.app_hash_after),
    })
}

/// `tx`.
pub fn transaction(included: &Included, hash: &[u8]) -> Value {
    let Included { block, index } = included;
    json!({
        "hash": hex_bytes(hash),
        "height": block.height.to_string(),
        "index": index,
        "tx_result": block.result.transactions.get(*index).map(result),
        "tx": block.transactions.get(*index).map(|tx| STANDARD.encode(tx)),
    })
}

/// Member `data` of the event NewBlock.
pub fn new_block(chain: &Chain, block: &Block) -> Value {
    json!({
        "type": "tendermint/event/NewBlock",
        "value": {
            "block": block_body(chain, block),
            "block_id": block_id(Some(&block.hash)),
            "result_finalize_block": {
                "events": [],
                "tx_results": results(block),
                "validator_updates": validator_updates(block),
                "consensus_param_updates": null,
                "app_hash": STANDARD.encode(block.app_hash_after),
            },
        },
    })
}

/// The event NewBlock as a subscription gets it. `data`: the text of
/// [`new_block`], the same for all subscriptions.
pub fn event(id: &Value, query: &str, data: &str) -> String {
    let query = json!(query);
    format!(
        r#"{{"jsonrpc":"2.0","id":{id},"result":{{"query":{query},"data":{data},"events":{{"tm.event":["NewBlock"]}}}}}}"#
    )
}
