//! Reads `DB_*`.

use std::time::Duration;

use secrecy::SecretString;

use super::check::{Checker, Variable, secret, variable};
use super::network::master_address;
use super::redis_url::RedisUrl;
use super::variables::Database;
use super::{
    MasterAddress, Redis, RedisAddress, RedisPlace, ReplicaPromise, SentinelLogin, redis_tls,
};

const PORT: u16 = 6379;
const SENTINEL_PORT: u16 = 26379;

pub(super) fn redis(database: &Database, checker: &mut Checker) -> Redis {
    let url = url(database, checker);
    let place = place(database, url.is_some(), checker);
    let address = match (&place, &url) {
        (RedisPlace::Sentinels { addresses, .. } | RedisPlace::Cluster(addresses), _) => {
            addresses.first().cloned()
        }
        (RedisPlace::Server, Some(url)) => Some(url.address.clone()),
        (RedisPlace::Server, None) => None,
    };
    let address = match address {
        Some(address) => {
            let ignored = [
                variable!("DB_IP", database.db_ip),
                variable!("DB_PORT", database.db_port),
            ];
            without_effect(checker, &ignored, "beside what else says where Redis is");
            address
        }
        None => server(database, checker),
    };
    let tls_is_on = has_tls(database, url.as_ref(), checker);
    let tls = redis_tls::tls(database, tls_is_on, checker);
    let place = match place {
        RedisPlace::Sentinels {
            addresses, group, ..
        } => RedisPlace::Sentinels {
            addresses,
            group,
            login: sentinel_login(database, tls.is_some(), checker),
        },
        place => place,
    };
    let number = number(database, url.as_ref(), &place, checker);
    let (user, password) = login(database, url, checker);
    Redis {
        host: address.host,
        port: address.port,
        place,
        user,
        password,
        database: number,
        tls,
        promise: promise(database, checker),
    }
}

fn url(database: &Database, checker: &mut Checker) -> Option<RedisUrl> {
    let (name, value) = variable!("DB_URL", database.db_url);
    match RedisUrl::parse(&value?) {
        Ok(url) => Some(url),
        Err(problem) => {
            let fix =
                format!("redis://USER:PASSWORD@HOST:PORT/NUMBER, or rediss:// for TLS: {problem}");
            checker.mistake(name, None, fix);
            None
        }
    }
}

fn place(database: &Database, has_url: bool, checker: &mut Checker) -> RedisPlace {
    let sentinels = variable!("DB_SENTINELS", database.db_sentinels);
    let nodes = variable!("DB_CLUSTER_NODES", database.db_cluster_nodes);
    let group = variable!("DB_SENTINEL_MASTER", database.db_sentinel_master);
    let alone = "unset, or the only one of DB_URL, DB_SENTINELS and DB_CLUSTER_NODES";
    if sentinels.1.is_some() && (has_url || nodes.1.is_some()) {
        checker.mistake(sentinels.0, sentinels.1.clone(), alone);
    } else if nodes.1.is_some() && has_url {
        checker.mistake(nodes.0, nodes.1.clone(), alone);
    }
    if sentinels.1.is_none() {
        let ignored = [
            group.clone(),
            variable!("DB_SENTINEL_USERNAME", database.db_sentinel_username),
            (
                "DB_SENTINEL_PASSWORD",
                database.db_sentinel_password.clone(),
            ),
            variable!("DB_SENTINEL_TLS", database.db_sentinel_tls),
        ];
        without_effect(checker, &ignored, "without DB_SENTINELS");
    }
    if sentinels.1.is_some() {
        if group.1.is_none() {
            let fix = "the name by which the Sentinels know the servers (DB_SENTINELS is set)";
            checker.mistake(group.0, None, fix);
        }
        return RedisPlace::Sentinels {
            addresses: addresses(checker, sentinels, SENTINEL_PORT),
            group: group.1.unwrap_or_default(),
            login: SentinelLogin::default(),
        };
    }
    match nodes.1.is_some() {
        true => RedisPlace::Cluster(addresses(checker, nodes, PORT)),
        false => RedisPlace::Server,
    }
}

fn addresses(checker: &mut Checker, (name, value): Variable, port: u16) -> Vec<RedisAddress> {
    let text = value.unwrap_or_default();
    let mut found = Vec::new();
    for entry in text.split(',').map(str::trim) {
        match master_address(entry, port) {
            Some(MasterAddress { host, port }) => found.push(RedisAddress { host, port }),
            None => {
                let fix = format!(
                    "names or addresses separated by commas, each with or without a port \
                     (redis-a:{port},10.0.0.2,[::1]:{port})"
                );
                let shown = Some(text.clone()).filter(|text| !text.contains('@'));
                checker.mistake(name, shown, fix);
            }
        }
    }
    found
}

