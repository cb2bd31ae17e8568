//! Compares key files with the ledger: a key of another node, or an old one,
//! is found before anything is signed with it.

use std::borrow::Borrow;

use openssl::pkey::{PKey, Private};

use super::key_files::NodeKeys;
use super::public_key;
use crate::config::{KeyFile, Keys};
use crate::ledger::types::{NodeInfo, NodeKey};

/// A private key of a node: its variable, its half of generations, and the
/// ledger's half.
struct Pair {
    variable: &'static str,
    of_files: fn(&NodeKeys) -> &PKey<Private>,
    of_ledger: fn(&NodeInfo) -> &NodeKey,
}

const PAIRS: [Pair; 3] = [
    Pair {
        variable: "SIGNING_PRIVATE_KEY_PATH",
        of_files: |keys| &keys.signing,
        of_ledger: |node| &node.signing_public_key,
    },
    Pair {
        variable: "SIGNING_MASTER_PRIVATE_KEY_PATH",
        of_files: |keys| &keys.signing_master,
        of_ledger: |node| &node.signing_master_public_key,
    },
    Pair {
        variable: "ENCRYPTION_PRIVATE_KEY_PATH",
        of_files: |keys| &keys.encryption,
        of_ledger: |node| &node.encryption_public_key,
    },
];

/// The variables whose files have no key that is on the ledger, in any of these
/// generations.
pub fn differing(generations: &[impl Borrow<NodeKeys>], node: &NodeInfo) -> Vec<&'static str> {
    let differs = |pair: &&Pair| {
        // An unreadable key of the ledger is nobody's.
        let Ok(public) = public_key::parse(&(pair.of_ledger)(node).public_key) else {
            return true;
        };
        let mut privates = generations
            .iter()
            .map(|keys| (pair.of_files)(Borrow::<NodeKeys>::borrow(keys)));
        !privates.any(|private| private.public_eq(&public))
    };
    PAIRS
        .iter()
        .filter(differs)
        .map(|pair| pair.variable)
        .collect()
}

/// What an operator is told about keys that differ.
pub fn told(differing: &[&'static str], keys: &Keys, node_id: &str) -> Option<String> {
    let Keys::Files {
        signing,
        signing_master,
        encryption,
        ..
    } = keys
    else {
        return None;
    };
    let file = |variable: &str| -> &KeyFile {
        match variable {
            "SIGNING_PRIVATE_KEY_PATH" => signing,
            "SIGNING_MASTER_PRIVATE_KEY_PATH" => signing_master,
            _ => encryption,
        }
    };
    let named = differing
        .iter()
        .map(|variable| format!("{variable}={}", file(variable).path.display()));
    let named = named.collect::<Vec<_>>().join(", ");
    (!differing.is_empty()).then(|| {
        format!(
            "the ledger has other public keys of node {node_id} than those of {named}: what is \
             signed with these is refused; give the node its own key files, or register the keys \
             (POST /node/update)"
        )
    })
}

#[cfg(test)]
mod tests {
    use openssl::ec::{EcGroup, EcKey};
    use openssl::nid::Nid;

    use super::*;
    use crate::crypto::test_key;

    fn new_key() -> PKey<Private> {
        let group = EcGroup::from_curve_name(Nid::X9_62_PRIME256V1).unwrap();
        PKey::from_ec_key(EcKey::generate(&group).unwrap()).unwrap()
    }

    fn keys(signing: PKey<Private>, other: PKey<Private>) -> NodeKeys {
        NodeKeys {
            signing,
            signing_master: other.clone(),
            encryption: other,
        }
    }

    fn node(signing: &PKey<Private>, other: &PKey<Private>) -> NodeInfo {
        let key = |private: &PKey<Private>| {
            let pem = String::from_utf8(private.public_key_to_pem().unwrap()).unwrap();
            serde_json::json!({
                "public_key": pem, "algorithm": "RSA_PKCS1_V1_5_SHA_256", "version": 1,
                "creation_block_height": 1, "creation_chain_id": "", "active": true,
            })
        };
        let node = serde_json::json!({
            "signing_public_key": key(signing),
            "signing_master_public_key": key(other),
            "encryption_public_key": key(other),
            "node_name": "", "role": "RP", "active": true,
        });
        serde_json::from_value(node).unwrap()
    }

    #[test]
    fn a_key_that_is_not_the_ledgers_is_named_unless_a_former_one_is() {
        let (one, two) = (test_key::private(), new_key());
        let ours = keys(one.clone(), two.clone());
        assert!(differing(std::slice::from_ref(&ours), &node(&one, &two)).is_empty());
        let signed_by_two = node(&two, &two);
        assert_eq!(
            differing(std::slice::from_ref(&ours), &signed_by_two),
            ["SIGNING_PRIVATE_KEY_PATH"]
        );
        let former = keys(two.clone(), two.clone());
        assert!(differing(&[ours, former], &signed_by_two).is_empty());
    }
}
