//! The node at a glance.

use maud::{Markup, html};

use super::chart::{Line, chart};
use super::parts::{age, bytes, meter, number, span, table};
use super::{Frame, layout, live_part};
use crate::dashboard::facts::{LedgerFacts, NodeFacts};
use crate::dashboard::reply::Reply;
use crate::dashboard::seen::{LastLook, Sample};
use crate::dispatch::SessionSnapshot;

pub(in crate::dashboard) fn page(frame: &Frame) -> Reply {
    let parts = parts(&frame.seen);
    let content = html! {
        div data-live="/live/glance" {
            @for (name, part) in &parts { (live_part(name, part)) }
        }
    };
    Reply::page(layout::page(frame, "The node", "/", &content))
}

/// The parts that change.
pub(super) fn parts(seen: &LastLook) -> Vec<(&'static str, Markup)> {
    vec![
        ("health", health(&seen.facts)),
        ("tiles", tiles(seen)),
        ("charts", charts(seen)),
        ("workers", workers(seen)),
        ("surroundings", surroundings(seen)),
    ]
}

fn health(facts: &NodeFacts) -> Markup {
    html! {
        @if facts.reasons.is_empty() {
            p.health.well { span.dot aria-hidden="true" {} b { "Ready" } " as " (facts.role) }
        } @else {
            div.health.bad {
                p { span.dot aria-hidden="true" {} b { "Not ready" } " as " (facts.role) }
                ul { @for reason in &facts.reasons { li { (reason) } } }
            }
        }
        @if !facts.notices.is_empty() {
            section.notices aria-label="Notices" {
                h2 { "To know" }
                ul { @for notice in &facts.notices { li { (notice) } } }
            }
        }
    }
}

/// A figure with its name, and where to read more.
fn tile(name: &str, value: &Markup, note: &str, to: &str, is_alarming: bool) -> Markup {
    html! {
        a.tile.alarming[is_alarming] href=(to) {
            span.name { (name) }
            span.value { (value) }
            span.note { (note) }
        }
    }
}

fn tiles(seen: &LastLook) -> Markup {
    let counts = seen.counts.as_ref().ok();
    let count = |of: Option<u64>| match of {
        Some(of) => html! { (number(of)) },
        None => html! { "–" },
    };
    let snapshot = seen.overview.as_ref().map(|overview| &overview.snapshot);
    let jobs = snapshot.map(|snapshot| snapshot.jobs);
    let waiting = jobs.map(|jobs| (jobs.held_until + jobs.held_above + jobs.blocked) as u64);
    let oldest = snapshot.and_then(|snapshot| snapshot.oldest);
    let size = counts.map_or_else(String::new, |counts| bytes(counts.open_bytes));
    let parked = counts.map(|counts| counts.parked);
    html! {
        div.tiles {
            (tile("Open jobs", &count(counts.map(|of| of.open)), &size, "/jobs?state=open", false))
            (tile("Running", &count(jobs.map(|of| of.assigned as u64)), "on workers", "/queue", false))
            (tile("Waiting", &count(waiting), "for time or a block", "/jobs?state=waiting", false))
            (tile("Parked", &count(parked), "wait for you", "/jobs?state=parked",
                parked.is_some_and(|parked| parked > 0)))
            (tile("Failed", &count(counts.map(|of| of.failed)), "kept to look at",
                "/jobs?state=failed", false))
            (tile("Oldest", &match oldest {
                Some(oldest) => html! { (span(oldest)) },
                None => html! { "–" },
            }, "that could run", "/queue", oldest.is_some_and(|age| age.as_secs() >= 60)))
        }
        @if let Err(reason) = &seen.counts {
            p.alert role="alert" { "The store does not tell: " (reason) }
        }
    }
}

