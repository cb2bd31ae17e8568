//! Another node changed an identity that this IdP may hold too (spec/flows.md 3.6).

use serde::{Deserialize, Serialize};
use serde_json::{Map, json};

use super::ROLE;
use crate::context::Context;
use crate::delivery::callback::{CallbackTarget, Persistence, callback_job};
use crate::error::Error;
use crate::flows::dispatch::{BLOCK, Flow};
use crate::flows::identity::operation::IdentityChange;
use crate::job::{Commit, Job, Kind, NewJob, Spec, Table};
use crate::ledger::{Block, BlockTransaction, query};

crate::job::stored! {
    "idp_modified": IdentityModified = 1,
}

/// Another node changed an identity that this one may hold too.
pub const KIND: Kind = Kind::new(&Spec::transactional(30, "idp.identity_modified"));

pub(in crate::flows) const FLOW: Flow =
    Flow::new(KIND, |context, job| Box::pin(handle(context, job)))
        .told(ROLE, BLOCK)
        .for_node(node_of_notice);

const TYPE: &str = "identity_modification_notification";
const URL_NAME: &str = "identity_modification_notification_url";

/// Payload of `idp.identity_modified`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct IdentityModified {
    /// The IdP (behind a proxy: that node).
    pub node_id: String,
    /// The identity.
    pub reference_group_code: String,
    /// The operation, as the client application hears of it.
    pub action: String,
    /// The node that did it.
    pub actor_node_id: String,
}

/// Whether the client application has set a URL for it.
///
/// # Errors
/// Those of the store.
pub async fn is_wanted(context: &Context) -> Result<bool, Error> {
    let url = context
        .state
        .get(Table::CallbackUrl, ROLE, URL_NAME)
        .await?;
    Ok(url.is_some())
}

/// A job for each identity that other nodes changed in a block.
pub fn jobs<'a>(node_id: &'a str, block: &'a Block) -> impl Iterator<Item = NewJob> + 'a {
    let others = block
        .successful()
        .filter(move |transaction| transaction.node_id != node_id);
    others.filter_map(move |transaction| job(node_id, block, transaction))
}

/// The job of a transaction that changed an identity.
pub fn is_change(transaction: &BlockTransaction) -> bool {
    action(&transaction.method).is_some()
}

fn job(node_id: &str, block: &Block, transaction: &BlockTransaction) -> Option<NewJob> {
    let action = action(&transaction.method)?;
    let reference_group_code = transaction.reference_group_code.clone()?;
    let key = format!("identity:{reference_group_code}");
    let modified = IdentityModified {
        node_id: node_id.to_owned(),
        reference_group_code,
        action: action.to_owned(),
        actor_node_id: transaction.node_id.clone(),
    };
    let Block {
        chain_id, height, ..
    } = block;
    let kind = KIND;
    let hash = &transaction.hash;
    let source = format!("block:{chain_id}:{height}:{node_id}:{hash}:{}", kind.name());
    Some(NewJob::new(kind, key, &modified).source(source))
}

fn action(method: &str) -> Option<&'static str> {
    IdentityChange::of_method(method).map(IdentityChange::name)
}

/// Handler of `idp.identity_modified`: tells the client application, if its node
/// holds the identity and NDID does not suppress changes by the actor.
///
/// # Errors
/// Those of the ledger; those of the payload.
pub async fn handle(context: &Context, job: &Job) -> Result<Commit, Error> {
    let IdentityModified {
        node_id,
        reference_group_code,
        action,
        actor_node_id,
    } = job.payload()?;
    let ledger = context.ledger.as_ref();
    if query::is_suppressed(ledger, &actor_node_id).await? {
        return Ok(Commit::nothing());
    }
    let identity = json!({"reference_group_code": reference_group_code});
    let held = query::identity_info(ledger, identity, &node_id).await?;
    if held.is_none() {
        return Ok(Commit::nothing());
    }
    let mut body = Map::new();
    body.insert("node_id".into(), node_id.into());
    body.insert("type".into(), TYPE.into());
    body.insert(
        "reference_group_code".into(),
        reference_group_code.as_str().into(),
    );
    body.insert("action".into(), action.into());
    body.insert("actor_node_id".into(), actor_node_id.into());
    let target = CallbackTarget::Setting {
        role: ROLE.to_owned(),
        name: URL_NAME.to_owned(),
    };
    let scope = &reference_group_code;
    let mut commit = Commit::nothing();
    commit.job(callback_job(target, scope, body, Persistence::Timed, None));
    Ok(commit)
}

fn node_of_notice(job: &Job) -> Option<String> {
    let modified: IdentityModified = job.payload().ok()?;
    Some(modified.node_id)
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::context::Role;
    use crate::flows::testing::{TestNode, callbacks, job as accepted};

    const GROUP: &str = "aaaaa-bbbbb";

    fn identity(node: &TestNode, found: Value) {
        let params = json!({"reference_group_code": GROUP, "node_id": "idp1"});
        node.ledger.answer("GetIdentityInfo", params, found);
    }

    fn suppressed(node: &TestNode, suppressed: bool) {
        let method = "IsSuppressedIdentityModificationNotificationNode";
        let answer = json!({"suppressed": suppressed});
        node.ledger
            .answer(method, json!({"node_id": "idp2"}), answer);
    }

    async fn told(node: &TestNode) -> Vec<(CallbackTarget, Value)> {
        let modified = IdentityModified {
            node_id: "idp1".to_owned(),
            reference_group_code: GROUP.to_owned(),
            action: "add_accessor".to_owned(),
            actor_node_id: "idp2".to_owned(),
        };
        let job = accepted(NewJob::new(KIND, "key", &modified));
        callbacks(&handle(&node.context, &job).await.unwrap().jobs)
    }

    #[tokio::test]
    async fn the_application_hears_of_identities_its_node_holds_unless_ndid_suppressed_it() {
        let node = TestNode::new("idp1", Role::Idp);
        suppressed(&node, false);
        identity(&node, json!({"ial": 2.3, "mode_list": [2]}));
        let target = CallbackTarget::Setting {
            role: "idp".to_owned(),
            name: URL_NAME.to_owned(),
        };
        let body = json!({
            "node_id": "idp1", "type": TYPE, "reference_group_code": GROUP,
            "action": "add_accessor", "actor_node_id": "idp2",
        });
        assert_eq!(told(&node).await, [(target, body)]);
        suppressed(&node, true);
        assert_eq!(told(&node).await, []);
        suppressed(&node, false);
        identity(&node, Value::Null);
        assert_eq!(told(&node).await, []);
    }
}
