//! `POST /identity/:namespace/:identifier/{ial,lial,laal}`: changes what this IdP
//! declares of an identity, without consent.

use schemars::JsonSchema;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Number, Value};

use super::IdentityPath;
use super::checks::IdentityChecks;
use super::planned::LedgerIdentity;
use crate::api::{ApiCall, ApiVersion, Audience, CallOutcome, Endpoint, Texts};
use crate::error::Error;
use crate::flows::ledger_call::{LedgerCall, ResultRecipient};
use crate::flows::reply::ReplyTo;

pub fn endpoints() -> [Endpoint; 3] {
    [
        endpoint::<Ial>(
            "/identity/:namespace/:identifier/ial",
            "Changes the IAL that this IdP declares of an identity.",
        ),
        endpoint::<Lial>(
            "/identity/:namespace/:identifier/lial",
            "Changes the LIAL that this IdP declares of an identity.",
        )
        .since(ApiVersion::V5),
        endpoint::<Laal>(
            "/identity/:namespace/:identifier/laal",
            "Changes the LAAL that this IdP declares of an identity.",
        )
        .since(ApiVersion::V5),
    ]
}

fn endpoint<L: Level>(path: &'static str, does: &'static str) -> Endpoint {
    Endpoint::post(path, Audience::Idp)
        .does(does)
        .begins()
        .path::<IdentityPath>()
        .body::<Body<L>>()
        .run(run)
}

#[derive(Clone, Deserialize, JsonSchema)]
struct Body<L> {
    #[serde(flatten)]
    reply: ReplyTo,
    #[serde(flatten)]
    level: L,
}

/// A level that an IdP declares.
trait Level: Clone + DeserializeOwned + JsonSchema + Send + Sync + 'static {
    /// Its name on the ledger and in calls.
    const NAME: &'static str;

    /// The value for the ledger.
    fn value(self) -> Value;

    /// The IAL, whose values are limited.
    fn ial(&self) -> Option<&Number> {
        None
    }
}

#[derive(Clone, Deserialize, JsonSchema)]
struct Ial {
    ial: Number,
}

impl Level for Ial {
    const NAME: &'static str = "ial";

    fn value(self) -> Value {
        self.ial.into()
    }

    fn ial(&self) -> Option<&Number> {
        Some(&self.ial)
    }
}

#[derive(Clone, Deserialize, JsonSchema)]
struct Lial {
    lial: bool,
}

impl Level for Lial {
    const NAME: &'static str = "lial";

    fn value(self) -> Value {
        self.lial.into()
    }
}

#[derive(Clone, Deserialize, JsonSchema)]
struct Laal {
    laal: bool,
}

impl Level for Laal {
    const NAME: &'static str = "laal";

    fn value(self) -> Value {
        self.laal.into()
    }
}

async fn run<L: Level>(call: ApiCall<IdentityPath, Texts, Body<L>>) -> Result<CallOutcome, Error> {
    let Body { reply, level } = call.body.clone();
    let checks = IdentityChecks::of(&call);
    let identity = call.path.on_ledger();
    checks.own(&identity).await?;
    if let Some(ial) = level.ial() {
        checks.ial(ial).await?;
    }
    let LedgerIdentity {
        identity_namespace,
        identity_identifier_hash,
    } = &identity;
    let node_id = &call.node_id;
    let key = format!("identity:{node_id}/{identity_namespace}/{identity_identifier_hash}");
    let mut params = identity.params();
    params[L::NAME] = level.value();
    let update = LedgerCall {
        node_id: node_id.clone(),
        method: "UpdateIdentity",
        params,
        key,
        writes: Vec::new(),
        recipient: ResultRecipient::Callback {
            reply,
            kind: format!("update_{}_result", L::NAME),
            node_id: node_id.clone(),
        },
    };
    update.start(&call.context).await
}
