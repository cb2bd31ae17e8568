//! The status of a request, which every node derives for itself (spec/ledger.md 6.3,
//! 6.4). It does not depend on whether the request has ended.

use crate::ledger::types::{DataRequest, RequestDetail};

/// No IdP has accepted or rejected yet.
pub const PENDING: &str = "pending";
/// Only acceptances so far.
pub const CONFIRMED: &str = "confirmed";
/// Only rejections so far.
pub const REJECTED: &str = "rejected";
/// Acceptances and rejections.
pub const COMPLICATED: &str = "complicated";
/// All consents and data are there.
pub const COMPLETED: &str = "completed";
/// Some services that need no answer have answered.
pub const PARTIAL_COMPLETED: &str = "partial_completed";
/// The request can no longer succeed.
pub const ERRORED: &str = "errored";

/// Purposes of consent requests that are complete without an acceptance.
const PURPOSES_WITHOUT_ACCEPTANCE: [&str; 3] =
    ["RegisterIdentity", "AddAccessor", "RevokeAccessor"];

/// `pending`, `confirmed`, `rejected`, `complicated`, `completed`,
/// `partial_completed` or `errored` (spec/ledger.md 6.3).
pub fn derive(request: &RequestDetail) -> &'static str {
    let errors = request.response_list.len() - request.answers().count();
    if errors + request.min_idp as usize > request.idp_id_list.len() {
        return ERRORED;
    }
    let base = base(request);
    if request.data_request_list.is_empty() {
        return without_data(request, base);
    }
    let services: Vec<ServiceNumbers> = request
        .data_request_list
        .iter()
        .map(ServiceNumbers::of)
        .collect();
    if services.iter().all(|service| service.answers == 0) {
        return base;
    }
    if services.iter().all(|service| service.wanted > 0) {
        all_wanted(&services, base)
    } else {
        some_optional(&services, base)
    }
}

/// The simpler status of API version 4: errors are not seen
/// (spec/ledger.md 6.4).
pub fn derive_v4(request: &RequestDetail) -> &'static str {
    let base = base(request);
    if request.data_request_list.is_empty() {
        return without_data(request, base);
    }
    let counts = service_counts(request);
    let wanted: u64 = counts.iter().map(|count| count.min_as).sum();
    let signed: u64 = counts.iter().map(|count| count.signed).sum();
    let received: u64 = counts.iter().map(|count| count.received).sum();
    if wanted == signed && signed == received {
        COMPLETED
    } else {
        base
    }
}

/// Answers of a service as API version 4 counts them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServiceCount<'a> {
    /// Which service.
    pub service_id: &'a str,
    /// How many answers are wanted.
    pub min_as: u64,
    /// ASes that put a signature on the ledger.
    pub signed: u64,
    /// ASes whose data the RP has acknowledged.
    pub received: u64,
}

/// The counts of every service of a request.
pub fn service_counts(request: &RequestDetail) -> Vec<ServiceCount<'_>> {
    request
        .data_request_list
        .iter()
        .map(|service| {
            let answers = &service.response_list;
            let signed = answers.iter().filter(|answer| answer.signed == Some(true));
            let received = answers
                .iter()
                .filter(|answer| answer.received_data == Some(true));
            ServiceCount {
                service_id: &service.service_id,
                min_as: service.min_as,
                signed: signed.count() as u64,
                received: received.count() as u64,
            }
        })
        .collect()
}

/// The status by the IdPs' answers alone.
fn base(request: &RequestDetail) -> &'static str {
    match (accepts(request) > 0, rejects(request) > 0) {
        (true, false) => CONFIRMED,
        (false, true) => REJECTED,
        (true, true) => COMPLICATED,
        (false, false) => PENDING,
    }
}

fn accepts(request: &RequestDetail) -> usize {
    with_status(request, "accept")
}

fn rejects(request: &RequestDetail) -> usize {
    with_status(request, "reject")
}

fn with_status(request: &RequestDetail, status: &str) -> usize {
    request
        .answers()
        .filter(|answer| answer.status.as_deref() == Some(status))
        .count()
}

