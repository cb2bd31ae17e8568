//! `GET /utility/idp` and `/utility/idp/:namespace/:identifier` of versions 5 and 4
//! (spec/http-api-v4-v5.md 4, 5): a flag instead of a list of features, and in
//! version 4 neither features nor agents.

use schemars::JsonSchema;
use serde_json::{Value, json};

use super::{Adapter, Members, each};
use crate::api::schema::Schema;
use crate::api::success::Success;

/// The feature that is a flag in older versions.
pub(super) const ON_THE_FLY: &str = "on_the_fly";
/// The flag.
pub(super) const FLAG: &str = "on_the_fly_support";
/// The list of features.
pub(super) const FEATURES: &str = "supported_feature_list";

/// Texts of a boolean.
#[derive(JsonSchema)]
#[schemars(rename_all = "snake_case")]
#[expect(dead_code, reason = "only its schema is used")]
enum Flag {
    False,
    True,
}

/// A mode of identities.
#[derive(JsonSchema)]
#[expect(dead_code, reason = "only its schema is used")]
enum ModeText {
    #[schemars(rename = "2")]
    Two,
    #[schemars(rename = "3")]
    Three,
}

/// Query string of version 5.
#[derive(JsonSchema)]
#[expect(dead_code, reason = "only its schema is used")]
struct Version5 {
    min_ial: Option<String>,
    min_aal: Option<String>,
    on_the_fly_support: Option<Flag>,
    agent: Option<Flag>,
    filter_for_node_id: Option<String>,
}

/// The same about an identity.
#[derive(JsonSchema)]
#[expect(dead_code, reason = "only its schema is used")]
struct Version5OfIdentity {
    min_ial: Option<String>,
    min_aal: Option<String>,
    on_the_fly_support: Option<Flag>,
    mode: Option<ModeText>,
    filter_for_node_id: Option<String>,
}

/// Query string of version 4.
#[derive(JsonSchema)]
#[expect(dead_code, reason = "only its schema is used")]
struct Version4 {
    min_ial: Option<String>,
    min_aal: Option<String>,
}

/// The same about an identity.
#[derive(JsonSchema)]
#[expect(dead_code, reason = "only its schema is used")]
struct Version4OfIdentity {
    min_ial: Option<String>,
    min_aal: Option<String>,
    mode: Option<ModeText>,
}

/// Members that say whether an IdP has declared levels.
const LEVELS: &[(&str, &str)] = &[("lial~", "boolean"), ("laal~", "boolean")];
/// Those of an identity, beside its modes.
const OF_IDENTITY: &[(&str, &str)] = &[("ial", "number")];
/// What version 4 does not know.
const FLAGS: [(&str, &str); 2] = [("agent", "boolean"), (FLAG, "boolean")];

/// A list of IdPs with these members beside those that all have.
fn shown(more: &[&[(&str, &str)]]) -> Option<Success> {
    let mut shape = json!({
        "node_id": "text",
        "node_name": "text",
        "max_ial": "number",
        "max_aal": "number",
        "supported_request_message_data_url_type_list": ["text"],
    });
    if more.contains(&OF_IDENTITY) {
        shape["mode_list"] = json!(["integer"]);
    }
    for (name, kind) in more.iter().copied().flatten() {
        shape[*name] = json!(kind);
    }
    Some(Success::json(200, &json!([shape])))
}

pub(super) fn v5() -> Adapter {
    Adapter {
        query: Some(Schema::of::<Version5>()),
        query_in: Some(flag_as_feature),
        answer_out: Some(|list| each(list, feature_as_flag)),
        success: shown(&[LEVELS, &FLAGS]),
        ..Adapter::default()
    }
}

pub(super) fn v5_of_identity() -> Adapter {
    Adapter {
        query: Some(Schema::of::<Version5OfIdentity>()),
        success: shown(&[LEVELS, OF_IDENTITY, &FLAGS]),
        ..v5()
    }
}

pub(super) fn v4() -> Adapter {
    Adapter {
        query: Some(Schema::of::<Version4>()),
        query_in: Some(|query| keep(query, &["min_ial", "min_aal"])),
        answer_out: Some(|list| each(list, version_4)),
        success: shown(&[LEVELS]),
        ..Adapter::default()
    }
}

pub(super) fn v4_of_identity() -> Adapter {
    Adapter {
        query: Some(Schema::of::<Version4OfIdentity>()),
        query_in: Some(|query| keep(query, &["min_ial", "min_aal", "mode"])),
        answer_out: Some(|list| each(list, version_4_of_identity)),
        success: shown(&[OF_IDENTITY]),
        ..Adapter::default()
    }
}

fn keep(members: &mut Members, names: &[&str]) {
    members.retain(|name, _| names.contains(&name.as_str()));
}

/// Only `true` filters.
fn flag_as_feature(query: &mut Members) {
    query.shift_remove(FEATURES);
    if query.shift_remove(FLAG).is_some_and(|flag| flag == "true") {
        query.insert(FEATURES.to_owned(), ON_THE_FLY.into());
    }
}

/// Replaces the list by the flag, as the last member.
pub(super) fn feature_as_flag(members: &mut Members) {
    let features = members.shift_remove(FEATURES);
    let features = features.as_ref().and_then(Value::as_array);
    let is_on = features.is_some_and(|features| features.contains(&ON_THE_FLY.into()));
    members.insert(FLAG.to_owned(), is_on.into());
}

/// Absent levels of an identity are null, and stay null.
fn version_4(idp: &mut Members) {
    let names = [
        "node_id",
        "node_name",
        "max_ial",
        "max_aal",
        "lial",
        "laal",
        "supported_request_message_data_url_type_list",
    ];
    keep(idp, &names);
    for level in ["lial", "laal"] {
        idp.insert(level.to_owned(), Value::Null);
    }
}

fn version_4_of_identity(idp: &mut Members) {
    let names = [
        "node_id",
        "node_name",
        "max_ial",
        "max_aal",
        "ial",
        "mode_list",
        "supported_request_message_data_url_type_list",
    ];
    keep(idp, &names);
}
