//! `erawan demo --story`: one user's life on the platform, a step at a time, told
//! by client applications that know nothing of a node but its HTTP API v6.

pub mod actors;
mod mailbox;

use std::io;
use std::time::{Duration, Instant};

use serde::Serialize;
use serde_json::{Value, json};

use self::actors::{Actors, field};
use super::apps::{Accessor, citizen_id, data_of};
use super::network::Network;

/// Nodes of the story.
pub const NODES: [&str; 5] = ["rp1", "idp1", "idp2", "idp3", "as1"];
const SERVICE: &str = "bank_statement";
pub const NAMESPACE: &str = "citizen_id";

/// A step that has ended as it should.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Step {
    /// Short name; stable.
    pub step: &'static str,
    /// What happened.
    pub told: String,
    /// How long it took, in milliseconds.
    pub ms: f64,
}

/// The whole story.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Story {
    /// In their order.
    pub steps: Vec<Step>,
    /// Why it stopped in the middle, if it did.
    pub problem: Option<String>,
}

impl Story {
    /// The last line for people.
    pub fn ending(&self) -> String {
        match &self.problem {
            None => format!("   all {} steps ended as they should", self.steps.len()),
            Some(problem) => format!("   the story stopped: {problem}"),
        }
    }
}

/// The user, as the applications know them.
struct Person {
    identifier: String,
    reference_group_code: String,
    /// At `idp1`.
    first: Accessor,
    /// At `idp2`.
    second: Accessor,
}

/// Lives it. `tell` hears of each step as it ends.
///
/// # Errors
/// When the applications cannot be set up.
pub async fn live(network: &Network, tell: impl Fn(&Step)) -> io::Result<Story> {
    let actors = Actors::start(network, SERVICE).await?;
    let mut story = Story::default();
    if let Err(problem) = steps(&actors, &mut story, &tell).await {
        story.problem = Some(problem);
    }
    actors.stop().await;
    Ok(story)
}

async fn steps(actors: &Actors, story: &mut Story, tell: &impl Fn(&Step)) -> Result<(), String> {
    let mut began = Instant::now();
    let mut ended = |step: &'static str, told: String| {
        let took = began.elapsed();
        began = Instant::now();
        let step = Step {
            step,
            told,
            ms: (took.as_secs_f64() * 10_000.0).round() / 10.0,
        };
        tell(&step);
        story.steps.push(step);
    };
    let mut person = onboarded(actors).await?;
    let group = &person.reference_group_code;
    ended(
        "onboarded",
        format!("idp1 onboards the user in mode 3: reference group {group}"),
    );
    consented(actors, &person).await?;
    ended(
        "consented",
        "idp2 onboards the user too; the user consents at idp1".to_owned(),
    );
    replaced(actors, &mut person).await?;
    ended(
        "accessor_replaced",
        "idp2 replaces the user's accessor; the user consents at idp1".to_owned(),
    );
    let data = data_requested(actors, &person).await?;
    ended(
        "data_requested",
        format!(
            "rp1 asks for data; the user consents at idp2 with the new accessor; as1 gives {} bytes",
            data.len()
        ),
    );
    upgraded(actors, &person).await?;
    ended(
        "mode_upgraded",
        "idp3 onboards the user in mode 2, then upgrades to mode 3; the user consents at idp1"
            .to_owned(),
    );
    revoked(actors, &person).await?;
    ended(
        "association_revoked",
        "idp2 revokes its association; the user consents at idp1; idp1 and idp3 remain".to_owned(),
    );
    Ok(())
}

/// The call that onboards a user with this accessor.
///
/// # Errors
/// When the accessor's key cannot be written.
pub fn identity(person: &str, accessor: &Accessor, mode: u8) -> Result<Value, String> {
    let mut call = accessor.registration()?;
    call["mode"] = mode.into();
    call["identity_list"] = json!([{"namespace": NAMESPACE, "identifier": person}]);
    call["ial"] = 2.3.into();
    call["request_message"] = "ขอความยินยอม: please let this IdP onboard you".into();
    Ok(call)
}

async fn onboarded(actors: &Actors) -> Result<Person, String> {
    // Any user does who is not on the ledger of a network that is kept.
    let number = rand::random::<u64>();
    let identifier = citizen_id(number);
    let accessor = |idp: &str| Accessor::generate(format!("{idp}-{number}"));
    let (first, second) = (accessor("idp1").await?, accessor("idp2").await?);
    let call = identity(&identifier, &first, 3)?;
    let asked = actors.ask("idp1", "/v6/identity", call).await?;
    let result = actors.result(&asked, "create_identity_result").await?;
    Ok(Person {
        reference_group_code: field(&result, "reference_group_code")?,
        identifier,
        first,
        second,
    })
}

