//! The address other nodes send messages to (spec/messaging-and-crypto.md 2.6).
//!
//! Every process reads from the ledger whether the address is registered: however
//! many processes start together, and whichever of them made the transaction, all
//! see the same.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::context::{Context, Role, state};
use crate::delivery::backoff;
use crate::delivery::transaction::{self, Continuation, Fate, Settled, Transact};
use crate::error::Error;
use crate::flows::dispatch::Flow;
use crate::job::{Commit, Guard, Job, Kind, Millis, NewJob, Spec, Table, Write, codec};
use crate::ledger::query;
use crate::store::Accept;

crate::job::stored! {
    "mq_registration": MqRegistration = 1,
    "mq_registration_begun": BegunRegistration = 1,
}

/// The transaction that registers the message queue address has settled.
pub const KIND: Kind = Kind::new(&Spec::transactional(17, "node.mq_registered"));

pub(in crate::flows) const FLOW: Flow =
    Flow::new(KIND, |context, job| Box::pin(handle(context, job)));

/// Processes that miss the address within this time after the first make one
/// transaction together.
const TOGETHER: Duration = Duration::from_secs(60);

const KEY: &str = "mq-address";

/// Context of the continuation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct MqRegistration {
    ip: String,
    port: u16,
    failures: u32,
}

/// A registration on its way (table `Progress`, row `mq-address`).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct BegunRegistration {
    ip: String,
    port: u16,
    at: Millis,
}

impl BegunRegistration {
    fn is_of(&self, registration: &MqRegistration, now: Millis) -> bool {
        // In either direction: `now` may be earlier, or of another clock.
        let is_recent = self.at.0.abs_diff(now.0) < TOGETHER.as_millis() as u64;
        is_recent && (&self.ip, self.port) == (&registration.ip, registration.port)
    }
}

impl MqRegistration {
    fn configured(context: &Context) -> Self {
        Self {
            ip: context.config.mq.contact_ip.clone(),
            port: context.config.mq.binding_port,
            failures: 0,
        }
    }

    fn job(&self, context: &Context, occasion: &str) -> NewJob {
        let params = json!({"addresses": [{"ip": self.ip, "port": self.port}]});
        let then = Continuation::new(KIND, KEY.to_owned(), self);
        let transact = Transact::new(context.node_id(), "SetMqAddresses", &params, Some(then));
        let source = format!("{KEY}:{}:{}:{occasion}", self.ip, self.port);
        NewJob::new(transaction::TRANSACT, KEY, &transact).source(source)
    }
}

/// Whether other nodes can reach this one: the first address on the ledger is the
/// configured one. True for processes that do not register (master, NDID,
/// `REGISTER_MQ_AT_STARTUP=false`).
///
/// # Errors
/// Those of the ledger.
pub async fn is_registered(context: &Context) -> Result<bool, Error> {
    let config = &context.config;
    let registers = config.has_mq_address() && config.mq.register_at_startup;
    if context.role == Role::Ndid || !registers {
        return Ok(true);
    }
    let addresses = query::mq_addresses(context.ledger.as_ref(), context.node_id()).await?;
    let mq = &config.mq;
    Ok(addresses.first().is_some_and(|address| {
        address.ip == mq.contact_ip && address.port == i32::from(mq.binding_port)
    }))
}

/// The accept that registers the address. A process may repeat it until the address
/// is registered; `None` when there is nothing to do.
///
/// # Errors
/// Those of the ledger.
pub async fn register(context: &Context, now: Millis) -> Result<Option<Accept>, Error> {
    if is_registered(context).await? {
        return Ok(None);
    }
    let record = context.state.get(Table::Progress, KEY, "").await?;
    let begun: Option<BegunRegistration> = record
        .as_deref()
        .map(|bytes| state::decode(Table::Progress, KEY, bytes))
        .transpose()?;
    let registration = MqRegistration::configured(context);
    if let Some(begun) = begun.filter(|begun| begun.is_of(&registration, now)) {
        // The source was accepted before.
        return Ok(Some(Accept {
            jobs: vec![registration.job(context, &begun.at.0.to_string())],
            ..Accept::default()
        }));
    }
    let begun = BegunRegistration {
        ip: registration.ip.clone(),
        port: registration.port,
        at: now,
    };
    Ok(Some(Accept {
        guards: vec![Guard::Equals {
            table: Table::Progress,
            row: KEY.to_owned(),
            value: record,
        }],
        jobs: vec![registration.job(context, &now.0.to_string())],
        writes: vec![Write::put(Table::Progress, KEY, codec::encode(&begun))],
        ..Accept::default()
    }))
}

