//! (h) The link to the node's own message queue service drops.

use std::time::Duration;

use erawan::context::Role;
use nix::sys::signal::Signal;

use crate::look::received;
use crate::network::*;
use crate::proxy::{Proxy, restart_with};

/// How long acknowledgements are swallowed, unless one is sooner.
const SILENCE: Duration = Duration::from_secs(2);
/// How often it is tried whether one is.
const TRIES: usize = 20;

/// Stops the IdP, and waits until its queue has a message for it, which it will
/// answer when it goes on.
async fn hold_up_the_idp(net: &mut Net, queue: &Proxy) {
    net.processes(Role::Idp)[0].process.signal(Signal::SIGSTOP);
    let before = queue.answered();
    let is_there = || async { queue.answered() > before };
    eventually("a message waits for the IdP", is_there).await;
}

/// F32: the service cannot be reached when messages are to be sent. F34, F10:
/// acknowledgements do not get through, and the node is killed before its
/// senders repeat themselves. F35: the stream of messages ends.
#[actix_web::test]
async fn f10_f32_f34_f35_a_queue_link_that_breaks_loses_and_doubles_nothing() {
    let mut net = Net::start(Store::Embedded, 0).await;
    let mut queues = Vec::new();
    for role in ROLES {
        let queue = Proxy::start(net.network.node(role).unwrap().mq.clone()).await;
        let port = queue.port.to_string();
        restart_with(
            &mut net.processes(role)[0],
            &[("MQ_SERVICE_SERVER_PORT", port)],
        )
        .await;
        queues.push(queue);
    }
    let apps = net.apps().await;
    let every = |what: fn(&Proxy)| queues.iter().for_each(what);
    let breaks = async {
        verified(&apps, 3).await;
        for _ in 0..6 {
            every(Proxy::cut);
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        every(Proxy::take_down);
        tokio::time::sleep(Duration::from_secs(2)).await;
        every(Proxy::heal);
        tokio::time::sleep(Duration::from_millis(800)).await;

        // One after the other: a node that cannot send leaves the others
        // without messages to acknowledge.
        for (role, queue) in ROLES.into_iter().zip(&queues) {
            let mut is_owed = false;
            // It depends on where the messages are just then.
            for _ in 0..TRIES {
                let node = &net.processes(role)[0];
                let before = received(node).await;
                let arrive = || async { received(node).await > before };
                eventually("messages arrive", arrive).await;
                // Without its queue the RP begins nothing: what comes to it then
                // must be on its way, on a fast machine too.
                if role == Role::Rp {
                    hold_up_the_idp(&mut net, &queues[1]).await;
                }
                let silent = queue.held_back();
                queue.swallow_questions();
                let before = received(&net.processes(role)[0]).await;
                if role == Role::Rp {
                    net.processes(Role::Idp)[0].process.signal(Signal::SIGCONT);
                }
                let node = &net.processes(role)[0];
                let taken =
                    || async { received(node).await > before && queue.held_back() > silent };
                is_owed = within(SILENCE, taken).await;
                if is_owed {
                    break;
                }
                queue.heal();
            }
            assert!(is_owed, "no message was taken and not acknowledged");
            let node = &mut net.processes(role)[0];
            kill(node).await;
            queue.cut();
            queue.heal();
            start_again(node);
        }
    };
    under_load(&apps, breaks).await;
    // A message taken twice would show the user a request twice.
    let events = apps.seen().events;
    let doubled: Vec<_> = events.iter().filter(|(_, ids)| ids.len() > 1).collect();
    assert!(
        doubled.is_empty(),
        "one event under several identities: {doubled:?}"
    );
    net.end(apps).await;
}
