//! One request: the jobs that are still open or have failed.

use maud::{Markup, html};

use super::{Frame, job_table, layout, problem};
use crate::dashboard::Dashboard;
use crate::dashboard::api::Problem;
use crate::dashboard::call::Pairs;
use crate::dashboard::reply::Reply;
use crate::operator::{Filter, JobPage};

/// Most jobs that are shown.
const SHOWN: u64 = 100;

pub(in crate::dashboard) fn search(frame: &Frame, query: &Pairs) -> Reply {
    if let Some(id) = query.get("id") {
        let id: String = url::form_urlencoded::byte_serialize(id.as_bytes()).collect();
        return Reply::see(format!("/requests/{}", id.replace('+', "%20")));
    }
    let content = form("");
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
    match read(dashboard, id).await {
        Ok(page) => {
            let content = content(id, &page);
            Reply::page(layout::page(frame, "Request", "/requests", &content))
        }
        Err(why) => problem(frame, "Request", "/requests", &why),
    }
}

async fn read(dashboard: &Dashboard, id: &str) -> Result<JobPage, Problem> {
    let desk = dashboard.desk.now().ok_or_else(Problem::starting)?;
    let filter = Filter {
        key: Some(id.to_owned()),
        limit: SHOWN,
        ..Filter::default()
    };
    Ok(desk.page(&filter, None).await?)
}

fn content(id: &str, page: &JobPage) -> Markup {
    html! {
        (form(id))
        p.lead { code.id { (id) } }
        @if page.jobs.is_empty() {
            p.empty { "No open or failed job belongs to this request." }
        } @else {
            (job_table::jobs("Jobs of this request", &page.jobs, false))
        }
        @if page.next.is_some() {
            p.quiet {
                "Only " (page.looked_at) " jobs were looked at: see the "
                a href={ "/jobs?key=" (id) } { "list of jobs" } " for more."
            }
        }
    }
}
