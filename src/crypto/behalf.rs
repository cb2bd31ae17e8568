//! On whose behalf this process acts. A key or a signing service for a node
//! proves nothing: the ledger decides which nodes a proxy works for
//! (spec/flows.md 5), and that may change at any time.

use std::sync::Arc;

use async_trait::async_trait;

use super::{Crypto, KeyUse};
use crate::error::{Error, codes};
use crate::ledger::types::NodeKey;
use crate::ledger::{Ledger, query};

/// Private keys for this node and the nodes that it works for now, by the
/// ledger. The ledger's answer is cached until a block may have changed it
/// ([`crate::ledger::CachedLedger`]).
pub struct OnBehalf {
    keys: Arc<dyn Crypto>,
    ledger: Arc<dyn Ledger>,
    own: String,
    is_proxy: bool,
}

impl OnBehalf {
    /// Uses `keys` for the node `own` and, if it is a proxy, for the nodes
    /// behind it with `KEY_ON_PROXY`.
    pub fn new(
        keys: Arc<dyn Crypto>,
        ledger: Arc<dyn Ledger>,
        own: impl Into<String>,
        is_proxy: bool,
    ) -> Self {
        Self {
            keys,
            ledger,
            own: own.into(),
            is_proxy,
        }
    }

    /// # Errors
    /// 10034 for a node that this one does not work for; those of the ledger.
    async fn check(&self, node_id: &str) -> Result<(), Error> {
        if node_id == self.own {
            return Ok(());
        }
        let served = match self.is_proxy {
            true => query::nodes_served_by(self.ledger.as_ref(), &self.own).await?,
            false => Vec::new(),
        };
        match served.iter().any(|served| served == node_id) {
            true => Ok(()),
            false => Err(codes::NODE_KEY_NOT_FOUND.into()),
        }
    }
}

#[async_trait]
impl Crypto for OnBehalf {
    fn is_local(&self) -> bool {
        self.keys.is_local()
    }

    fn trouble(&self) -> Option<String> {
        self.keys.trouble()
    }

    fn calls_under_way(&self) -> u64 {
        self.keys.calls_under_way()
    }

    fn encryption_keys(&self, node_id: &str) -> Vec<String> {
        self.keys.encryption_keys(node_id)
    }

    async fn sign(
        &self,
        node_id: &str,
        key_use: KeyUse,
        key: &NodeKey,
        message: &[u8],
    ) -> Result<Vec<u8>, Error> {
        self.check(node_id).await?;
        self.keys.sign(node_id, key_use, key, message).await
    }

    async fn decrypt(
        &self,
        node_id: &str,
        key: &NodeKey,
        encrypted: &[u8],
    ) -> Result<Vec<u8>, Error> {
        self.check(node_id).await?;
        self.keys.decrypt(node_id, key, encrypted).await
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::context::Role;
    use crate::flows::testing::{RecordedKeys, TestNode};

    fn key() -> NodeKey {
        NodeKey::unregistered("", "RSASSA_PKCS1_V1_5_SHA_256")
    }

    fn behind(nodes: &[(&str, &str)]) -> Value {
        let nodes: Vec<Value> = nodes
            .iter()
            .map(|(node_id, config)| json!({"node_id": node_id, "config": config}))
            .collect();
        json!({ "nodes": nodes })
    }

    /// There are keys for all these nodes.
    #[tokio::test]
    async fn the_ledger_decides_for_whom_a_proxy_signs() {
        let node = TestNode::new("proxy1", Role::Proxy);
        let keys = |is_proxy| {
            let ledger = node.context.ledger.clone();
            OnBehalf::new(Arc::new(RecordedKeys), ledger, "proxy1", is_proxy)
        };
        let refused = async |keys: &OnBehalf, node_id: &str| {
            let signed = keys.sign(node_id, KeyUse::Signing, &key(), b"m").await;
            signed.err().map(|error| error.code().number)
        };
        let set = |nodes: &[(&str, &str)]| {
            let params = json!({"proxy_node_id": "proxy1"});
            node.ledger
                .answer("GetNodesBehindProxyNode", params, behind(nodes));
        };
        let proxy = keys(true);
        set(&[("rp1", "KEY_ON_PROXY"), ("idp1", "KEY_ON_NODE")]);
        assert_eq!(refused(&proxy, "rp1").await, None);
        assert_eq!(refused(&proxy, "idp1").await, Some(10034));
        assert_eq!(refused(&proxy, "as1").await, Some(10034));
        set(&[("as1", "KEY_ON_PROXY")]);
        assert_eq!(refused(&proxy, "rp1").await, Some(10034), "it was removed");
        assert_eq!(refused(&proxy, "as1").await, None, "it was added");
        let unwrapped = proxy.decrypt("rp1", &key(), b"x").await;
        assert_eq!(unwrapped.unwrap_err().code().number, 10034);
        assert_eq!(refused(&keys(false), "as1").await, Some(10034));
        node.ledger.set_unavailable(true);
        let unknown = proxy.sign("as1", KeyUse::Signing, &key(), b"m").await;
        assert!(unknown.unwrap_err().is_temporary(), "nobody knows");
    }
}
