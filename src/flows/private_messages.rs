//! The long-term record of messages received and sent (spec/flows.md 1.8,
//! spec/http-api.md 3.5). Table `PrivateMessage`: a row per node and request,
//! a column per message, JSON.

use serde::Deserialize;
use serde_json::{Value, json};

use crate::api::{ApiCall, Audience, CallOutcome, Endpoint, Texts};
use crate::context::{Context, row, state};
use crate::error::{Error, codes};
use crate::flows::utility::key;
use crate::job::{Column, Table, Write};
use crate::ledger::query;

/// The message types, in the order in which they are shown.
const TYPES: [&str; 4] = [
    "idp_response",
    "as_response",
    "consent_request",
    "data_request",
];

/// A look-up, and the removals of all messages and of the messages of a request.
pub fn endpoints() -> [Endpoint; 3] {
    let removal = "/utility/private_message_removal";
    let removal_of_request = "/utility/private_message_removal/:request_id";
    [
        Endpoint::get("/utility/private_messages/:request_id", Audience::Everybody)
            .does("Shows the messages that this node sent and received for a request.")
            .path::<Path>()
            .query::<Texts>()
            .tells(json!([shown()]))
            .run(run_find),
        Endpoint::post(removal, Audience::Everybody)
            .does("Removes the messages of all requests from this node.")
            .query::<Texts>()
            .run(run_remove_all),
        Endpoint::post(removal_of_request, Audience::Everybody)
            .does("Removes the messages of a request from this node.")
            .path::<Path>()
            .query::<Texts>()
            .run(run_remove),
    ]
}

/// Shape of a message.
fn shown() -> Value {
    json!({
        "message": "any",
        "direction": "text",
        "timestamp": "integer",
        "source?": {"node_id": "text", "proxy_node_id?": "text", "proxy_config?": "text"},
        "signature?": "text",
        "signature_for_proxy?": "text",
        "destinations?": [{
            "node_id": "text",
            "encryption_public_key": key(),
            "ip": "text",
            "port": "integer",
            "proxy_node_id?": "text",
            "proxy_encryption_public_key?": key(),
            "proxy_config?": "text",
        }],
    })
}

#[derive(Deserialize)]
struct Path {
    request_id: String,
}

async fn run_find(call: ApiCall<Path>) -> Result<CallOutcome, Error> {
    let request_id = &call.path.request_id;
    let kind = call.query.kind.as_deref();
    let messages = find(&call.context, &call.node_id, request_id, kind).await?;
    Ok(CallOutcome::found(messages.map(Value::Array)))
}

async fn run_remove_all(call: ApiCall) -> Result<CallOutcome, Error> {
    let kind = call.query.kind.as_deref();
    let removal = remove(&call.context, &call.node_id, None, kind).await?;
    Ok(CallOutcome::Stored(removal))
}

async fn run_remove(call: ApiCall<Path>) -> Result<CallOutcome, Error> {
    let request_id = Some(call.path.request_id.as_str());
    let kind = call.query.kind.as_deref();
    let removal = remove(&call.context, &call.node_id, request_id, kind).await?;
    Ok(CallOutcome::Stored(removal))
}

/// The messages of a request, of one type if given; `None` if the ledger does
/// not know the request.
///
/// # Errors
/// 10000 for an unknown type; those of ledger and store.
pub async fn find(
    context: &Context,
    node_id: &str,
    request_id: &str,
    message_type: Option<&str>,
) -> Result<Option<Vec<Value>>, Error> {
    check_type(message_type)?;
    let detail = query::request_detail(context.ledger.as_ref(), request_id, None).await?;
    if detail.is_none() {
        return Ok(None);
    }
    let record = row(node_id, request_id);
    let records = state::load_columns(context, Table::PrivateMessage, &record).await?;
    let mut messages: Vec<Value> = records.into_iter().map(|(_, message)| message).collect();
    messages.retain(|message| is_of_type(message, message_type));
    messages.sort_by_key(place);
    Ok(Some(messages))
}

/// Writes that remove the messages of a request, or of all requests of the node.
///
/// # Errors
/// 10000 for an unknown type; those of the store.
pub async fn remove(
    context: &Context,
    node_id: &str,
    request_id: Option<&str>,
    message_type: Option<&str>,
) -> Result<Vec<Write>, Error> {
    check_type(message_type)?;
    let rows = match request_id {
        Some(request_id) => vec![row(node_id, request_id)],
        None => {
            let prefix = row(node_id, "");
            context.state.rows(Table::PrivateMessage, &prefix).await?
        }
    };
    let mut removals = Vec::new();
    for name in rows {
        match message_type {
            None => removals.push(Write::delete(Table::PrivateMessage, name)),
            Some(_) => {
                for column in columns_of_type(context, &name, message_type).await? {
                    removals.push(Write::DeleteColumn {
                        table: Table::PrivateMessage,
                        row: name.clone(),
                        column,
                    });
                }
            }
        }
    }
    Ok(removals)
}

