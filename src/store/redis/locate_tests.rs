//! A name that leads to two real servers.

use std::net::Ipv4Addr;

use super::*;
use crate::devnet::redis_server::{Durability, Options, RedisServer};

fn server(arguments: &[&str]) -> RedisServer {
    RedisServer::start(Options {
        durability: Durability::Volatile,
        arguments: arguments.iter().map(|text| (*text).to_owned()).collect(),
        ..Options::default()
    })
    .unwrap()
}

/// The port of the server that is found behind a name with these addresses.
async fn found_among(servers: &[&RedisServer]) -> RedisResult<u16> {
    let address = RedisAddress {
        host: "a-name".to_owned(),
        port: 1,
    };
    let locator = Locator::new(Redis::at("a-name", 1), "key".to_owned());
    let sockets = servers.iter();
    let sockets = sockets.map(|server| (Ipv4Addr::LOCALHOST, server.port()).into());
    let found = locator.find_among(sockets.collect(), &address, SignsOfLife::Both);
    let found = found.await?;
    let mut port = redis::cmd("CONFIG");
    port.arg("GET").arg("port");
    let port: Vec<(String, u16)> = found.connection.question(&port).await?;
    Ok(port[0].1)
}

#[tokio::test]
async fn of_two_servers_behind_a_name_the_one_that_takes_writes_is_found() {
    let writer = server(&[]);
    let port = writer.port().to_string();
    let mut replica = server(&["--replicaof", "127.0.0.1", &port]);
    for _ in 0..20 {
        for servers in [[&writer, &replica], [&replica, &writer]] {
            assert_eq!(found_among(&servers).await.unwrap(), writer.port());
        }
    }
    replica.stop().unwrap();
    let found = found_among(&[&replica, &writer]).await;
    assert_eq!(found.unwrap(), writer.port());
}

#[tokio::test]
async fn a_replica_alone_can_be_read() {
    let replica = server(&["--replicaof", "127.0.0.1", "1"]);
    let found = found_among(&[&replica]).await;
    assert_eq!(found.unwrap(), replica.port());
}

#[tokio::test]
async fn two_servers_that_both_take_writes_are_refused() {
    let (one, other) = (server(&[]), server(&[]));
    let error = found_among(&[&one, &other])
        .await
        .err()
        .unwrap()
        .to_string();
    assert!(error.contains("several servers at a-name:1"), "{error}");
    assert_eq!(found_among(&[&one, &one]).await.unwrap(), one.port());
}
