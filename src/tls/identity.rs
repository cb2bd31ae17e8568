//! Whose process a certificate belongs to. A certificate of `erawan certs`, or
//! of an authority that is asked for one, names the node in a URI:
//! `urn:erawan:node:NODE_ID`. The certificates that the replaced system used
//! name hosts only; they are taken on a node's own word: when they share a name
//! with the certificate of the process itself, or `CLUSTER_PEER_NAMES` lists
//! one.

use std::collections::BTreeSet;

use openssl::nid::Nid;
use openssl::x509::{X509NameRef, X509Ref};
use percent_encoding::{NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

const NODE: &str = "urn:erawan:node:";

/// The URI that names a node in a certificate.
pub(super) fn node_uri(node_id: &str) -> String {
    format!("{NODE}{}", utf8_percent_encode(node_id, NON_ALPHANUMERIC))
}

/// What a certificate says about its owner.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeNames {
    /// Nodes whose process the owner is.
    pub nodes: BTreeSet<String>,
    /// Hosts and common names.
    pub hosts: BTreeSet<String>,
}

impl NodeNames {
    pub fn of(certificate: &X509Ref) -> Self {
        let mut nodes = BTreeSet::new();
        let mut hosts = BTreeSet::new();
        for name in certificate.subject_alt_names().into_iter().flatten() {
            if let Some(node) = name.uri().and_then(|uri| uri.strip_prefix(NODE)) {
                nodes.insert(percent_decode_str(node).decode_utf8_lossy().into_owned());
            }
            hosts.extend(name.dnsname().map(str::to_lowercase));
        }
        hosts.extend(common_name(certificate.subject_name()).map(|name| name.to_lowercase()));
        Self { nodes, hosts }
    }

    /// Whether the owner is a process of this node.
    ///
    /// # Errors
    /// Why it is not, and what an operator can do.
    pub fn check(&self, node_id: &str, accepted: &BTreeSet<String>) -> Result<(), String> {
        if self.nodes.contains(node_id) {
            return Ok(());
        }
        if let Some(other) = self.nodes.first() {
            return Err(format!("it is of node {other}, not {node_id}"));
        }
        match self.hosts.is_disjoint(accepted) {
            false => Ok(()),
            true => Err(format!(
                "it does not name node {node_id} ({}); give the process a certificate that does \
                 (erawan certs), or list its name in CLUSTER_PEER_NAMES",
                node_uri(node_id)
            )),
        }
    }
}

fn common_name(subject: &X509NameRef) -> Option<String> {
    let entry = subject.entries_by_nid(Nid::COMMONNAME).next()?;
    entry.data().to_string().ok()
}

/// For logs: the subject, or the hosts where the subject is empty.
pub(super) fn title(certificate: &X509Ref) -> String {
    let subject = shown(certificate.subject_name());
    match subject.is_empty() {
        false => subject,
        true => {
            let names = NodeNames::of(certificate);
            let names: Vec<String> = names.nodes.into_iter().chain(names.hosts).collect();
            names.join(",")
        }
    }
}

/// A name as it is written: `CN=master,O=Bank`.
pub(super) fn shown(name: &X509NameRef) -> String {
    let entries = name.entries().filter_map(|entry| {
        let kind = entry.object().nid().short_name().ok()?;
        Some(format!("{kind}={}", entry.data().to_string().ok()?))
    });
    entries.collect::<Vec<_>>().join(",")
}
