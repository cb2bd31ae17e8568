//! `examples/webhook`: a second application on the core, with real processes.

mod shop;
#[allow(dead_code)]
#[path = "../../examples/webhook/main.rs"]
mod webhook;

use std::io;

use erawan::devnet::redis_server::{self, RedisServer};
use shop::{ARGUMENTS, Receiver, Shop};

const ORDERS: usize = 60;
const WEBHOOKS: usize = 3;

/// Orders come in at both workers while one is killed; every webhook hears of
/// every order, in the order of its customer, and knows repetitions.
async fn orders_reach_their_webhooks(store: &str) {
    let mut receivers = Vec::new();
    for number in 0..WEBHOOKS {
        receivers.push(Receiver::start(number).await);
    }
    let urls: Vec<String> = receivers.iter().map(Receiver::url).collect();
    let mut shop = Shop::start(store).await;
    for number in 0..ORDERS {
        if number == ORDERS / 2 {
            receivers[0].until_tried(1).await;
            shop.kill_a_worker().await;
        }
        shop.order(number, &urls).await;
    }
    for receiver in &receivers {
        receiver.until_taken(ORDERS).await;
        receiver.check_order();
    }
    // The same order again is accepted, and nobody hears of it twice.
    shop.order(0, &urls).await;
    shop.order(ORDERS, &urls).await;
    for receiver in &receivers {
        receiver.until_taken(ORDERS + 1).await;
        assert_eq!(receiver.deliveries(), ORDERS + 1);
    }
}

#[actix_rt::test]
async fn with_redis() {
    let redis = RedisServer::start(redis_server::Options::default()).expect("redis-server");
    orders_reach_their_webhooks(&format!("redis:{}", redis.port())).await;
}

#[actix_rt::test]
async fn with_the_embedded_store() {
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("orders.redb");
    orders_reach_their_webhooks(&format!("file:{}", file.display())).await;
}

/// This binary is the example, too, so that nothing else has to be built.
#[test]
#[ignore = "a process of the example, which the others start"]
fn process() {
    let arguments = std::env::var(ARGUMENTS).expect("the arguments of the example");
    let arguments: Vec<String> = arguments.split(' ').map(str::to_owned).collect();
    std::thread::spawn(|| {
        // Ends when the test does, however that ends.
        let _ = io::copy(&mut io::stdin(), &mut io::sink());
        std::process::exit(0);
    });
    webhook::start(&arguments).expect("the process runs until it is killed");
}
