//! Jobs in a table, with a box to choose each that an operator can decide about.

use maud::{Markup, html};

use super::parts::{age, state, table};
use crate::operator::{JobState, Shown};

/// `chosen`: whether jobs can be chosen.
pub(super) fn jobs(caption: &str, jobs: &[Shown], chosen: bool) -> Markup {
    let head: &[&str] = match chosen {
        true => &[
            "Choose",
            "Job",
            "State",
            "Age",
            "Tries",
            "Key and last error",
        ],
        false => &["Job", "State", "Age", "Tries", "Key and last error"],
    };
    table(
        caption,
        head,
        &html! { @for job in jobs { (row(job, chosen)) } },
    )
}

fn row(job: &Shown, chosen: bool) -> Markup {
    html! {
        tr {
            @if chosen {
                td {
                    input type="checkbox" name="id" value=(job.id)
                        aria-label={ "Choose " (job.kind) " " (job.id) };
                }
            }
            th scope="row" {
                a href={ "/jobs/" (job.id) } { (job.kind) }
                " " span.id { (short(&job.id)) }
            }
            td { (state(job.state)) }
            td { (age(job.accepted_at)) }
            td.number { (job.tries) @if job.strikes > 0 { " " span.quiet { "+" (job.strikes) " strikes" } } }
            td.text {
                span.key { (job.key) }
                @if let Some(error) = &job.last_error { span.error { (error) } }
            }
        }
    }
}

/// The end of an id says most: its beginning is the time.
fn short(id: &str) -> &str {
    id.rsplit('-').next().unwrap_or(id)
}

/// Whether an operator can decide about a job in this state. The store has the
/// last word.
pub(super) fn can_decide(job: &Shown) -> bool {
    match job.state {
        JobState::Parked | JobState::Failed => true,
        JobState::Waiting => job.tries > 0,
        JobState::Open => false,
    }
}