fn charts(seen: &LastLook) -> Markup {
    let line = |name: &'static str, class: &'static str, of: fn(&Sample) -> Option<f64>| Line {
        name,
        class,
        values: seen.samples.iter().map(of).collect(),
    };
    html! {
        section aria-label="Live" {
            div.charts {
                (chart("Throughput", "jobs a second", &[
                    line("ended", "a", |sample| sample.ended_per_s),
                    line("to try again", "b", |sample| sample.delayed_per_s),
                    line("failed", "c", |sample| sample.failed_per_s),
                ]))
                (chart("Latency", "ms until a job ended", &[
                    line("half", "a", |sample| sample.p50_ms.map(|ms| ms as f64)),
                    line("95 %", "b", |sample| sample.p95_ms.map(|ms| ms as f64)),
                    line("99 %", "c", |sample| sample.p99_ms.map(|ms| ms as f64)),
                ]))
                (chart("Queue", "jobs", &[
                    line("open", "a", |sample| sample.open.map(|jobs| jobs as f64)),
                    line("running", "b", |sample| sample.running.map(|jobs| jobs as f64)),
                ]))
            }
        }
    }
}

fn workers(seen: &LastLook) -> Markup {
    let Some(overview) = &seen.overview else {
        return elsewhere(&seen.facts);
    };
    let sessions = &overview.snapshot.sessions;
    html! {
        section aria-labelledby="workers" {
            h2 #workers { "Workers " span.quiet { (sessions.len()) } }
            @if sessions.is_empty() {
                p.alert role="alert" { "No worker is connected: nothing runs." }
            } @else {
                (table("Workers and their load", &["Worker", "Own work", "Deliveries", "State"],
                    &html! { @for session in sessions { (worker(session)) } }))
            }
        }
    }
}

fn worker(session: &SessionSnapshot) -> Markup {
    let name = &session.worker;
    html! {
        tr {
            th scope="row" { code { (name) } }
            td { (meter("Own work", session.run.in_use, session.run.capacity)) }
            td { (meter("Deliveries", session.delivery.in_use, session.delivery.capacity)) }
            td { @if session.draining { "stopping" } @else { "working" } }
        }
    }
}

/// A process that is not the master knows no workers.
fn elsewhere(facts: &NodeFacts) -> Markup {
    html! {
        section aria-labelledby="workers" {
            h2 #workers { "Workers" }
            p {
                "This process is " b { (facts.role) } ". Workers, throughput and the queue by kind \
                 are shown by the dashboard of the master"
                @if let Some(master) = &facts.master { " (" code { (master) } ")" }
                "."
            }
        }
    }
}

fn surroundings(seen: &LastLook) -> Markup {
    let facts = &seen.facts;
    html! {
        div.columns {
            section aria-labelledby="around" {
                h2 #around { "What it works with" }
                dl.facts {
                    @if let Some(ledger) = &facts.ledger { (of_ledger(ledger)) }
                    dt { "store" }
                    dd {
                        (facts.store) " "
                        @match &seen.counts {
                            Ok(_) => { span.state.well { "well" } },
                            Err(_) => { span.state.failed { "silent" } },
                        }
                    }
                    @for part in &facts.parts {
                        dt { (part.name) }
                        dd {
                            @match &part.trouble {
                                Some(trouble) => { span.state.failed { "trouble" } " " (trouble) },
                                None => { span.state.well { "well" } },
                            }
                        }
                    }
                }
            }
            section aria-labelledby="process" {
                h2 #process { "This process" }
                dl.facts {
                    dt { "mode" } dd { (facts.mode) }
                    @if let Some(role) = &facts.node_role { dt { "role of the node" } dd { (role) } }
                    @if let Some(epoch) = facts.epoch { dt { "epoch" } dd { (epoch) } }
                    @if let Some(master) = &facts.master {
                        dt { "master" } dd { code { (master) } }
                    }
                    dt { "running for" } dd { (age(facts.started_at)) }
                    dt { "release" } dd { (facts.version) }
                }
            }
        }
    }
}

fn of_ledger(ledger: &LedgerFacts) -> Markup {
    let lag = ledger.lag();
    html! {
        dt { "ledger" }
        dd {
            "block " b { (number(ledger.height)) } " "
            @match (ledger.connected, lag) {
                (false, _) => { span.state.failed { "not connected" } },
                (true, 0..=1) => { span.state.well { "up to date" } },
                (true, lag) => { span.state.waiting { (lag) " blocks behind" } },
            }
            @if let Some(chain) = &ledger.chain_id { " " span.quiet { (chain) } }
        }
    }
}
