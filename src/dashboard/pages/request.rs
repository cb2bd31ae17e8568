//! One request's story.

use std::time::Duration;

use maud::{Markup, html};
use tokio::time::timeout;

use super::parts::{bytes, instant, number, state, table};
use super::{Frame, layout, problem};
use crate::dashboard::Dashboard;
use crate::dashboard::api::{self, Problem};
use crate::dashboard::call::Pairs;
use crate::dashboard::reply::Reply;
use crate::operator::{Chapter, ChapterKind, RequestStory};

/// A story that takes longer is not told here: too many jobs are open.
const PATIENCE: Duration = Duration::from_secs(20);

pub(in crate::dashboard) fn search(frame: &Frame, query: &Pairs) -> Reply {
    if let Some(id) = query.get("id") {
        let id: String = url::form_urlencoded::byte_serialize(id.as_bytes()).collect();
        return Reply::see(format!("/requests/{}", id.replace('+', "%20")));
    }
    let content = html! {
        p {
            "The story of a request: its jobs, messages, transactions, callbacks and the decisions \
             about them, as far as this node still has them."
        }
        (form(""))
    };
    Reply::page(layout::page(frame, "Requests", "/requests", &content))
}

fn form(id: &str) -> Markup {
    html! {
        form.search method="get" action="/requests" role="search" {
            div.wide {
                label for="id" { "Request id" }
                input #id type="search" name="id" required value=(id);
            }
            button type="submit" { "Show" }
        }
    }
}

pub(in crate::dashboard) async fn page(dashboard: &Dashboard, frame: &Frame, id: &str) -> Reply {
    match read(dashboard, frame, id).await {
        Ok(story) => {
            let content = content(&story);
            Reply::page(layout::page(frame, "Request", "/requests", &content))
        }
        Err(why) => problem(frame, "Request", "/requests", &why),
    }
}

async fn read(dashboard: &Dashboard, frame: &Frame, id: &str) -> Result<RequestStory, Problem> {
    let desk = dashboard.desk.now().ok_or_else(Problem::starting)?;
    let told = api::story(&desk, &frame.seen.facts.node_id, id, Vec::new());
    match timeout(PATIENCE, told).await {
        Ok(told) => told,
        Err(_) => Err(Problem::new(
            actix_web::http::StatusCode::SERVICE_UNAVAILABLE,
            "this takes long, because so many jobs are open; ask with erawan jobs trace",
        )),
    }
}

fn content(story: &RequestStory) -> Markup {
    html! {
        (form(&story.request_id))
        p.lead { code.id { (story.request_id) } }
        @if story.is_empty() {
            p.empty { "This node knows nothing of this request, or nothing any more." }
        } @else {
            div.columns {
                section aria-labelledby="story" {
                    h2 #story { "What happened" }
                    ol.timeline { @for chapter in &story.chapters { (told(chapter)) } }
                    @if story.is_cut { p.quiet { "There is more than is shown." } }
                }
                section aria-labelledby="kept" { h2 #kept { "What is kept" } (kept(story)) }
            }
        }
    }
}

fn told(chapter: &Chapter) -> Markup {
    html! {
        li {
            div {
                span.state.(colour(chapter.of)) { (chapter.of.word()) } " "
                @match &chapter.job {
                    Some(job) => { a href={ "/jobs/" (job) } { (chapter.name) } },
                    None => { b { (chapter.name) } },
                }
                @if let Some(now) = chapter.state { " " (state(now)) }
            }
            div.when { (instant(chapter.at)) }
            @if !chapter.details.is_empty() {
                details {
                    summary { "Details" }
                    dl.details {
                        @for field in &chapter.details {
                            dt { (field.name) } dd { (field.value) }
                        }
                    }
                }
            }
        }
    }
}

fn colour(of: ChapterKind) -> &'static str {
    match of {
        ChapterKind::Received | ChapterKind::Sent => "well",
        ChapterKind::Sending | ChapterKind::Transaction | ChapterKind::Callback => "waiting",
        ChapterKind::Job => "open",
        ChapterKind::Decision => "decision",
    }
}

fn kept(story: &RequestStory) -> Markup {
    if story.kept.is_empty() {
        return html! { p.empty { "No state." } };
    }
    table(
        "State of this request",
        &["Table", "Node", "Columns", "Size"],
        &html! {
            @for row in &story.kept {
                tr {
                    th scope="row" { (row.table) }
                    td { (row.node_id) }
                    td.number { (number(row.columns)) }
                    td.number { (bytes(row.bytes)) }
                }
            }
        },
    )
}
