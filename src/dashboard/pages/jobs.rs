//! Jobs, page by page.

use maud::{Markup, html};
use url::form_urlencoded;

use super::job_table;
use super::layout::{self, csrf};
use super::parts::number;
use super::{Frame, problem};
use crate::dashboard::Dashboard;
use crate::dashboard::api::{self, Problem};
use crate::dashboard::call::Pairs;
use crate::dashboard::reply::Reply;
use crate::job::{Kind, Kinds};
use crate::operator::JobPage;

/// Jobs on a page.
const SHOWN: u64 = 50;
const STATES: [(&str, &str); 5] = [
    ("", "open and failed"),
    ("open", "open"),
    ("waiting", "waiting"),
    ("parked", "parked"),
    ("failed", "failed"),
];

pub(in crate::dashboard) async fn page(
    dashboard: &Dashboard,
    frame: &Frame,
    query: &Pairs,
) -> Reply {
    match listed(dashboard, query).await {
        Ok(page) => {
            let content = content(frame, query, &page);
            Reply::page(layout::page(frame, "Jobs", "/jobs", &content))
        }
        Err(why) => problem(frame, "Jobs", "/jobs", &why),
    }
}

async fn listed(dashboard: &Dashboard, query: &Pairs) -> Result<JobPage, Problem> {
    let (mut filter, start) = api::filter(query)?;
    filter.limit = SHOWN;
    let desk = dashboard.desk.now().ok_or_else(Problem::starting)?;
    Ok(desk.page(&filter, start).await?)
}

fn content(frame: &Frame, query: &Pairs, page: &JobPage) -> Markup {
    let decides = frame.visitor.decides();
    let chosen = decides && page.jobs.iter().any(job_table::can_decide);
    html! {
        (search(query))
        @if page.jobs.is_empty() {
            (nothing(frame, page))
        } @else if chosen {
            form method="post" action="/jobs/decide" {
                (csrf(frame))
                (job_table::jobs(&caption(query), &page.jobs, true))
                (decision("the chosen jobs"))
            }
        } @else {
            (job_table::jobs(&caption(query), &page.jobs, false))
        }
        (pages(query, page))
    }
}

fn caption(query: &Pairs) -> String {
    match query.get("state") {
        Some("open") => "Open jobs, oldest first".to_owned(),
        Some(state) => format!("Jobs that are {state}, oldest first"),
        None => "Open jobs, then failed ones, oldest first".to_owned(),
    }
}

fn search(query: &Pairs) -> Markup {
    let state = query.get("state").unwrap_or_default();
    let kind = query.get("kind").unwrap_or_default();
    let mut kinds: Vec<&str> = Kinds::given().all().map(Kind::name).collect();
    kinds.sort_unstable();
    html! {
        form.search method="get" action="/jobs" role="search" {
            div {
                label for="state" { "State" }
                select #state name="state" {
                    @for (value, name) in STATES {
                        option value=(value) selected[value == state] { (name) }
                    }
                }
            }
            div {
                label for="kind" { "Kind" }
                select #kind name="kind" {
                    option value="" { "any" }
                    @for name in kinds { option selected[name == kind] { (name) } }
                }
            }
            div.wide {
                label for="key" { "Key contains" }
                input #key type="search" name="key" value=[query.get("key")];
            }
            button type="submit" { "Show" }
        }
    }
}

/// The reason and the buttons of a decision.
pub(super) fn decision(about: &str) -> Markup {
    html! {
        fieldset.decision {
            legend { "Decide about " (about) }
            label for="why" { "Reason, for the record" }
            input #why name="why" type="text" required maxlength="1000"
                placeholder="what was mended, or why it is not wanted";
            div.buttons {
                button type="submit" name="action" value="retry" { "Retry" }
                button.quiet type="submit" name="action" value="resolve" { "Resolve" }
                button.danger type="submit" name="action" value="drop" { "Drop" }
            }
            p.quiet {
                b { "Retry" } " runs it again. " b { "Resolve" } " ends it: its work was done by \
                 other means. " b { "Drop" } " gives it up."
            }
        }
    }
}

fn nothing(frame: &Frame, page: &JobPage) -> Markup {
    html! {
        p.empty {
            @if page.next.is_some() {
                "None of the " (number(page.looked_at)) " jobs that were looked at matches. \
                 There are others: see the next page."
            } @else {
                "No job matches."
                @if let Ok(counts) = &frame.seen.counts {
                    " The node has " (number(counts.open)) " open jobs, " (number(counts.parked))
                    " of them parked, and " (number(counts.failed)) " failed ones."
                }
            }
        }
    }
}

fn pages(query: &Pairs, page: &JobPage) -> Markup {
    let link = |after: Option<String>| {
        let mut link = form_urlencoded::Serializer::new(String::new());
        for name in ["state", "kind", "key"] {
            if let Some(value) = query.get(name) {
                link.append_pair(name, value);
            }
        }
        if let Some(after) = after {
            link.append_pair("after", &after);
        }
        format!("/jobs?{}", link.finish())
    };
    html! {
        nav.pages aria-label="Pages of the list" {
            @if query.get("after").is_some() { a href=(link(None)) { "First page" } }
            @if let Some(next) = page.next {
                a rel="next" href=(link(Some(next.to_string()))) { "Next page" }
            }
        }
    }
}
