//! From ledger records to receivers of messages (spec/messaging-and-crypto.md 3.1).

use crate::ledger::types::{AsNodeInfo, IdpNodeInfo, IdpProxy, MqAddress, NodeKey};
use crate::messaging::outbound::{Receiver, ReceiverProxy};

/// An IdP that can be reached; `None` without a message queue address.
pub(super) fn of_idp(idp: IdpNodeInfo) -> Option<Receiver> {
    receiver(idp.node_id, idp.encryption_public_key, idp.mq, idp.proxy)
}

/// An AS that can be reached; `None` without a message queue address.
pub(super) fn of_as(provider: AsNodeInfo) -> Option<Receiver> {
    receiver(
        provider.node_id,
        provider.encryption_public_key,
        provider.mq,
        provider.proxy,
    )
}

fn receiver(
    node_id: String,
    encryption_key: NodeKey,
    addresses: Vec<MqAddress>,
    proxy: Option<IdpProxy>,
) -> Option<Receiver> {
    let (addresses, proxy) = match proxy {
        Some(proxy) => {
            let of_proxy = ReceiverProxy {
                node_id: proxy.node_id,
                encryption_key: proxy.encryption_public_key,
                config: proxy.config,
            };
            (proxy.mq, Some(of_proxy))
        }
        None => (addresses, None),
    };
    Some(Receiver {
        node_id,
        encryption_key,
        address: addresses.into_iter().next()?,
        proxy,
    })
}