async fn columns_of_type(
    context: &Context,
    row: &str,
    message_type: Option<&str>,
) -> Result<Vec<Column>, Error> {
    let records = state::load_columns(context, Table::PrivateMessage, row).await?;
    let of_type = records
        .into_iter()
        .filter(|(_, message)| is_of_type(message, message_type));
    Ok(of_type.map(|(column, _)| column).collect())
}

fn check_type(message_type: Option<&str>) -> Result<(), Error> {
    match message_type {
        Some(name) if !TYPES.contains(&name) => Err(Error::with_message(
            codes::UNKNOWN_ERROR,
            format!("unknown message type {name}"),
        )),
        _ => Ok(()),
    }
}

fn is_of_type(message: &Value, message_type: Option<&str>) -> bool {
    message_type.is_none_or(|name| message["message"]["type"] == name)
}

/// By type, inbound first, then by time.
fn place(message: &Value) -> (usize, bool, u64) {
    let name = message["message"]["type"].as_str().unwrap_or_default();
    let of_type = TYPES.iter().position(|known| *known == name);
    let is_outbound = message["direction"] == "outbound";
    let time = message["timestamp"].as_u64().unwrap_or_default();
    (of_type.unwrap_or(TYPES.len()), is_outbound, time)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::context::Role;
    use crate::flows::testing::{TestNode, recorded};
    use crate::messaging::outbound::record_column;

    fn known_request() -> String {
        let queries = recorded("queries.jsonl");
        let detail = queries
            .iter()
            .find(|query| query["method"] == "GetRequestDetail");
        let request_id = &detail.unwrap()["params"]["request_id"];
        request_id.as_str().unwrap().to_owned()
    }

    fn store(node: &TestNode, request_id: &str, name: &str, direction: &str, number: u64) {
        let record = json!({
            "message": {"type": name}, "direction": direction, "timestamp": number,
        });
        node.state.apply(&[Write::put_column(
            Table::PrivateMessage,
            row("rp1", request_id),
            record_column(name, direction, &(1000 - number).to_string()),
            record.to_string().into_bytes(),
        )]);
    }

    fn stored() -> (TestNode, String) {
        let node = TestNode::new("rp1", Role::Rp);
        let request_id = known_request();
        store(&node, &request_id, "data_request", "outbound", 1);
        store(&node, &request_id, "idp_response", "inbound", 2);
        store(&node, &request_id, "consent_request", "outbound", 3);
        store(&node, &request_id, "consent_request", "inbound", 4);
        store(&node, &request_id, "as_response", "inbound", 5);
        store(&node, &request_id, "idp_response", "inbound", 6);
        (node, request_id)
    }

    async fn shown(node: &TestNode, request_id: &str, name: Option<&str>) -> Vec<u64> {
        let found = find(&node.context, "rp1", request_id, name).await.unwrap();
        let found = found.unwrap();
        found
            .iter()
            .map(|message| message["timestamp"].as_u64().unwrap())
            .collect()
    }

    #[tokio::test]
    async fn messages_are_shown_by_type_and_direction_then_oldest_first() {
        let (node, request_id) = stored();
        assert_eq!(shown(&node, &request_id, None).await, [2, 6, 5, 4, 3, 1]);
        let of_type = shown(&node, &request_id, Some("consent_request")).await;
        assert_eq!(of_type, [4, 3]);
    }

    #[tokio::test]
    async fn an_unknown_request_or_type_has_none() {
        let (node, request_id) = stored();
        let unknown = json!({"request_id": "none"});
        node.ledger.answer("GetRequestDetail", unknown, Value::Null);
        let found = find(&node.context, "rp1", "none", None).await.unwrap();
        assert_eq!(found, None);
        let refused = find(&node.context, "rp1", &request_id, Some("x")).await;
        assert_eq!(refused.unwrap_err().code().number, 10000);
        let refused = remove(&node.context, "rp1", None, Some("x")).await;
        assert_eq!(refused.unwrap_err().code().number, 10000);
    }

    #[tokio::test]
    async fn removal_is_by_request_or_of_all_and_by_type() {
        let (node, request_id) = stored();
        store(&node, "another", "as_response", "inbound", 7);
        let responses = Some("idp_response");
        let removal = remove(&node.context, "rp1", Some(&request_id), responses).await;
        node.state.apply(&removal.unwrap());
        assert_eq!(shown(&node, &request_id, None).await, [5, 4, 3, 1]);
        let removal = remove(&node.context, "rp1", Some(&request_id), None).await;
        node.state.apply(&removal.unwrap());
        assert_eq!(shown(&node, &request_id, None).await, Vec::<u64>::new());
        assert_eq!(
            node.state.names(Table::PrivateMessage),
            [row("rp1", "another")]
        );
        let other = remove(&node.context, "rp", None, None).await.unwrap();
        assert!(other.is_empty(), "rp is not rp1");
        let removal = remove(&node.context, "rp1", None, None).await;
        node.state.apply(&removal.unwrap());
        assert!(node.state.names(Table::PrivateMessage).is_empty());
    }
}
