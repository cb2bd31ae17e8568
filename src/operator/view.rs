//! Answers in the form that operators read.

use std::fmt::Write;

use serde_json::{Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::message::{JobState, OperationOutcome, OperationResult, Shown};
use super::receivers::ReceiverShown;
use super::record::DecisionRecord;
use super::story::RequestStory;
use super::told::{Instead, JobsAnswer};

/// Longest error in a table; `show` prints all of it.
const ERROR_WIDTH: usize = 60;

/// For programs.
pub(super) fn json(told: &JobsAnswer, by: &str) -> Value {
    let (name, content) = match told {
        JobsAnswer::Jobs { jobs, .. } => ("jobs", json!(jobs)),
        JobsAnswer::Job(job) => ("job", json!(job)),
        JobsAnswer::Operations(done) => ("operations", json!(done)),
        JobsAnswer::Audit(audit) => ("audit", json!(audit)),
        JobsAnswer::Receivers(receivers) => ("receivers", json!(receivers)),
        JobsAnswer::Decided(decision) => ("decision", json!(decision)),
        JobsAnswer::Story(story) => ("story", json!(story)),
    };
    json!({ "answered_by": by, name: content })
}

/// For people. `by`: who answered.
pub(super) fn text(told: &JobsAnswer, by: &str) -> String {
    match told {
        JobsAnswer::Jobs { jobs, instead } if jobs.is_empty() => none_listed(*instead, by),
        JobsAnswer::Jobs { jobs, .. } => list(jobs),
        JobsAnswer::Job(Some(job)) => show(job),
        JobsAnswer::Job(None) => format!(
            "no such job, open or failed (asked {by}): it has ended well, was dropped, or belongs \
             to another node\n"
        ),
        JobsAnswer::Operations(done) => done.iter().map(operation).collect(),
        JobsAnswer::Audit(audit) if audit.is_empty() => {
            format!("no operator has decided anything yet (asked {by})\n")
        }
        JobsAnswer::Audit(audit) => audit.iter().map(audit_line).collect(),
        JobsAnswer::Story(story) => story_text(story),
        JobsAnswer::Receivers(receivers) if receivers.is_empty() => {
            format!("no delivery is open, and no receiver is paused (asked {by})\n")
        }
        JobsAnswer::Receivers(receivers) => receiver_table(receivers),
        JobsAnswer::Decided(decision) => format!("{}: {}d\n", decision.key, decision.action),
    }
}

/// Whoever sees an empty list wants to know whether there is nothing, or
/// nothing that matches.
fn none_listed(instead: Option<Instead>, by: &str) -> String {
    let Some(instead) = instead else {
        return format!("no such jobs (asked {by})\n");
    };
    if instead.open + instead.failed == 0 {
        return format!("no job is open, and none has failed (asked {by})\n");
    }
    let Instead {
        open,
        parked,
        failed,
        ..
    } = instead;
    let more = if instead.or_more { " or more" } else { "" };
    format!(
        "no job matches (asked {by}); there are {open} open jobs, {parked} of them parked, and \
         {failed} failed ones{more}\n"
    )
}

fn story_text(story: &RequestStory) -> String {
    if story.is_empty() {
        return "the store knows nothing of this request\n".to_owned();
    }
    let mut text = format!("request {}\n", story.request_id);
    for chapter in &story.chapters {
        let state = chapter.state.map_or("", state_word);
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

fn state(job: &Shown) -> &'static str {
    state_word(job.state)
}

fn state_word(state: JobState) -> &'static str {
    match state {
        JobState::Open => "open",
        JobState::Waiting => "waiting",
        JobState::Parked => "parked",
        JobState::Failed => "failed",
    }
}

fn show(job: &Shown) -> String {
    let mut lines = vec![
        ("id", job.id.clone()),
        ("state", state(job).to_owned()),
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

fn audit_line(record: &DecisionRecord) -> String {
    let at = time(record.at);
    let DecisionRecord {
        who, action, key, ..
    } = record;
    if record.id.is_empty() {
        return format!("{at} {who} {action} {key}: {}\n", record.why);
    }
    format!(
        "{at} {who} {action} {} (was {}, {}, {key}): {}\n",
        record.id, record.was, record.kind, record.why,
    )
}

fn receiver_table(receivers: &[ReceiverShown]) -> String {
    let mut text = String::from("   OPEN  RUNNING  IN LINE  STATE    RECEIVER\n");
    for receiver in receivers {
        let number = |number: Option<u64>| number.map_or("-".to_owned(), |n| n.to_string());
        let state = match (&receiver.pause, receiver.failing) {
            (Some(_), _) => "paused",
            (None, true) => "failing",
            (None, false) => "well",
        };
        let pause = receiver.pause.as_ref();
        let pause = pause.map_or_else(String::new, |pause| {
            format!(" ({} since {}: {})", pause.who, time(pause.at), pause.why)
        });
        // Writing to a String cannot fail.
        let _ = writeln!(
            text,
            "{:>7}  {:>7}  {:>7}  {state:<7}  {}{pause}",
            number(receiver.open),
            number(receiver.running),
            number(receiver.in_line),
            receiver.name,
        );
    }
    text
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_list_says_what_there_is_instead_and_who_said_so() {
        let text = |open, parked, failed| {
            let instead = Instead {
                open,
                parked,
                failed,
                or_more: false,
            };
            let told = JobsAnswer::Jobs {
                jobs: Vec::new(),
                instead: Some(instead),
            };
            text(&told, "the master (10.0.0.1:7000)")
        };
        let nothing = text(0, 0, 0);
        assert!(nothing.contains("no job is open"), "{nothing}");
        assert!(nothing.contains("10.0.0.1:7000"), "{nothing}");
        let others = text(7, 2, 3);
        for part in ["7 open", "2 of them parked", "3 failed"] {
            assert!(others.contains(part), "{others}");
        }
    }
}
