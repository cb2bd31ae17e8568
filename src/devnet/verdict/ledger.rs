//! What the ledger's blocks say.

use std::collections::{BTreeMap, BTreeSet};
use std::io;

use futures_util::{StreamExt, TryStreamExt};

use crate::ledger::rpc::RpcOptions;
use crate::ledger::{BlockTransaction, LedgerClient};

/// Blocks asked for at a time.
const AT_A_TIME: usize = 16;

/// Every transaction of every block, refused ones too, in order. `address`:
/// `host:port` of the ledger's RPC.
///
/// # Errors
/// When the ledger does not answer.
pub async fn read_transactions(address: &str) -> io::Result<Vec<BlockTransaction>> {
    let no_port = || io::Error::other(format!("{address:?} has no port"));
    let (host, port) = address.rsplit_once(':').ok_or_else(no_port)?;
    let port = port.parse().map_err(io::Error::other)?;
    let client = LedgerClient::start(RpcOptions::new(host, port, 1));
    let mut connected = client.connected();
    // The client keeps the sender.
    let _ = connected.wait_for(|sockets| *sockets > 0).await;
    let status = client.status().await.map_err(io::Error::other)?;
    let blocks = (1..=status.height).map(|height| {
        let client = client.clone();
        async move { client.block(height, None).await }
    });
    let blocks: Vec<_> = futures_util::stream::iter(blocks)
        .buffered(AT_A_TIME)
        .try_collect()
        .await
        .map_err(io::Error::other)?;
    let transactions = blocks.into_iter().flat_map(|block| block.transactions);
    Ok(transactions.collect())
}

/// The job of a transaction: no job may have two, whatever the ledger answered.
fn job_of(transaction: &BlockTransaction) -> String {
    let text = |member: &str| transaction.param::<String>(member).unwrap_or_default();
    let request_id = text("request_id");
    let signer = &transaction.node_id;
    match transaction.method.as_str() {
        "CreateRequest" => format!("CreateRequest {request_id}"),
        "CreateIdpResponse" => format!("CreateIdpResponse {request_id} of {signer}"),
        "CreateAsResponse" => {
            let service_id = text("service_id");
            format!("CreateAsResponse {request_id} {service_id} of {signer}")
        }
        "SetDataReceived" => {
            let (service_id, as_id) = (text("service_id"), text("as_id"));
            format!("SetDataReceived {request_id} {service_id} {as_id}")
        }
        // Each user has an accessor of its own.
        "RegisterIdentity" => format!("RegisterIdentity {} of {signer}", text("accessor_id")),
        // A request ends once.
        "CloseRequest" | "TimeOutRequest" => format!("end of {request_id}"),
        method => {
            let params = String::from_utf8_lossy(&transaction.params);
            format!("{method} {params} of {signer}")
        }
    }
}

/// The transactions but for those that the ledger refused because their AS had
/// answered before: one for each request that its application answered twice.
pub(super) fn without_second_answers(
    transactions: &[BlockTransaction],
    answered_twice: &BTreeSet<String>,
) -> Vec<BlockTransaction> {
    let mut left = answered_twice.clone();
    let mut is_second = |transaction: &BlockTransaction| {
        let request_id = transaction.param::<String>("request_id");
        transaction.method == "CreateAsResponse"
            && !transaction.success
            && request_id.is_some_and(|request_id| left.remove(&request_id))
    };
    let transactions = transactions.iter();
    let rest = transactions.filter(|transaction| !is_second(transaction));
    rest.cloned().collect()
}

/// Jobs with more than one transaction.
pub(super) fn twice(transactions: &[BlockTransaction]) -> Vec<String> {
    let mut jobs: BTreeMap<String, Vec<&BlockTransaction>> = BTreeMap::new();
    for transaction in transactions {
        jobs.entry(job_of(transaction))
            .or_default()
            .push(transaction);
    }
    let told = |transaction: &BlockTransaction| {
        let inclusion = &transaction.inclusion;
        format!("height {} code {}", inclusion.height, inclusion.code)
    };
    jobs.into_iter()
        .filter(|(_, transactions)| transactions.len() > 1)
        .map(|(job, transactions)| {
            let places: Vec<String> = transactions.into_iter().map(told).collect();
            format!(
                "{job} is in the ledger {} times ({})",
                places.len(),
                places.join(", ")
            )
        })
        .collect()
}

/// Ids of the requests a node has created.
pub(super) fn requests_of<'a>(
    transactions: &'a [BlockTransaction],
    node_id: &'a str,
) -> impl Iterator<Item = String> {
    transactions
        .iter()
        .filter(move |transaction| {
            transaction.method == "CreateRequest" && transaction.node_id == node_id
        })
        .filter_map(|transaction| transaction.param("request_id"))
}

/// Reference groups of the identities that were registered.
pub(super) fn reference_groups(transactions: &[BlockTransaction]) -> impl Iterator<Item = String> {
    transactions
        .iter()
        .filter(|transaction| transaction.method == "RegisterIdentity" && transaction.success)
        .filter_map(|transaction| transaction.param("reference_group_code"))
}