fn server(database: &Database, checker: &mut Checker) -> RedisAddress {
    let (name, value) = variable!("DB_IP", database.db_ip);
    // `[::1]`, as in addresses with a port.
    let bare = value.map(|text| {
        let inner = text
            .strip_prefix('[')
            .and_then(|text| text.strip_suffix(']'));
        inner.map_or_else(|| text.clone(), str::to_owned)
    });
    RedisAddress {
        host: checker.host((name, bare), "localhost"),
        port: checker.port(variable!("DB_PORT", database.db_port), PORT),
    }
}

fn has_tls(database: &Database, url: Option<&RedisUrl>, checker: &mut Checker) -> bool {
    let (name, value) = variable!("DB_TLS", database.db_tls);
    let of_url = url.is_some_and(|url| url.has_tls);
    let is_on = checker.flag((name, value.clone()), of_url);
    if of_url && !is_on {
        checker.mistake(name, value, "true or unset: DB_URL says rediss://");
    }
    is_on
}

fn login(
    database: &Database,
    url: Option<RedisUrl>,
    checker: &mut Checker,
) -> (Option<String>, Option<SecretString>) {
    let (user_name, user) = variable!("DB_USERNAME", database.db_username);
    let password = variable!("DB_PASSWORD", database.db_password);
    let (url_user, url_password) = match url {
        Some(url) => (url.user, url.password),
        None => (None, None),
    };
    if user.is_some() && url_user.is_some() && user != url_user {
        checker.mistake(user_name, user.clone(), "unset, or the user of DB_URL");
    }
    if password.1.is_some() && url_password.is_some() && password.1 != url_password {
        checker.mistake(password.0, None, "unset, or the password of DB_URL");
    }
    let user = user.or(url_user);
    let password = secret(password).or(url_password.map(SecretString::from));
    if user.is_some() && password.is_none() {
        let fix = "the password of DB_USERNAME (or of the user in DB_URL)";
        checker.mistake("DB_PASSWORD", None, fix);
    }
    (user, password)
}

fn sentinel_login(database: &Database, has_tls: bool, checker: &mut Checker) -> SentinelLogin {
    let (name, value) = variable!("DB_SENTINEL_TLS", database.db_sentinel_tls);
    let sentinel_tls = checker.flag((name, value.clone()), has_tls);
    if sentinel_tls && !has_tls {
        checker.mistake(name, value, "false or unset, unless DB_TLS=true");
    }
    let (_, user) = variable!("DB_SENTINEL_USERNAME", database.db_sentinel_username);
    let password = secret(variable!(
        "DB_SENTINEL_PASSWORD",
        database.db_sentinel_password
    ));
    if user.is_some() && password.is_none() {
        let fix = "the password of DB_SENTINEL_USERNAME";
        checker.mistake("DB_SENTINEL_PASSWORD", None, fix);
    }
    SentinelLogin {
        user,
        password,
        has_tls: sentinel_tls,
    }
}

fn number(
    database: &Database,
    url: Option<&RedisUrl>,
    place: &RedisPlace,
    checker: &mut Checker,
) -> u32 {
    let (name, value) = variable!("DB_NUMBER", database.db_number);
    let of_url = url.and_then(|url| url.database);
    let number = checker.number(
        (name, value.clone()),
        of_url.unwrap_or(0).into(),
        0..=i32::MAX.unsigned_abs().into(),
    );
    let number = u32::try_from(number).unwrap_or(0);
    if of_url.is_some_and(|of_url| of_url != number) {
        checker.mistake(name, value, "unset, or the database that DB_URL names");
    } else if number != 0 && matches!(place, RedisPlace::Cluster(_)) {
        checker.mistake(name, value, "0 or unset: a cluster has one database");
    }
    number
}

fn promise(database: &Database, checker: &mut Checker) -> Option<ReplicaPromise> {
    let replicas = variable!("DB_MIN_REPLICAS_TO_ACK", database.db_min_replicas_to_ack);
    let replicas = checker.number(replicas, 0, 0..=100);
    let patience = variable!(
        "DB_REPLICA_ACK_TIMEOUT_MS",
        database.db_replica_ack_timeout_ms
    );
    // Less than a connection may be silent.
    let patience = checker.number(patience, 1000, 1..=3000);
    (replicas > 0).then(|| ReplicaPromise {
        replicas: u32::try_from(replicas).unwrap_or(u32::MAX),
        patience: Duration::from_millis(patience),
    })
}

fn without_effect(checker: &mut Checker, variables: &[Variable], why: &str) {
    for (name, value) in variables {
        if value.as_ref().is_some_and(|value| !value.is_empty()) {
            checker.warn(format!("{name} has no effect {why}"));
        }
    }
}

#[cfg(test)]
#[path = "redis_tests.rs"]
mod tests;
