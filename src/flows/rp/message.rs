//! `POST /rp/messages`: writes a message to the ledger (spec/flows.md 2.10,
//! spec/http-api.md 3.1). Sends nothing to other nodes.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, json};

use crate::api::{ApiCall, ApiVersion, Audience, CallOutcome, Endpoint, NoPath, Texts};
use crate::context::{Context, row};
use crate::crypto::hash;
use crate::delivery::transaction::{Continuation, Transact};
use crate::error::{Error, codes};
use crate::flows::dispatch::Flow;
use crate::flows::initial_salt;
use crate::flows::ledger_call::{accept_transaction, settlement};
use crate::flows::reply::ReplyTo;
use crate::job::{Commit, Guard, Job, Kind, Row, Spec, Table, Write};

crate::job::stored! {
    "rp_message": MessageContext = 1,
}

/// The transaction that writes a message has settled.
pub const KIND: Kind = Kind::new(&Spec::transactional(41, "rp.message_created"));

pub(in crate::flows) const FLOW: Flow =
    Flow::new(KIND, |context, job| Box::pin(handle(context, job)));

/// `type` of the callback.
const RESULT: &str = "create_message_result";

/// Longest purpose, in units of UTF-16.
const MOST_PURPOSE: usize = 512;

/// Longest message that is not hashed, in units of UTF-16.
const MOST_MESSAGE: usize = 1024;

pub fn endpoint() -> Endpoint {
    Endpoint::post("/rp/messages", Audience::Rp)
        .does("Writes a message on the ledger, or only its hash.")
        .begins()
        .body::<Body>()
        .accepts(json!({"message_id": "text", "initial_salt?": "text"}))
        .run(run)
        .since(ApiVersion::V5)
}

/// Body of the call.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
struct Body {
    /// `reference_id` and `callback_url`.
    #[serde(flatten)]
    reply: ReplyTo,
    /// The message.
    message: String,
    /// What it is for.
    purpose: String,
    /// At least 44 characters; generated when absent or empty.
    #[serde(default)]
    #[schemars(with = "String")]
    initial_salt: Option<String>,
    /// Whether only a hash of the message is written.
    #[serde(default)]
    #[schemars(with = "bool")]
    hash_message: bool,
}

/// Context of the continuation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct MessageContext {
    node_id: String,
    message_id: String,
    reply: ReplyTo,
}

impl MessageContext {
    /// A reference id names one message for ever, unless the ledger refused that
    /// message (spec/http-api.md 5).
    fn reference(&self) -> Row {
        reference(&self.node_id, &self.reply.reference_id)
    }
}

fn reference(node_id: &str, reference_id: &str) -> Row {
    row(node_id, &format!("messages/{reference_id}"))
}

async fn run(call: ApiCall<NoPath, Texts, Body>) -> Result<CallOutcome, Error> {
    let ApiCall {
        context,
        node_id,
        body,
        ..
    } = call;
    let taken = reference(&node_id, &body.reply.reference_id);
    if context.state.get(Table::Call, &taken, "").await?.is_some() {
        return Err(codes::DUPLICATE_REFERENCE_ID.into());
    }
    let (message, initial_salt) = written(&body)?;
    let created = MessageContext {
        node_id,
        message_id: hash::generate_id(),
        reply: body.reply,
    };
    let params = json!({
        "message_id": created.message_id,
        "message": message,
        "purpose": body.purpose,
    });
    let key = format!("message:{}", created.message_id);
    let then = Continuation::new(KIND, key, &created);
    let transaction = Transact::new(&created.node_id, "CreateMessage", &params, Some(then));
    let mut accept = accept_transaction(&context, transaction).await?;
    accept.guards.push(Guard::Absent {
        table: Table::Call,
        row: taken.clone(),
    });
    let id = created.message_id.clone().into_bytes();
    accept.writes.push(Write::put(Table::Call, taken, id));
    let mut answer = json!({"message_id": created.message_id});
    if let Some(salt) = initial_salt {
        answer["initial_salt"] = salt.into();
    }
    Ok(CallOutcome::Accepted {
        accept,
        body: Some(answer),
        refused: Some(codes::DUPLICATE_REFERENCE_ID),
    })
}

/// The text for the ledger, and the salt if that text is a hash.
fn written(body: &Body) -> Result<(String, Option<String>), Error> {
    if body.purpose.encode_utf16().count() > MOST_PURPOSE {
        return Err(codes::PURPOSE_TOO_LONG.into());
    }
    if body.hash_message {
        let initial_salt = initial_salt::given_or_new(body.initial_salt.as_deref())?;
        let salt = hash::sha256_base64(&[&initial_salt]);
        let hashed = hash::sha256_base64(&[&body.message, &salt]);
        return Ok((hashed, Some(initial_salt)));
    }
    match body.message.encode_utf16().count() > MOST_MESSAGE {
        true => Err(codes::MESSAGE_TOO_LONG.into()),
        false => Ok((body.message.clone(), None)),
    }
}

