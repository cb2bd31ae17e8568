//! Whether this process has seen its message queue address on the ledger
//! (spec/http-api.md 1.6).

use crate::context::Context;
use crate::flows::node::mq_registration;

/// The state of a process's address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Registration {
    /// The address was on the ledger, or this process does not register it.
    /// Stays true for the life of the process: while operators change the
    /// address process by process, those with the former address go on serving.
    pub was_seen: bool,
    /// The address was on the ledger, and now another one or none is.
    pub is_replaced: bool,
}

impl Registration {
    /// Asks the ledger. Keeps the last state while the ledger cannot be asked.
    pub async fn look(self, context: &Context) -> Self {
        let Ok(is_there) = mq_registration::is_registered(context).await else {
            return self;
        };
        let now = Self {
            was_seen: self.was_seen || is_there,
            is_replaced: self.was_seen && !is_there,
        };
        now.log_change(self);
        now
    }

    fn log_change(self, before: Self) {
        match (before.is_replaced, self.is_replaced) {
            (false, true) => tracing::warn!("{REPLACED}; this process continues"),
            (true, false) => tracing::info!("the message queue address of this process is back"),
            _ => {}
        }
    }

    /// A problem for operators to know, although the process is ready.
    pub fn notice(self) -> Option<String> {
        self.is_replaced.then(|| REPLACED.to_owned())
    }
}

const REPLACED: &str = "the ledger no longer has MQ_CONTACT_IP and MQ_BINDING_PORT of this process as the node's \
     message queue address";

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::context::Role;
    use crate::flows::testing::TestNode;

    fn address_on_ledger(node: &TestNode, address: Value) {
        let of_node = json!({"node_id": "rp1"});
        node.ledger
            .answer("GetMqAddresses", of_node, json!([address]));
    }

    #[tokio::test]
    async fn a_process_whose_address_is_replaced_later_stays_registered_and_says_so() {
        let node = TestNode::new("rp1", Role::Rp);
        let (own, other) = (
            json!({"ip": "127.0.0.1", "port": 5100}),
            json!({"ip": "127.0.0.2", "port": 5100}),
        );
        let mut registration = Registration::default();
        let mut seen = Vec::new();
        for address in [&other, &own, &other, &own] {
            address_on_ledger(&node, address.clone());
            registration = registration.look(&node.context).await;
            seen.push((registration.was_seen, registration.notice().is_some()));
        }
        let expected = [(false, false), (true, false), (true, true), (true, false)];
        assert_eq!(seen, expected);
    }
}