/// Handler of `node.mq_registered`: a refused registration is tried again until
/// the address is on the ledger or no longer the configured one.
///
/// # Errors
/// Temporary ones; those of the payload.
pub async fn handle(context: &Context, job: &Job) -> Result<Commit, Error> {
    let settled: Settled = job.payload()?;
    let mut registration: MqRegistration = codec::decode(&settled.context)?;
    let Fate::Refused { code, message } = &settled.fate else {
        return Ok(Commit::nothing());
    };
    tracing::error!(code, reason = %message, failures = registration.failures, "message queue address not registered");
    let configured = MqRegistration::configured(context);
    let is_current = (&registration.ip, registration.port) == (&configured.ip, configured.port);
    let mut commit = Commit::nothing();
    if is_current && !is_registered(context).await? {
        let start = Millis::now().after(backoff(registration.failures));
        registration.failures += 1;
        let again = registration.job(context, &format!("after {}", settled.hash));
        commit.job(again.not_before(start));
    }
    Ok(commit)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::config::{Config, Mode};
    use crate::flows::testing::{TestNode, continuation, params};

    fn address_on_ledger(node: &TestNode, addresses: serde_json::Value) {
        let of_node = json!({"node_id": "rp1"});
        node.ledger.answer("GetMqAddresses", of_node, addresses);
    }

    fn unregistered() -> TestNode {
        let node = TestNode::new("rp1", Role::Rp);
        address_on_ledger(&node, serde_json::Value::Null);
        node
    }

    fn refused() -> Fate {
        Fate::Refused {
            code: 25007,
            message: "Not enough token".to_owned(),
        }
    }

    #[tokio::test]
    async fn the_first_address_on_the_ledger_decides() {
        let node = unregistered();
        let here = json!({"ip": "127.0.0.1", "port": 5100});
        for (addresses, registered) in [
            (json!([here]), true),
            (json!([{"ip": "127.0.0.1", "port": 5101}]), false),
            (json!([{"ip": "127.0.0.2", "port": 5100}]), false),
            (json!([{"ip": "127.0.0.2", "port": 5100}, here]), false),
            (json!([]), false),
        ] {
            address_on_ledger(&node, addresses.clone());
            let found = is_registered(&node.context).await.unwrap();
            assert_eq!(found, registered, "{addresses}");
            let accept = register(&node.context, Millis(0)).await.unwrap();
            assert_eq!(accept.is_none(), registered, "{addresses}");
        }
    }

    #[tokio::test]
    async fn processes_that_do_not_register_are_ready() {
        let mut node = unregistered();
        node.context.role = Role::Ndid;
        assert!(is_registered(&node.context).await.unwrap());
        let mut node = unregistered();
        let mut settings = Config::for_test("rp1");
        settings.mq.register_at_startup = false;
        node.context.config = Arc::new(settings);
        assert!(is_registered(&node.context).await.unwrap());
        let mut node = unregistered();
        let mut settings = Config::for_test("rp1");
        settings.mode = Mode::Master;
        node.context.config = Arc::new(settings);
        assert!(is_registered(&node.context).await.unwrap());
    }

    #[tokio::test]
    async fn processes_that_start_together_make_one_transaction() {
        let node = unregistered();
        let begin = async |at| register(&node.context, Millis(at)).await.unwrap().unwrap();
        // Two that do not know of each other.
        let (first, second) = (begin(59_900).await, begin(59_950).await);
        assert!(node.accept(&first));
        assert!(!node.accept(&second));
        // One a little later; the minute of the clock has changed.
        let third = begin(60_100).await;
        assert_eq!(third.jobs[0].source, first.jobs[0].source);
        assert!(first.jobs[0].source.is_some());
        // One whose look at the clock was earlier, or whose clock is behind.
        let fourth = begin(59_800).await;
        assert_eq!(fourth.jobs[0].source, first.jobs[0].source);
        let later = begin(121_000).await;
        assert_ne!(later.jobs[0].source, first.jobs[0].source);
        assert!(node.accept(&later));

        let job = &first.jobs[0];
        assert_eq!(job.kind, transaction::TRANSACT);
        let transact: Transact = codec::decode(&job.payload).unwrap();
        let expected = json!({"addresses": [{"ip": "127.0.0.1", "port": 5100}]});
        assert_eq!(transact.method, "SetMqAddresses");
        assert_eq!(params(&transact), expected);
        assert!(!transact.resend_when_disabled && !transact.retry_on_shortage);
    }

    #[tokio::test]
    async fn a_refused_registration_is_tried_again_as_long_as_it_is_needed() {
        let node = unregistered();
        let accept = register(&node.context, Millis(0)).await.unwrap().unwrap();
        let mut job = accept.jobs[0].clone();
        for _ in 0..3 {
            let transact: Transact = codec::decode(&job.payload).unwrap();
            let settled = continuation(&transact, refused());
            let commit = handle(&node.context, &settled).await.unwrap();
            job = commit.jobs[0].clone();
            assert!(job.not_before.unwrap() > Millis::now());
        }
        let transact: Transact = codec::decode(&job.payload).unwrap();
        let settled = continuation(&transact, Fate::Committed { height: 3 });
        let commit = handle(&node.context, &settled).await.unwrap();
        assert_eq!(commit, Commit::nothing());

        address_on_ledger(&node, json!([{"ip": "127.0.0.1", "port": 5100}]));
        let settled = continuation(&transact, refused());
        let commit = handle(&node.context, &settled).await.unwrap();
        assert_eq!(commit, Commit::nothing(), "another process has done it");
    }
}