async fn handle(context: &Context, job: &Job) -> Result<Commit, Error> {
    let (created, result) = settlement::<MessageContext>(job)?;
    let mut commit = Commit::nothing();
    let mut members = Map::new();
    members.insert("message_id".into(), created.message_id.as_str().into());
    match &result {
        Ok(height) => {
            let block = format!("{}:{height}", context.ledger.chain_id()?);
            members.insert("creation_block_height".into(), block.into());
        }
        Err(_) => {
            commit.write(Write::delete(Table::Call, created.reference()));
        }
    }
    let (reply, node_id) = (&created.reply, &created.node_id);
    let failure = result.err();
    commit.job(reply.about_operation(node_id, RESULT, None, members, failure.as_ref()));
    Ok(commit)
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::api::RawCall;
    use crate::context::Role;
    use crate::delivery::transaction::Fate;
    use crate::flows::testing::{TestNode, callbacks, continuation, params, transactions};
    use crate::job::Caller;
    use crate::store::Accept;

    fn body(more: Value) -> Value {
        let mut body = json!({
            "reference_id": "ref", "callback_url": "http://client", "message": "Test message",
            "purpose": "test",
        });
        let more: Map<String, Value> = serde_json::from_value(more).unwrap();
        body.as_object_mut().unwrap().extend(more);
        body
    }

    async fn call(node: &TestNode, body: Value) -> Result<(Accept, Value), u32> {
        let endpoint = endpoint();
        let checked = endpoint.body.as_ref().unwrap();
        let checked = checked.check(&body, codes::BODY_VALIDATION_FAILED);
        checked.map_err(|error| error.code().number)?;
        let run = endpoint.run;
        let outcome = run(RawCall {
            version: crate::api::ApiVersion::V6,
            context: node.context.clone(),
            node_id: "rp1".to_owned(),
            caller: Caller::new("test"),
            path: Map::new(),
            query: json!({}),
            body,
        });
        match outcome.await.map_err(|error| error.code().number)? {
            CallOutcome::Accepted { accept, body, .. } => Ok((accept, body.unwrap())),
            other => panic!("{other:?}"),
        }
    }

    #[actix::test]
    async fn what_is_written_is_the_message_or_its_hash() {
        let node = TestNode::new("rp1", Role::Rp);
        let (accept, answer) = call(&node, body(json!({}))).await.unwrap();
        let [transact] = &transactions(&accept.writes)[..] else {
            panic!("{accept:?}");
        };
        let id = answer["message_id"].as_str().unwrap();
        assert_eq!(answer, json!({"message_id": id}));
        assert_eq!(transact.method, "CreateMessage");
        let expected = json!({"message_id": id, "message": "Test message", "purpose": "test"});
        assert_eq!(params(transact), expected);

        // spec/http-api.md 6.7
        let salt = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
        let hashed = body(json!({"hash_message": true, "initial_salt": salt}));
        let (accept, answer) = call(&node, hashed).await.unwrap();
        assert_eq!(answer["initial_salt"], salt);
        let written = params(&transactions(&accept.writes)[0])["message"].clone();
        assert_eq!(written, "mRZLe0cFyEBl0IjrXfgzZwU9QLWxlNC+/Q9PCIVDc7Y=");
    }

    #[actix::test]
    async fn what_is_wrong_is_told_in_the_order_of_the_specification() {
        let node = TestNode::new("rp1", Role::Rp);
        let long = |length: usize| "🙂".repeat(length / 2);
        for (more, code) in [
            (json!({"purpose": long(514), "message": long(1026)}), 20089),
            (json!({"purpose": long(512), "message": long(1024)}), 0),
            (json!({"message": long(1026)}), 20088),
            (json!({"message": long(1026), "hash_message": true}), 0),
            (json!({"hash_message": true, "initial_salt": "1234"}), 20087),
            (json!({"hash_message": false, "initial_salt": "1234"}), 0),
            (json!({"hash_message": null}), 20003),
            (json!({"initial_salt": null}), 20003),
            (json!({"message": 1}), 20003),
        ] {
            let told = call(&node, body(more.clone())).await.err().unwrap_or(0);
            assert_eq!(told, code, "{more}");
        }
    }

    #[actix::test]
    async fn a_reference_id_is_taken_for_ever_unless_the_ledger_refused() {
        let node = TestNode::new("rp1", Role::Rp);
        let (first, answer) = call(&node, body(json!({}))).await.unwrap();
        let (second, _) = call(&node, body(json!({}))).await.unwrap();
        assert!(node.accept(&first));
        assert!(!node.accept(&second), "both called at the same time");
        let taken = body(json!({"purpose": "x".repeat(513)}));
        assert_eq!(call(&node, taken.clone()).await.unwrap_err(), 20045);

        let [transact] = &transactions(&first.writes)[..] else {
            panic!("{first:?}");
        };
        let settle = async |fate| {
            let job = continuation(transact, fate);
            let commit = handle(&node.context, &job).await.unwrap();
            node.commit(&commit);
            let [(_, told)] = &callbacks(&commit.jobs)[..] else {
                panic!("{commit:?}");
            };
            told.clone()
        };
        let id = &answer["message_id"];
        let told = settle(Fate::Committed { height: 9 }).await;
        let expected = json!({
            "node_id": "rp1", "type": "create_message_result", "success": true,
            "reference_id": "ref", "message_id": id,
            "creation_block_height": "test-chain-NDID:9",
        });
        assert_eq!(told, expected);
        assert_eq!(call(&node, taken.clone()).await.unwrap_err(), 20045);

        let message = "Message ID already used".to_owned();
        let told = settle(Fate::Refused {
            code: 10006,
            message,
        })
        .await;
        assert_eq!(told["success"], false);
        assert_eq!(told["message_id"], *id);
        assert_eq!(told["error"]["code"], 10006);
        assert_eq!(call(&node, taken).await.unwrap_err(), 20089);
        assert!(call(&node, body(json!({}))).await.is_ok());
    }
}
