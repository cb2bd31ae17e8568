//! The queue by kind and state.

use maud::{Markup, html};

use super::parts::{number, table};
use super::{Frame, layout, live_part};
use crate::dashboard::reply::Reply;
use crate::dashboard::seen::LastLook;
use crate::dispatch::{KindSnapshot, PhaseCounts};

pub(in crate::dashboard) fn page(frame: &Frame) -> Reply {
    let parts = parts(&frame.seen);
    let content = html! {
        div data-live="/live/queue" {
            @for (name, part) in &parts { (live_part(name, part)) }
        }
        section aria-labelledby="states" {
            h2 #states { "States" }
            dl.facts {
                dt { "in line" } dd { "can run when a worker has room, or stands behind another job of its key" }
                dt { "running" } dd { "a worker has it" }
                dt { "retrying" } dd { "failed for a temporary reason, and holds up its key until its next try" }
                dt { "timed" } dd { "waits for an instant: a time-out, or the next try of a delivery" }
                dt { "for a block" } dd { "waits for the ledger's next block" }
                dt { "settling" } dd { "its worker was lost, and the store is being asked about it" }
                dt { "parked" } dd { "waits for an operator" }
            }
        }
    };
    Reply::page(layout::page(frame, "Queue", "/queue", &content))
}

pub(super) fn parts(seen: &LastLook) -> Vec<(&'static str, Markup)> {
    vec![("kinds", kinds(seen))]
}

fn kinds(seen: &LastLook) -> Markup {
    let Some(overview) = &seen.overview else {
        return html! {
            p { "This process is not the master, which alone knows the queue by kind." }
        };
    };
    if overview.kinds.is_empty() {
        return html! { p.empty { "Nothing is open." } };
    }
    let head = [
        "Kind",
        "In line",
        "Running",
        "Retrying",
        "Timed",
        "For a block",
        "Settling",
        "Parked",
        "All",
    ];
    let rows = html! {
        @for kind in &overview.kinds { (row(kind)) }
    };
    html! {
        @if !overview.snapshot.running {
            p.alert role="status" {
                "This master has just begun and is still reading what is open."
            }
        }
        (table("Open jobs by kind and state", &head, &rows))
    }
}

fn row(of_kind: &KindSnapshot) -> Markup {
    let name = of_kind.kind.name();
    let counts: PhaseCounts = of_kind.counts;
    let figures = [
        counts.in_line,
        counts.assigned,
        counts.blocked,
        counts.held_until,
        counts.held_above,
        counts.unsettled,
    ];
    html! {
        tr {
            th scope="row" { a href={ "/jobs?kind=" (name) } { (name) } }
            @for figure in figures { (cell(figure)) }
            td.number {
                @if counts.parked > 0 {
                    a.alarming href={ "/jobs?state=parked&kind=" (name) } {
                        (number(counts.parked as u64))
                    }
                } @else { span.quiet { "·" } }
            }
            td.number { b { (number(counts.total() as u64)) } }
        }
    }
}

fn cell(count: usize) -> Markup {
    html! {
        td.number {
            @if count > 0 { (number(count as u64)) } @else { span.quiet { "·" } }
        }
    }
}
