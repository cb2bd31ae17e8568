//! Makes a transaction: parameters, nonce, signature, bytes (spec/ledger.md 2).

use bytes::Bytes;
use openssl::sha::sha256;
use prost::Message;

use super::TransactionHash;
use crate::proto::wire;

/// A transaction ready to be broadcast.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signed {
    /// The encoded `Tx`.
    pub bytes: Vec<u8>,
    pub hash: TransactionHash,
}

/// The bytes that a transaction's signature covers.
pub fn signed_message(method: &str, params: &[u8], chain_id: &str, nonce: &[u8]) -> Vec<u8> {
    [method.as_bytes(), params, chain_id.as_bytes(), nonce].concat()
}

/// The bytes and the hash of a transaction.
pub fn encode(
    method: &str,
    params: &[u8],
    nonce: &[u8],
    signature: &[u8],
    node_id: &str,
) -> Signed {
    let transaction = wire::Tx {
        method: method.to_owned(),
        params: Bytes::copy_from_slice(params),
        nonce: Bytes::copy_from_slice(nonce),
        signature: Bytes::copy_from_slice(signature),
        node_id: node_id.to_owned(),
    };
    let bytes = transaction.encode_to_vec();
    let hash = hash(&bytes);
    Signed { bytes, hash }
}

/// SHA-256 of a transaction's bytes, lower-case hex.
pub fn hash(bytes: &[u8]) -> TransactionHash {
    hex::encode(sha256(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// spec/ledger.md 2.10.
    #[test]
    fn bytes_and_hash_are_those_of_the_specified_vector() {
        let params = br#"{"request_id":"aa","response_valid_list":[]}"#;
        let nonce: Vec<u8> = (0..32).collect();
        let message = signed_message("CloseRequest", params, "test-chain-NDID", &nonce);
        assert_eq!(message.len(), 103);
        assert_eq!(
            hex::encode(sha256(&message)),
            "75bfe918898bb247fb34b0beebc311e2e235da8362c9f2c595c603f2a0e49ed5"
        );
        let signature = hex::decode(concat!(
            "2ac1367ab028b9ab284d6a741c1f470d2ea7bae212cff21b870c200b66fde792",
            "b3512f9c8dc6e738740284efd9dcd5c3087996722a465257af07311e4eb54204"
        ))
        .unwrap();
        let signed = encode("CloseRequest", params, &nonce, &signature, "rp1");
        assert_eq!(signed.bytes.len(), 165);
        assert_eq!(
            signed.hash,
            "fe59aa600f565d19f012c04bbfa06ec2cf4d5d3d906f4c3eeb8c4a5457f42bdd"
        );
    }
}
