//! Whether the API may serve a call (spec/http-api.md 1.6).

use super::answer::PlainResponse;
use crate::api::Needs;
use crate::config::Api;
use crate::context::Role;
use crate::error::{Code, Error, codes};

/// The conditions for serving a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Readiness {
    /// The ledger's socket is connected.
    pub ledger_connected: bool,
    /// The ledger's node has caught up.
    pub ledger_synced: bool,
    /// Keys are local, or all three URLs of the external crypto service are set.
    pub crypto_ready: bool,
    /// This process has seen its message queue address on the ledger, now or
    /// before, or is not to register it.
    pub mq_registered: bool,
    /// The store answers and takes writes.
    pub store_available: bool,
    /// The process is about to stop: it is not ready, and serves who still
    /// comes, with the last answer of each connection.
    pub leaving: bool,
    /// The process is stopping, and refuses calls.
    pub draining: bool,
}

impl Readiness {
    /// A node that is ready.
    pub const READY: Readiness = Readiness {
        ledger_connected: true,
        ledger_synced: true,
        crypto_ready: true,
        mq_registered: true,
        store_available: true,
        leaving: false,
        draining: false,
    };

    /// Why a node with this role is not ready, in words for an operator.
    pub fn reasons(&self, role: Role) -> Vec<&'static str> {
        let conditions = [
            (self.leaving || self.draining, "the process is stopping"),
            (!self.ledger_connected, "the ledger is not connected"),
            (!self.ledger_synced, "the ledger is catching up"),
            (
                !self.crypto_ready,
                "URLs of the external crypto service are not all set",
            ),
            (
                !self.mq_registered && role != Role::Ndid,
                "the message queue address is not registered yet",
            ),
            (
                !self.store_available,
                "the store does not answer or takes no writes",
            ),
        ];
        let true_ones = conditions.into_iter().filter(|(holds, _)| *holds);
        true_ones.map(|(_, reason)| reason).collect()
    }

    /// The refusal of a call; `None` if it may be served.
    pub(super) fn refusal(&self, role: Role, needs: Needs, api: &Api) -> Option<PlainResponse> {
        if needs == Needs::Nothing {
            return None;
        }
        if self.draining {
            let error = Error::with_message(codes::UNKNOWN_ERROR, "The server is stopping");
            return Some(unavailable(&error, api).retry_after().closing());
        }
        if let Some(code) = self.specified_refusal(role, needs) {
            return Some(unavailable(&code.into(), api));
        }
        if needs == Needs::Ledger {
            return None;
        }
        if !self.store_available {
            return Some(unavailable(&codes::DB_ERROR.into(), api).retry_after());
        }
        None
    }

    /// Whether only a condition refuses the call that comes true once, when the node
    /// is set up or has caught up.
    pub(super) fn is_being_set_up(&self, role: Role, needs: Needs) -> bool {
        !self.draining && self.ledger_connected && self.specified_refusal(role, needs).is_some()
    }

    /// The conditions of the specification, in its order.
    fn specified_refusal(&self, role: Role, needs: Needs) -> Option<Code> {
        if needs == Needs::Nothing {
            return None;
        }
        if !self.ledger_connected {
            return Some(codes::TENDERMINT_NOT_CONNECTED);
        }
        if !self.ledger_synced {
            return Some(codes::TENDERMINT_SYNCING);
        }
        if needs == Needs::Ledger {
            return None;
        }
        if !self.crypto_ready {
            return Some(codes::WAITING_FOR_KMS_CALLBACK_URL_SET);
        }
        if !self.mq_registered && role != Role::Ndid {
            return Some(codes::REGISTERING_MESSAGE_QUEUE_ADDRESS);
        }
        None
    }
}

/// The answer to a call that would make jobs when too many are open.
pub(super) fn queue_full(api: &Api) -> PlainResponse {
    metrics::counter!("erawan_calls_refused_total", "reason" => "queue_full").increment(1);
    let error = Error::with_message(codes::UNKNOWN_ERROR, "Too many jobs are waiting");
    unavailable(&error, api).retry_after()
}

/// The answer to a call while too many others are worked on.
pub(super) fn too_many_calls(api: &Api) -> PlainResponse {
    metrics::counter!("erawan_calls_refused_total", "reason" => "too_many_calls").increment(1);
    let error = Error::with_message(codes::UNKNOWN_ERROR, "Too many calls at once");
    unavailable(&error, api).retry_after()
}

fn unavailable(error: &Error, api: &Api) -> PlainResponse {
    PlainResponse::error(error, api).with_status(503)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(readiness: Readiness, role: Role, needs: Needs) -> Option<u32> {
        readiness
            .specified_refusal(role, needs)
            .map(|code| code.number)
    }

    #[test]
    fn the_conditions_are_checked_in_the_specified_order() {
        let mut readiness = Readiness {
            ledger_connected: false,
            ledger_synced: false,
            crypto_ready: false,
            mq_registered: false,
            ..Readiness::READY
        };
        assert_eq!(code(readiness, Role::Rp, Needs::Nothing), None);
        assert_eq!(code(readiness, Role::Rp, Needs::Ledger), Some(10008));
        readiness.ledger_connected = true;
        assert_eq!(code(readiness, Role::Rp, Needs::Ledger), Some(10007));
        readiness.ledger_synced = true;
        assert_eq!(code(readiness, Role::Rp, Needs::Ledger), None);
        assert_eq!(code(readiness, Role::Rp, Needs::Everything), Some(10029));
        readiness.crypto_ready = true;
        assert_eq!(code(readiness, Role::Rp, Needs::Everything), Some(10017));
        assert_eq!(code(readiness, Role::Ndid, Needs::Everything), None);
        readiness.mq_registered = true;
        assert_eq!(code(readiness, Role::Rp, Needs::Everything), None);
    }
}
