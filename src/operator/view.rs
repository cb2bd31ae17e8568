//! Answers in the form that operators read.

use std::fmt::Write;

use serde_json::{Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::message::{OperationOutcome, OperationResult, OperatorResponse, Shown};
use super::story::RequestStory;
use crate::store::{Audited, Was};

/// Longest error in a table; `show` prints all of it.
const ERROR_WIDTH: usize = 60;

/// For programs.
pub(super) fn json(answer: &OperatorResponse, by: &str) -> Value {
    let (name, content) = match answer {
        OperatorResponse::List(jobs) => ("jobs", json!(jobs)),
        OperatorResponse::Show(job) => ("job", json!(job)),
        OperatorResponse::Operate(done) => ("operations", json!(done)),
        OperatorResponse::Audit(audit) => ("audit", audit.iter().map(audited).collect()),
        OperatorResponse::Story(story) => ("story", json!(story)),
        OperatorResponse::Failed(reason) => ("error", json!(reason)),
    };
    json!({ "answered_by": by, name: content })
}

fn audited(audited: &Audited) -> Value {
    let operation = &audited.operation;
    json!({
        "at": operation.at.0,
        "who": operation.who,
        "why": operation.why,
        "action": operation.action.name(),
        "id": operation.job.to_string(),
        "kind": audited.kind.name(),
        "key": audited.key,
        "attempt": audited.attempt,
        "was": was(audited.was),
        "reason": audited.reason,
    })
}

fn was(was: Was) -> &'static str {
    match was {
        Was::Parked => "parked",
        Was::Failed => "failed",
        Was::Waiting => "waiting",
    }
}

/// For people.
pub(super) fn text(answer: &OperatorResponse) -> String {
    match answer {
        OperatorResponse::List(jobs) => list(jobs),
        OperatorResponse::Show(Some(job)) => show(job),
        OperatorResponse::Show(None) => "no such job, open or failed\n".to_owned(),
        OperatorResponse::Operate(done) => done.iter().map(operation).collect(),
        OperatorResponse::Audit(audit) => audit.iter().map(audit_line).collect(),
        OperatorResponse::Story(story) => story_text(story),
        OperatorResponse::Failed(reason) => format!("{reason}\n"),
    }
}

fn story_text(story: &RequestStory) -> String {
    if story.is_empty() {
        return "the store knows nothing of this request\n".to_owned();
    }
    let mut text = format!("request {}\n", story.request_id);
    for chapter in &story.chapters {
        let state = chapter.state.map(|state| json!(state));
        let state = state.as_ref().and_then(Value::as_str).unwrap_or_default();
        let details = chapter.details.iter();
        let details = details.map(|field| format!("{}={}", field.name, field.value));
        let trace = chapter.trace.iter().map(|id| format!("trace={id}"));
        let details = details.chain(trace);
        // Writing to a String cannot fail.
        let _ = writeln!(
            text,
            "{}  {:<11}  {:<24}  {:<7}  {}{}",
            time_exactly(chapter.at),
            chapter.of.word(),
            chapter.name,
            state,
            chapter
                .job
                .as_deref()
                .map_or(String::new(), |id| format!("{id} ")),
            details.collect::<Vec<_>>().join(" "),
        );
    }
    for row in &story.kept {
        let _ = writeln!(
            text,
            "kept: {} of {} ({} columns, {} bytes)",
            row.table, row.node_id, row.columns, row.bytes
        );
    }
    if story.is_cut {
        text.push_str("there is more than is shown\n");
    }
    text
}

fn list(jobs: &[Shown]) -> String {
    if jobs.is_empty() {
        return "no such jobs\n".to_owned();
    }
    let mut text = String::from(
        "ID                                    STATE    KIND                 ATTEMPT  STRIKES  ACCEPTED              KEY / LAST ERROR\n",
    );
    for job in jobs {
        let error = job.last_error.as_deref().unwrap_or_default();
        let error: String = error.chars().take(ERROR_WIDTH).collect();
        // Writing to a String cannot fail.
        let _ = writeln!(
            text,
            "{}  {:<7}  {:<19}  {:>7}  {:>7}  {}  {}{}{error}",
            job.id,
            state(job),
            job.kind,
            job.attempt,
            job.strikes,
            time(job.accepted_at),
            job.key,
            if error.is_empty() { "" } else { " / " },
        );
    }
    text
}

fn state(job: &Shown) -> String {
    let name = json!(job.state);
    name.as_str().unwrap_or_default().to_owned()
}

fn show(job: &Shown) -> String {
    let mut lines = vec![
        ("id", job.id.clone()),
        ("state", state(job)),
        ("kind", job.kind.clone()),
        ("key", job.key.clone()),
        ("attempt", job.attempt.to_string()),
        ("tries", job.tries.to_string()),
        ("strikes", job.strikes.to_string()),
        ("place", job.seq.to_string()),
        ("accepted", time(job.accepted_at)),
    ];
    let times = [
        ("not before", job.not_before),
        ("deadline", job.deadline),
        ("failed", job.failed_at),
    ];
    lines.extend(
        times
            .iter()
            .filter_map(|(name, at)| Some((*name, time((*at)?)))),
    );
    lines.extend(
        job.after_height
            .map(|height| ("after block", height.to_string())),
    );
    lines.extend(job.source.clone().map(|source| ("source", source)));
    lines.extend(job.last_error.clone().map(|error| ("last error", error)));
    lines.push(("payload", format!("{} bytes", job.payload_bytes)));
    let fields = job.payload.iter();
    lines.extend(fields.map(|field| (field.name.as_str(), field.value.clone())));
    lines
        .into_iter()
        .map(|(name, value)| format!("{name:<12} {value}\n"))
        .collect()
}

fn operation(done: &OperationResult) -> String {
    let result = match done.result {
        OperationOutcome::Open => "open: it may run",
        OperationOutcome::Ended => "ended",
        OperationOutcome::NotFound => "no such job, open or failed",
        OperationOutcome::Refused => "refused",
        OperationOutcome::Unknown => {
            "not known whether it was done; look at it with `erawan jobs show`"
        }
        OperationOutcome::NotTried => "not tried: the store was away",
    };
    let reason = done.reason.as_ref();
    let reason = reason.map_or_else(String::new, |reason| format!(": {reason}"));
    format!("{} {result}{reason}\n", done.id)
}

fn audit_line(audited: &Audited) -> String {
    let operation = &audited.operation;
    format!(
        "{} {} {} {} (was {}, {}, {}): {}\n",
        time(operation.at.0),
        operation.who,
        operation.action.name(),
        operation.job,
        was(audited.was),
        audited.kind.name(),
        audited.key,
        operation.why,
    )
}

/// To the millisecond.
fn time_exactly(millis: u64) -> String {
    let whole = time(millis);
    format!("{}.{:03}Z", whole.trim_end_matches('Z'), millis % 1000)
}

fn time(millis: u64) -> String {
    let seconds = i64::try_from(millis / 1000).ok();
    let instant = seconds.and_then(|seconds| OffsetDateTime::from_unix_timestamp(seconds).ok());
    let text = instant.and_then(|instant| instant.format(&Rfc3339).ok());
    text.unwrap_or_default()
}
