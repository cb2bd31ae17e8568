//! What operators decided.

use maud::{Markup, html};

use super::parts::{instant, table};
use super::{Frame, layout, problem};
use crate::dashboard::Dashboard;
use crate::dashboard::api::Problem;
use crate::dashboard::reply::Reply;
use crate::operator::DecisionRecord;

/// Decisions on the page.
const SHOWN: usize = 200;

pub(in crate::dashboard) async fn page(dashboard: &Dashboard, frame: &Frame) -> Reply {
    match read(dashboard).await {
        Ok(records) => {
            let content = content(&records);
            Reply::page(layout::page(frame, "Audit", "/audit", &content))
        }
        Err(why) => problem(frame, "Audit", "/audit", &why),
    }
}

async fn read(dashboard: &Dashboard) -> Result<Vec<DecisionRecord>, Problem> {
    let desk = dashboard.desk.now().ok_or_else(Problem::starting)?;
    Ok(desk.records(SHOWN).await?)
}

fn content(records: &[DecisionRecord]) -> Markup {
    if records.is_empty() {
        return html! { p.empty { "No operator has decided anything yet." } };
    }
    table(
        "The latest decisions, newest first",
        &["When", "Who", "Decision", "About", "Reason"],
        &html! { @for record in records { (row(record)) } },
    )
}

fn row(record: &DecisionRecord) -> Markup {
    html! {
        tr {
            td { (instant(record.at)) }
            th scope="row" { (record.who) }
            td { (record.action) @if !record.was.is_empty() { " " span.quiet { "was " (record.was) } } }
            td.text {
                @if record.id.is_empty() {
                    span.key { (record.key) }
                } @else {
                    a href={ "/jobs/" (record.id) } { (record.kind) }
                    span.key { (record.key) }
                }
            }
            td.text { (record.why) @if !record.reason.is_empty() { span.error { (record.reason) } } }
        }
    }
}
