//! Notices for operators about a process that is ready although something it
//! works with is not. What it accepts is kept and done later.

use std::time::Duration;

use tokio::sync::watch;

use crate::actors::master_link::LinkState;
use crate::ingest::mq_inbox::InboxState;

/// About a worker's link to its master.
pub(super) fn of_link(state: &watch::Receiver<LinkState>) -> Option<String> {
    let state = state.borrow();
    if state.connected {
        return None;
    }
    let reason = state.refused.as_deref().or(state.not_found.as_deref());
    let reason = reason.map_or_else(String::new, |reason| format!(" ({reason})"));
    Some(format!("no master is known: jobs wait{reason}"))
}

/// Why a worker without a master is not ready any more: it has had none for
/// `wait`.
pub(super) fn alone_too_long(state: &watch::Receiver<LinkState>, wait: Duration) -> Option<String> {
    let since = state.borrow().alone_since?;
    let alone = since.elapsed();
    let told = of_link(state).filter(|_| alone >= wait)?;
    let seconds = alone.as_secs();
    Some(format!("for {seconds} s {told}"))
}

/// About the inbox. Nothing about one that has stopped: it was replaced, or
/// this process is no longer the master.
pub(super) fn of_inbox(state: &watch::Receiver<InboxState>) -> Option<String> {
    match &*state.borrow() {
        InboxState::Ready | InboxState::Stopped => None,
        InboxState::Connecting { reason } if reason.is_empty() => None,
        InboxState::Connecting { reason } => Some(format!(
            "messages of other nodes are not received: {reason}"
        )),
        InboxState::NodeIdMismatch { found } => Some(format!(
            "the message queue service belongs to another node ({found})"
        )),
    }
}

/// About a store that has forgotten, as long as this process lives.
pub(super) fn of_store(setbacks: u64) -> Option<String> {
    let times = match setbacks {
        0 => return None,
        1 => "once".to_owned(),
        times => format!("{times} times"),
    };
    Some(format!(
        "Redis has forgotten {times} what it had acknowledged: accepted jobs are lost, \
         and jobs that had ended may have run again"
    ))
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    #[test]
    fn a_store_that_has_forgotten_is_told() {
        assert_eq!(of_store(0), None);
        assert!(of_store(1).unwrap().contains("forgotten once"));
        assert!(of_store(2).unwrap().contains("forgotten 2 times"));
    }

    #[test]
    fn an_inbox_that_receives_nothing_says_why() {
        let (tell, state) = watch::channel(InboxState::Connecting {
            reason: String::new(),
        });
        assert_eq!(of_inbox(&state), None, "it has just begun");
        let reason = "connection refused".to_owned();
        tell.send_replace(InboxState::Connecting { reason });
        assert!(of_inbox(&state).unwrap().contains("connection refused"));
        tell.send_replace(InboxState::NodeIdMismatch {
            found: "idp9".to_owned(),
        });
        assert!(of_inbox(&state).unwrap().contains("idp9"));
        for quiet in [InboxState::Ready, InboxState::Stopped] {
            tell.send_replace(quiet);
            assert_eq!(of_inbox(&state), None);
        }
    }

    #[test]
    fn a_worker_without_a_master_says_so() {
        let (tell, state) = watch::channel(LinkState::default());
        assert!(of_link(&state).unwrap().contains("no master"));
        let reason = "127.0.0.1:7999: connection refused".to_owned();
        tell.send_modify(|state| state.not_found = Some(reason));
        assert!(of_link(&state).unwrap().contains("127.0.0.1:7999"));
        tell.send_modify(|state| state.connected = true);
        assert_eq!(of_link(&state), None);
    }

    #[test]
    fn a_worker_is_unready_when_it_has_been_alone_for_long() {
        let (tell, state) = watch::channel(LinkState::default());
        assert_eq!(alone_too_long(&state, Duration::ZERO), None, "it begins");
        tell.send_modify(|state| state.alone_since = Some(Instant::now()));
        assert_eq!(alone_too_long(&state, Duration::from_secs(60)), None);
        let reason = alone_too_long(&state, Duration::ZERO);
        assert!(reason.unwrap().contains("no master"));
        tell.send_modify(|state| {
            state.connected = true;
            state.alone_since = None;
        });
        assert_eq!(alone_too_long(&state, Duration::ZERO), None);
    }
}
