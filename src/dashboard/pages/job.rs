//! One job's whole story.

use maud::{Markup, html};

use super::job_table::can_decide;
use super::layout::{self, csrf};
use super::parts::{bytes, instant, number, state};
use super::{Frame, jobs, nothing_there, problem};
use crate::dashboard::Dashboard;
use crate::dashboard::api::Problem;
use crate::dashboard::reply::Reply;
use crate::job::{JobId, request_of};
use crate::operator::{DecisionRecord, Shown};

/// Decisions that are searched for those about the job.
const DECISIONS: usize = 2000;

pub(in crate::dashboard) async fn page(dashboard: &Dashboard, frame: &Frame, id: &str) -> Reply {
    let Ok(id) = id.parse::<JobId>() else {
        return nothing_there(frame);
    };
    let found = read(dashboard, id).await;
    let (job, records) = match found {
        Ok(found) => found,
        Err(why) => return problem(frame, "Job", "/jobs", &why),
    };
    match job {
        Some(job) => {
            let content = content(frame, &job, &records);
            Reply::page(layout::page(frame, &job.kind, "/jobs", &content))
        }
        None => {
            let content = gone(id, &records);
            Reply::page(layout::page(frame, "Job", "/jobs", &content))
                .with_status(actix_web::http::StatusCode::NOT_FOUND)
        }
    }
}

type Found = (Option<Box<Shown>>, Vec<DecisionRecord>);

async fn read(dashboard: &Dashboard, id: JobId) -> Result<Found, Problem> {
    let desk = dashboard.desk.now().ok_or_else(Problem::starting)?;
    let (job, records) = tokio::try_join!(desk.show(id), desk.records(DECISIONS))?;
    let id = id.to_string();
    let of_job = records.into_iter().filter(|record| record.id == id);
    Ok((job, of_job.collect()))
}

fn content(frame: &Frame, job: &Shown, records: &[DecisionRecord]) -> Markup {
    html! {
        p.lead { (state(job.state)) " " code.id { (job.id) } }
        @if let Some(error) = &job.last_error {
            section.trouble aria-labelledby="error" {
                h2 #error { "Last error" }
                pre { (error) }
                @if let Some(at) = job.failed_at { p.quiet { (instant(at)) } }
            }
        }
        @if frame.visitor.decides() && can_decide(job) {
            form method="post" action="/jobs/decide" {
                (csrf(frame))
                input type="hidden" name="id" value=(job.id);
                input type="hidden" name="back" value={ "/jobs/" (job.id) };
                (jobs::decision("this job"))
            }
        }
        div.columns {
            section aria-labelledby="when" { h2 #when { "What happened" } (timeline(job, records)) }
            section aria-labelledby="what" { h2 #what { "What it is" } (facts(job)) }
        }
    }
}

/// In the order of time.
fn timeline(job: &Shown, records: &[DecisionRecord]) -> Markup {
    let mut events: Vec<(u64, Markup)> = vec![(job.accepted_at, html! { "Accepted" })];
    if let Some(at) = job.failed_at {
        let event = match job.state {
            crate::operator::JobState::Failed => html! { "Failed for good" },
            _ => html! { "Failed the last time" },
        };
        events.push((at, event));
    }
    for record in records {
        let event = html! {
            b { (record.who) } " decided: " (record.action)
            @if !record.was.is_empty() { " (was " (record.was) ")" }
            span.error { (record.why) }
        };
        events.push((record.at, event));
    }
    if let Some(at) = job.not_before {
        events.push((at, html! { "Not before this" }));
    }
    if let Some(at) = job.deadline {
        events.push((at, html! { "Deadline" }));
    }
    events.sort_by_key(|(at, _)| *at);
    html! {
        ol.timeline {
            @for (at, event) in &events { li { div { (event) } div.when { (instant(*at)) } } }
        }
    }
}

fn facts(job: &Shown) -> Markup {
    html! {
        dl.facts {
            dt { "kind" } dd { a href={ "/jobs?kind=" (job.kind) } { (job.kind) } }
            dt { "key" } dd { code { (job.key) } }
            @if let Some(request) = request_of(&job.key) {
                dt { "request" } dd { a href={ "/requests/" (request) } { (request) } }
            }
            dt { "place" } dd { (number(job.seq)) }
            dt { "attempt" } dd { (job.attempt) }
            dt { "tries" } dd { (job.tries) span.quiet { " times put off" } }
            dt { "strikes" } dd { (job.strikes) span.quiet { " of 5" } }
            @if let Some(height) = job.after_height {
                dt { "after block" } dd { (number(height)) }
            }
            @if let Some(source) = &job.source { dt { "source" } dd { code { (source) } } }
            dt { "payload" } dd { (bytes(job.payload_bytes)) }
            @for field in &job.payload { dt { (field.name) } dd { code { (field.value) } } }
        }
    }
}

/// A job that is neither open nor failed.
fn gone(id: JobId, records: &[DecisionRecord]) -> Markup {
    html! {
        p.empty {
            "No open or failed job has the id " code { (id) } ": it has ended, or never was here."
        }
        @if !records.is_empty() {
            h2 { "What operators decided about it" }
            ol.timeline {
                @for record in records.iter().rev() {
                    li {
                        div { b { (record.who) } " decided: " (record.action)
                            span.error { (record.why) } }
                        div.when { (instant(record.at)) }
                    }
                }
            }
        }
    }
}
