//! Keys in versions 5 and 4: one for signing and encryption, and one master key.
//! Both are RSA, with fixed algorithms (spec/http-api-v4-v5.md 6).

use serde_json::{Value, json};

use super::{Members, remove};

/// Type of a key whose owner names none. Clients cannot send it: the schemas of
/// version 6 refuse it.
pub const ANY_TYPE: &str = "any";

const SIGNING: &str = "RSASSA_PKCS1_V1_5_SHA_256";
const ENCRYPTION: &str = "RSAES_PKCS1_V1_5";

/// Members that only version 6 has.
const OF_VERSION_6: [&str; 9] = [
    "signing_public_key",
    "signing_key_algorithm",
    "signing_algorithm",
    "signing_master_public_key",
    "signing_master_key_algorithm",
    "signing_master_algorithm",
    "encryption_public_key",
    "encryption_key_algorithm",
    "encryption_algorithm",
];

/// A body with `node_key` and `node_master_key`.
pub(super) fn of_node(body: &mut Members) {
    to_version_6(
        body,
        ["node_key", "node_key_type"],
        ["node_master_key", "node_master_key_type"],
    );
    remove(body, &["node_sign_method", "node_master_sign_method"]);
}

/// A body with `public_key` and `master_public_key`.
pub(super) fn of_ndid(body: &mut Members) {
    to_version_6(
        body,
        ["public_key", "public_key_type"],
        ["master_public_key", "master_public_key_type"],
    );
}

/// Names each key and its type. Absent members stay absent.
fn to_version_6(body: &mut Members, key: [&str; 2], master: [&str; 2]) {
    remove(body, &OF_VERSION_6);
    let mut take = |[key, key_type]: [&str; 2]| {
        let key_type = body.shift_remove(key_type);
        Some((
            body.shift_remove(key)?,
            key_type.unwrap_or_else(|| json!(ANY_TYPE)),
        ))
    };
    let (key, master) = (take(key), take(master));
    if let Some((pem, key_type)) = key {
        put(body, "signing_public_key", &pem);
        put(body, "signing_key_algorithm", &key_type);
        put(body, "signing_algorithm", &json!(SIGNING));
        put(body, "encryption_public_key", &pem);
        put(body, "encryption_key_algorithm", &key_type);
        put(body, "encryption_algorithm", &json!(ENCRYPTION));
    }
    if let Some((pem, key_type)) = master {
        put(body, "signing_master_public_key", &pem);
        put(body, "signing_master_key_algorithm", &key_type);
        put(body, "signing_master_algorithm", &json!(SIGNING));
    }
}

fn put(body: &mut Members, name: &str, value: &Value) {
    body.insert(name.to_owned(), value.clone());
}
