//! Names the worker in the metadata of a call whose messages do not name it.

use tonic::Status;
use tonic::metadata::{MetadataMap, MetadataValue};

use crate::protocol::message::PROTOCOL_VERSION;

const VERSION: &str = "erawan-protocol-version";
/// Binary, because a node id may be any text.
const NODE: &str = "erawan-node-id-bin";

/// Names the node and the protocol version of the calling worker.
pub fn introduce(metadata: &mut MetadataMap, node_id: &str) {
    metadata.insert(VERSION, PROTOCOL_VERSION.into());
    metadata.insert_bin(NODE, MetadataValue::from_bytes(node_id.as_bytes()));
}

/// Checks the node and the protocol version of the calling worker.
///
/// # Errors
/// `FailedPrecondition` that says what differs.
pub fn check(metadata: &MetadataMap, node_id: &str) -> Result<(), Status> {
    let version = metadata.get(VERSION).and_then(|value| value.to_str().ok());
    let node = metadata.get_bin(NODE).and_then(|id| id.to_bytes().ok());
    let node = node.as_deref().map(String::from_utf8_lossy);
    if version == Some(PROTOCOL_VERSION.to_string().as_str()) && node.as_deref() == Some(node_id) {
        return Ok(());
    }
    let theirs = |text: Option<&str>| text.unwrap_or("none").to_owned();
    Err(Status::failed_precondition(format!(
        "the worker is of node {}, protocol version {}; this is the master of node {node_id}, \
         protocol version {PROTOCOL_VERSION}",
        theirs(node.as_deref()),
        theirs(version),
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_worker_of_the_same_node_and_version_is_let_in() {
        let mut metadata = MetadataMap::new();
        introduce(&mut metadata, "โหนด 1");
        assert!(check(&metadata, "โหนด 1").is_ok());
        let refused = check(&metadata, "another").unwrap_err();
        assert_eq!(refused.code(), tonic::Code::FailedPrecondition);
        assert!(refused.message().contains("โหนด 1"), "{refused}");
        metadata.insert(VERSION, (PROTOCOL_VERSION + 7).into());
        let refused = check(&metadata, "โหนด 1").unwrap_err();
        let version = (PROTOCOL_VERSION + 7).to_string();
        assert!(refused.message().contains(&version), "{refused}");
        assert!(check(&MetadataMap::new(), "โหนด 1").is_err());
    }
}
