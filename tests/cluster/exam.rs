//! What strangers and a stuck handler cannot do to a node.

use std::time::Duration;

use erawan::bench::exam::{self, Attack};

use super::network::{Net, Store};

const ATTACKS: [Attack; 3] = [Attack::Messages, Attack::Bodies, Attack::Handler];
/// Each attack is looked at for at least so long.
const LEAST: Duration = Duration::from_secs(5);

async fn passes(store: Store, workers: usize, attacks: &[Attack]) {
    // An attack takes all that the processors can give.
    let net = Net::alone(store, workers).await;
    let results = exam::sit(&net.network, workers, attacks, LEAST).await;
    let results = results.unwrap();
    assert_eq!(
        results.len(),
        attacks.len() + 1,
        "the calm and every attack"
    );
    for result in results {
        assert!(result.is_whole(), "{result:#?}");
    }
    net.network.stop().await;
}

#[actix_web::test]
async fn a_standalone_node_keeps_its_lease_whatever_is_thrown_at_it() {
    passes(Store::Redis, 0, &ATTACKS).await;
}

#[actix_web::test]
async fn no_worker_is_given_up_whatever_is_thrown_at_its_node() {
    passes(Store::Redis, 2, &ATTACKS).await;
}

#[actix_web::test]
async fn workers_of_a_master_with_a_file_are_not_given_up_either() {
    passes(Store::Embedded, 2, &ATTACKS).await;
}
