//! A network is ready when each RP's next request would be accepted: not when
//! every process is ready, because an RP may not know yet that an IdP has told
//! the ledger its address.

use std::io;
use std::time::{Duration, Instant};

use reqwest::{Client, StatusCode};
use serde_json::{Value, json};

use super::apps::ApiClient;
use super::network::Network;
use crate::context::Role;
use crate::error::codes;

const PATIENCE: Duration = Duration::from_secs(60);
const PAUSE: Duration = Duration::from_millis(50);
/// A service that no AS offers: a request for its data is refused after its
/// IdPs have been found, and nothing is begun.
const NO_SERVICE: &str = "no_such_service";

/// Waits until every process is ready and every RP finds every IdP.
///
/// # Errors
/// When that takes too long, with what the last request was answered.
pub(super) async fn would_be_accepted(network: &Network) -> io::Result<()> {
    for node in &network.nodes {
        let client = ApiClient::new(node.api_urls())?;
        client.wait_until_ready(PATIENCE).await?;
    }
    let client = Client::builder()
        .no_proxy()
        .timeout(PATIENCE)
        .build()
        .map_err(io::Error::other)?;
    let deadline = Instant::now() + PATIENCE;
    for (api, node_id) in rps(network) {
        for idp_id in idps(network) {
            while let Err(answer) = finds(&client, &api, &node_id, &idp_id).await {
                if Instant::now() > deadline {
                    let words = format!("{node_id} at {api} finds no {idp_id}: {answer}");
                    return Err(io::Error::other(words));
                }
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
    Ok(())
}

/// Base URL of each process, and for whom it acts.
fn rps(network: &Network) -> Vec<(String, String)> {
    let own = network.nodes.iter().filter(|node| node.role == Role::Rp);
    let own = own.map(|node| (node.node_id.clone(), node.api_urls()));
    let behind = network.behind.iter().filter(|node| node.role == Role::Rp);
    let behind = behind.filter_map(|node| {
        let proxy = network.nodes.iter().find(|one| one.node_id == node.proxy)?;
        Some((node.node_id.clone(), proxy.api_urls()))
    });
    own.chain(behind)
        .flat_map(|(id, urls)| urls.into_iter().map(move |url| (url, id.clone())))
        .collect()
}

fn idps(network: &Network) -> Vec<String> {
    let own = network.nodes.iter().map(|node| (node.role, &node.node_id));
    let behind = network.behind.iter().map(|node| (node.role, &node.node_id));
    own.chain(behind)
        .filter(|(role, _)| *role == Role::Idp)
        .map(|(_, id)| id.clone())
        .collect()
}

/// Makes a request that is refused for its service; otherwise with the answer.
async fn finds(client: &Client, api: &str, node_id: &str, idp_id: &str) -> Result<(), String> {
    let call = client.post(format!("{api}/v6/rp/requests/citizen_id/1000000000017"));
    let body = json!({
        "node_id": node_id,
        "reference_id": format!("first-{node_id}-{idp_id}"),
        "callback_url": "http://127.0.0.1:1/nobody",
        "mode": 1,
        "idp_id_list": [idp_id],
        "data_request_list": [{"service_id": NO_SERVICE, "as_id_list": [], "min_as": 1}],
        "request_message": "",
        "min_ial": 1.1,
        "min_aal": 1,
        "min_idp": 1,
        "request_timeout": 60,
    });
    let answer = call
        .json(&body)
        .send()
        .await
        .map_err(|error| error.to_string())?;
    let status = answer.status();
    let said: Value = answer.json().await.map_err(|error| error.to_string())?;
    let code = said["error"]["code"].as_u64();
    let is_too_early = status == StatusCode::SERVICE_UNAVAILABLE
        || status == StatusCode::INTERNAL_SERVER_ERROR
        || code.is_none()
        || [codes::NO_IDP_FOUND, codes::UNQUALIFIED_IDP]
            .iter()
            .any(|early| code == Some(u64::from(early.number)));
    match is_too_early {
        true => Err(format!("{status} {said}")),
        false => Ok(()),
    }
}