fn without_data(request: &RequestDetail, base: &'static str) -> &'static str {
    let answered = request.answers().count() as u64 == request.min_idp;
    let needs_no_acceptance = PURPOSES_WITHOUT_ACCEPTANCE.contains(&request.purpose.as_str());
    let agreed = accepts(request) > 0 || needs_no_acceptance;
    if answered && rejects(request) == 0 && agreed {
        COMPLETED
    } else {
        base
    }
}

/// Counts of a service's answers.
struct ServiceNumbers {
    /// `min_as`; 0: any number of answers.
    wanted: usize,
    /// ASes that may answer.
    eligible: usize,
    /// All answers.
    answers: usize,
    /// Error answers.
    errors: usize,
    /// Answers whose data has been received.
    received: usize,
}

impl ServiceNumbers {
    fn of(service: &DataRequest) -> Self {
        let answers = &service.response_list;
        let errors = answers.iter().filter(|answer| answer.error_code.is_some());
        let received = answers.iter().filter(|answer| {
            answer.error_code.is_none()
                && answer.signed == Some(true)
                && answer.received_data == Some(true)
        });
        Self {
            wanted: service.min_as as usize,
            eligible: service.as_id_list.len(),
            answers: answers.len(),
            errors: errors.count(),
            received: received.count(),
        }
    }

    fn cannot_be_met(&self) -> bool {
        self.errors + self.wanted > self.eligible
    }
}

/// Every service wants answers.
fn all_wanted(services: &[ServiceNumbers], base: &'static str) -> &'static str {
    if services.iter().any(ServiceNumbers::cannot_be_met) {
        ERRORED
    } else if services
        .iter()
        .all(|service| service.received == service.wanted)
    {
        COMPLETED
    } else {
        base
    }
}

/// At least one service takes any number of answers.
fn some_optional(services: &[ServiceNumbers], base: &'static str) -> &'static str {
    let mut all_complete = true;
    let mut any_failed = false;
    let mut any_good = false;
    let mut can_wait = false;
    for service in services {
        if service.wanted > 0 {
            if service.cannot_be_met() {
                any_failed = true;
                all_complete = false;
            } else if service.received == service.wanted {
                any_good = true;
            } else {
                all_complete = false;
                can_wait = true;
            }
            continue;
        }
        can_wait |= service.eligible > service.errors;
        any_good |= service.received > 0;
        if service.received != service.eligible {
            all_complete = false;
            any_failed |= service.errors == service.eligible;
        }
    }
    if any_failed && !any_good {
        if can_wait { base } else { ERRORED }
    } else if all_complete {
        COMPLETED
    } else if any_good {
        PARTIAL_COMPLETED
    } else {
        base
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;

    /// The table of spec/ledger.md 6.3: answers / IdPs / min_idp, purpose,
    /// services `min_as/ASes[answers]`, status.
    const VECTORS: [(&str, &str, &str, &str); 39] = [
        ("/1/1", "", "", "pending"),
        ("a/1/1", "", "", "completed"),
        ("r/1/1", "", "", "rejected"),
        ("a/2/2", "", "", "confirmed"),
        ("aa/2/2", "", "", "completed"),
        ("ar/2/2", "", "", "complicated"),
        ("e/2/1", "", "", "pending"),
        ("e/2/2", "", "", "errored"),
        ("ee/2/1", "", "", "errored"),
        ("/1/1", "RegisterIdentity", "", "pending"),
        ("a/1/1", "RegisterIdentity", "", "completed"),
        ("/2/1", "", "1/1[]", "pending"),
        ("a/2/1", "", "1/1[]", "confirmed"),
        ("a/2/1", "", "1/1[S]", "confirmed"),
        ("a/2/1", "", "1/1[SR]", "completed"),
        ("a/2/1", "closed", "1/1[SR]", "completed"),
        ("a/2/1", "", "1/1[e]", "errored"),
        ("a/2/1", "", "2/2[e]", "errored"),
        ("a/1/1", "", "0/2[SR,SR]", "completed"),
        ("a/1/1", "", "0/2[e]", "confirmed"),
        ("a/1/1", "", "0/2[SR,e]", "partial_completed"),
        ("a/1/1", "", "0/2[e,e]", "errored"),
        ("a/1/1", "", "0/2[e] 1/2[]", "confirmed"),
        ("a/1/1", "", "1/1[e] 1/2[SR]", "errored"),
        ("a/1/1", "", "1/2[e] 1/2[]", "confirmed"),
        ("a/1/1", "", "1/2[e] 1/2[SR]", "confirmed"),
        ("a/1/1", "", "1/2[e,SR] 1/2[SR]", "completed"),
        ("a/1/1", "", "1/2[e] 1/2[e]", "confirmed"),
        ("a/1/1", "", "0/2[e] 1/2[SR]", "partial_completed"),
        ("a/1/1", "", "0/2[e,S] 1/2[SR]", "partial_completed"),
        ("a/1/1", "", "0/2[e,SR] 1/2[SR]", "partial_completed"),
        ("a/1/1", "", "0/2[e,e] 1/2[SR]", "partial_completed"),
        ("a/1/1", "", "0/2[e,SR] 1/1[e]", "partial_completed"),
        ("a/1/1", "", "0/2[e,e] 1/2[e]", "confirmed"),
        ("a/1/1", "", "0/2[e] 0/2[e,SR]", "partial_completed"),
        ("a/1/1", "", "0/2[e] 0/2[e,e]", "confirmed"),
        ("a/1/1", "", "0/2[e,e] 0/2[e,e]", "errored"),
        ("a/1/1", "", "0/2[e] 0/2[e] 1/2[e]", "confirmed"),
        ("a/1/1", "", "0/2[e] 0/2[e,e] 1/2[e]", "confirmed"),
    ];

    fn names(prefix: &str, count: &str) -> Vec<String> {
        let count: usize = count.parse().unwrap();
        (0..count).map(|index| format!("{prefix}{index}")).collect()
    }

    fn idp_answer(index: usize, kind: char) -> Value {
        match kind {
            'a' => json!({"idp_id": format!("idp{index}"), "status": "accept"}),
            'r' => json!({"idp_id": format!("idp{index}"), "status": "reject"}),
            _ => json!({"idp_id": format!("idp{index}"), "error_code": 1}),
        }
    }

    fn as_answer(kind: &str) -> Value {
        match kind {
            "e" => json!({"as_id": "as", "error_code": 1}),
            _ => json!({"as_id": "as", "signed": true, "received_data": kind == "SR"}),
        }
    }

    fn service(index: usize, text: &str) -> Value {
        let (wanted, rest) = text.split_once('/').unwrap();
        let (eligible, answers) = rest.trim_end_matches(']').split_once('[').unwrap();
        let answers: Vec<Value> = answers
            .split(',')
            .filter(|answer| !answer.is_empty())
            .map(as_answer)
            .collect();
        json!({
            "service_id": format!("service{index}"),
            "as_id_list": names("as", eligible),
            "min_as": wanted.parse::<u64>().unwrap(),
            "request_params_hash": "",
            "response_list": answers,
        })
    }

    fn request(idps: &str, purpose: &str, services: &str) -> RequestDetail {
        let parts: Vec<&str> = idps.split('/').collect();
        let answers: Vec<Value> = parts[0]
            .chars()
            .enumerate()
            .map(|(index, kind)| idp_answer(index, kind))
            .collect();
        let services: Vec<Value> = services
            .split_whitespace()
            .enumerate()
            .map(|(index, text)| service(index, text))
            .collect();
        let closed = purpose == "closed";
        let detail = json!({
            "request_id": "r", "min_idp": parts[2].parse::<u64>().unwrap(),
            "min_aal": 1, "min_ial": 1.1, "request_timeout": 1,
            "idp_id_list": names("idp", parts[1]), "data_request_list": services,
            "request_message_hash": "", "response_list": answers,
            "closed": closed, "timed_out": false,
            "purpose": if closed { "" } else { purpose },
            "mode": 1, "request_type": null, "requester_node_id": "rp1",
            "creation_block_height": 1, "creation_chain_id": "c",
        });
        serde_json::from_value(detail).unwrap()
    }

    #[test]
    fn every_specified_vector_has_its_status() {
        for (index, (idps, purpose, services, status)) in VECTORS.into_iter().enumerate() {
            let request = request(idps, purpose, services);
            assert_eq!(derive(&request), status, "vector {}", index + 1);
        }
    }

    const ALL: [&str; 7] = [
        PENDING,
        CONFIRMED,
        REJECTED,
        COMPLICATED,
        COMPLETED,
        PARTIAL_COMPLETED,
        ERRORED,
    ];

    proptest! {
        /// The order of answers and services plays no part, nor does the end of
        /// the request; nothing is errored without an error.
        #[test]
        fn a_status_follows_from_what_was_answered(
            answers in "[are]{0,4}",
            idps in 1..6,
            min_idp in 1..4,
            services in "([0-2]/[0-3]\\[(e|S|SR)?(,(e|S|SR)){0,2}\\] ){0,3}",
        ) {
            let idps = format!("{answers}/{idps}/{min_idp}");
            let asked = request(&idps, "", &services);
            let status = derive(&asked);
            prop_assert!(ALL.contains(&status), "{}", status);
            let mut turned = asked.clone();
            turned.response_list.reverse();
            turned.data_request_list.reverse();
            for service in &mut turned.data_request_list {
                service.response_list.reverse();
            }
            (turned.closed, turned.timed_out) = (true, true);
            prop_assert_eq!(derive(&turned), status);
            prop_assert_eq!(derive_v4(&turned), derive_v4(&asked));
            let has_errors = answers.contains('e') || services.contains('e');
            let can_be_met = asked.min_idp as usize <= asked.idp_id_list.len()
                && asked
                    .data_request_list
                    .iter()
                    .all(|service| service.min_as as usize <= service.as_id_list.len());
            if status == ERRORED && can_be_met {
                prop_assert!(has_errors);
            }
            if status == COMPLETED && asked.data_request_list.is_empty() {
                prop_assert!(!answers.contains('r') && answers.contains('a'));
            }
        }
    }

    #[test]
    fn version_4_does_not_see_errors() {
        for (idps, services, status) in [
            ("e/1/1", "", "pending"),
            ("a/1/1", "", "completed"),
            ("a/1/1", "1/1[e]", "confirmed"),
            ("a/1/1", "1/1[S]", "confirmed"),
            ("a/1/1", "1/1[SR]", "completed"),
            ("a/1/1", "1/1[SR] 1/2[S]", "confirmed"),
            ("ar/2/2", "1/1[]", "complicated"),
        ] {
            assert_eq!(
                derive_v4(&request(idps, "", services)),
                status,
                "{idps} {services}"
            );
        }
    }
}
