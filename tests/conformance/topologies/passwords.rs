//! Passwords that the server does not want.

use erawan::config::Redis;
use erawan::devnet::redis_server::Durability;
use erawan::store::Store;

use super::{connect, server};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_password_for_a_redis_that_needs_none_is_no_trouble() {
    let server = server(Durability::Volatile, &[]);
    let store = connect(Redis {
        password: Some("superfluous".to_owned().into()),
        ..Redis::at("127.0.0.1", server.port())
    })
    .await;
    store.ping().await.unwrap();
}