async fn consented(actors: &Actors, person: &Person) -> Result<(), String> {
    let call = identity(&person.identifier, &person.second, 3)?;
    let asked = actors.ask("idp2", "/v6/identity", call).await?;
    let requested = "create_identity_request_result";
    let request = actors.result(&asked, requested).await?;
    let request_id = field(&request, "request_id")?;
    actors.consent("idp1", &request_id, &person.first).await?;
    let result = actors.result(&asked, "create_identity_result").await?;
    let group = field(&result, "reference_group_code")?;
    match group == person.reference_group_code {
        true => Ok(()),
        false => Err(format!("idp2 was told of another reference group: {group}")),
    }
}

async fn replaced(actors: &Actors, person: &mut Person) -> Result<(), String> {
    let new = Accessor::generate(format!("{}-new", person.second.id)).await?;
    let mut call = new.registration()?;
    call["revoking_accessor_id"] = person.second.id.as_str().into();
    call["request_message"] = "ขอความยินยอม: please confirm the new accessor".into();
    let operation = "revoke_and_add_accessor";
    with_consent(
        actors,
        person,
        ("idp2", "accessor_revoke_and_add"),
        operation,
        call,
    )
    .await?;
    person.second = new;
    Ok(())
}

async fn data_requested(actors: &Actors, person: &Person) -> Result<String, String> {
    let call = json!({
        "mode": 3,
        "idp_id_list": ["idp2"],
        "data_request_list": [{"service_id": SERVICE, "as_id_list": ["as1"], "min_as": 1}],
        "request_message": "ขอความยินยอม: please confirm the loan",
        "min_ial": 1.1,
        "min_aal": 1,
        "min_idp": 1,
        "request_timeout": 86400,
        "bypass_identity_check": false,
    });
    let path = format!("/v6/rp/requests/{NAMESPACE}/{}", person.identifier);
    let asked = actors.ask("rp1", &path, call).await?;
    let request_id = field(&asked.answer, "request_id")?;
    actors.consent("idp2", &request_id, &person.second).await?;
    let data = data_of(&request_id);
    actors.give_data("as1", &request_id, SERVICE, &data).await?;
    let is_closed = |body: &Value| body["request_id"] == *request_id && body["closed"] == true;
    let status = actors.heard("rp1", "request_status", is_closed).await?;
    if status["status"] != "completed" {
        return Err(format!("the request was closed as {status}"));
    }
    let path = format!("/v6/rp/request_data/{request_id}");
    let read = actors.client("rp1")?.get_json(&path).await?;
    match read[0]["data"] == *data {
        true => Ok(data),
        false => Err(format!("rp1 read other data than as1 gave: {read}")),
    }
}

async fn upgraded(actors: &Actors, person: &Person) -> Result<(), String> {
    let third = Accessor::generate(format!("{}-third", person.first.id)).await?;
    let call = identity(&person.identifier, &third, 2)?;
    let asked = actors.ask("idp3", "/v6/identity", call).await?;
    actors.result(&asked, "create_identity_result").await?;
    let call = json!({"request_message": "ขอความยินยอม: please confirm the upgrade"});
    with_consent(
        actors,
        person,
        ("idp3", "mode"),
        "upgrade_identity_mode",
        call,
    )
    .await
}

async fn revoked(actors: &Actors, person: &Person) -> Result<(), String> {
    let call = json!({"request_message": "ขอความยินยอม: please confirm that you leave idp2"});
    let operation = "revoke_identity_association";
    with_consent(
        actors,
        person,
        ("idp2", "association_revoke"),
        operation,
        call,
    )
    .await?;
    let path = format!("/v6/utility/idp/{NAMESPACE}/{}", person.identifier);
    let idps = actors.client("rp1")?.get_json(&path).await?;
    let mut left: Vec<&str> = idps
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|idp| idp["node_id"].as_str())
        .collect();
    left.sort_unstable();
    match left == ["idp1", "idp3"] {
        true => Ok(()),
        false => Err(format!("the user is at {left:?} in the end")),
    }
}

/// An operation on the user's identity that they consent to at `idp1`.
async fn with_consent(
    actors: &Actors,
    person: &Person,
    (idp, path): (&str, &str),
    operation: &str,
    call: Value,
) -> Result<(), String> {
    let path = format!("/v6/identity/{NAMESPACE}/{}/{path}", person.identifier);
    let asked = actors.ask(idp, &path, call).await?;
    let requested = format!("{operation}_request_result");
    let request = actors.result(&asked, &requested).await?;
    let request_id = field(&request, "request_id")?;
    actors.consent("idp1", &request_id, &person.first).await?;
    let result = format!("{operation}_result");
    actors.result(&asked, &result).await.map(|_| ())
}

/// A line for people.
pub fn line(step: &Step) -> String {
    let took = Duration::from_secs_f64(step.ms / 1000.0);
    format!("{:>7.2} s  {}", took.as_secs_f64(), step.told)
}