/// Where in the order of the ledger a request's transaction of this method is.
pub(super) fn place_of(
    transactions: &[BlockTransaction],
    method: &str,
    request_id: &str,
) -> Option<usize> {
    transactions.iter().position(|transaction| {
        transaction.method == method
            && transaction.param::<String>("request_id").as_deref() == Some(request_id)
    })
}

/// The steps of a request, as they follow one another.
const STEPS: [&str; 5] = [
    "CreateRequest",
    "CreateIdpResponse",
    "CreateAsResponse",
    "SetDataReceived",
    "CloseRequest",
];

/// Requests whose steps are not in their order.
pub(super) fn out_of_order(transactions: &[BlockTransaction]) -> Vec<String> {
    let mut last: BTreeMap<String, usize> = BTreeMap::new();
    let mut findings = Vec::new();
    for transaction in transactions {
        let step = STEPS
            .iter()
            .position(|method| *method == transaction.method);
        let request_id = transaction.param::<String>("request_id");
        let (Some(step), Some(request_id)) = (step, request_id) else {
            continue;
        };
        let before = last.insert(request_id.clone(), step).unwrap_or_default();
        if before > step {
            let (method, before) = (STEPS[step], STEPS[before]);
            findings.push(format!("{method} of {request_id} came after its {before}"));
        }
    }
    findings
}

/// Transactions for tests.
#[cfg(test)]
pub(super) mod testing {
    use serde_json::{Value, json};

    use super::*;
    use crate::ledger::Inclusion;

    pub fn transaction(method: &str, node_id: &str, params: Value) -> BlockTransaction {
        BlockTransaction {
            hash: String::new(),
            method: method.to_owned(),
            params: params.to_string().into(),
            node_id: node_id.to_owned(),
            inclusion: Inclusion {
                height: 1,
                code: 0,
                log: "success".to_owned(),
            },
            success: true,
            reference_group_code: None,
        }
    }

    /// All steps of a request.
    pub fn a_request(request_id: &str) -> Vec<BlockTransaction> {
        let params = json!({"request_id": request_id, "service_id": "s", "as_id": "as1"});
        STEPS
            .map(|method| transaction(method, "rp1", params.clone()))
            .to_vec()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::testing::{a_request, transaction};
    use super::*;

    #[test]
    fn each_step_of_a_request_counts_once() {
        let mut transactions = a_request("r1");
        transactions.extend(a_request("r2"));
        assert_eq!(twice(&transactions), Vec::<String>::new());
        for index in 0..5 {
            let mut transactions = transactions.clone();
            transactions.push(transactions[index].clone());
            assert_eq!(twice(&transactions).len(), 1, "{}", STEPS[index]);
        }
    }

    #[test]
    fn a_second_transaction_of_a_job_counts_though_the_ledger_refused_it_and_it_differs() {
        let params = |aal: f64| json!({"request_id": "r", "aal": aal});
        let first = transaction("CreateIdpResponse", "idp1", params(1.0));
        let mut second = transaction("CreateIdpResponse", "idp1", params(2.2));
        second.inclusion.code = 15005;
        let of_another = transaction("CreateIdpResponse", "idp2", params(1.0));
        assert_eq!(twice(&[first.clone(), of_another]), Vec::<String>::new());
        let findings = twice(&[first, second]);
        assert!(findings[0].contains("code 15005"), "{findings:?}");
    }

    #[test]
    fn a_request_ends_by_close_or_by_time_out_but_not_by_both() {
        let params = json!({"request_id": "r"});
        let close = transaction("CloseRequest", "rp1", params.clone());
        let time_out = transaction("TimeOutRequest", "rp1", params);
        assert_eq!(twice(&[close, time_out]).len(), 1);
    }

    #[test]
    fn an_identity_is_registered_once_whatever_its_group() {
        let register = |accessor: &str, group: &str| {
            let params = json!({"accessor_id": accessor, "reference_group_code": group});
            transaction("RegisterIdentity", "idp1", params)
        };
        let two = [register("a", "g"), register("b", "h")];
        assert_eq!(twice(&two), Vec::<String>::new());
        assert_eq!(twice(&[register("a", "g"), register("a", "h")]).len(), 1);
        assert!(reference_groups(&two).eq(["g", "h"]));
    }

    #[test]
    fn other_methods_count_by_their_content() {
        let set = |port: u16| transaction("SetMqAddresses", "rp1", json!({"port": port}));
        assert_eq!(twice(&[set(1), set(2)]), Vec::<String>::new());
        assert_eq!(twice(&[set(1), set(2), set(1)]).len(), 1);
    }

    #[test]
    fn steps_out_of_order_are_found() {
        let mut transactions = a_request("r1");
        assert_eq!(out_of_order(&transactions), Vec::<String>::new());
        transactions.swap(1, 2);
        let findings = out_of_order(&transactions);
        assert_eq!(
            findings,
            ["CreateIdpResponse of r1 came after its CreateAsResponse"]
        );
    }

    #[test]
    fn requests_are_told_by_who_made_them() {
        let transactions = a_request("r1");
        let of = |node_id: &'static str| requests_of(&transactions, node_id).collect::<Vec<_>>();
        assert_eq!(of("rp1"), ["r1"]);
        assert_eq!(of("rp2"), Vec::<&str>::new());
    }
}
