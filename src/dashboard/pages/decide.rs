//! Decisions that come from forms. They are those of the API.

use crate::dashboard::Dashboard;
use crate::dashboard::api::{self, Problem};
use crate::dashboard::call::Pairs;
use crate::dashboard::door::Visitor;
use crate::dashboard::pages;
use crate::dashboard::reply::Reply;
use crate::job::JobId;
use crate::operator::OperationOutcome;
use crate::store::OperatorAction;
use url::form_urlencoded;

/// Most jobs decided about at once: a page of them.
const MOST: usize = 500;

pub(in crate::dashboard) async fn about_jobs(
    dashboard: &Dashboard,
    form: &Pairs,
    visitor: &Visitor,
) -> Reply {
    let back = back(form, "/jobs");
    match jobs(dashboard, form, visitor).await {
        Ok(done) => see(&back, &done),
        Err(problem) => pages::refused(&problem.reason).with_status(problem.status),
    }
}

async fn jobs(dashboard: &Dashboard, form: &Pairs, visitor: &Visitor) -> Result<String, Problem> {
    let desk = dashboard.desk.now().ok_or_else(Problem::starting)?;
    let (action, word) = match form.get("action") {
        Some("retry") => (OperatorAction::Retry, "retried"),
        Some("resolve") => (OperatorAction::Resolve, "resolved"),
        Some("drop") => (OperatorAction::Drop, "dropped"),
        _ => return Err(Problem::wrong("choose retry, resolve or drop")),
    };
    let why = form.get("why").unwrap_or_default();
    let ids = form.all("id").take(MOST).map(str::parse::<JobId>);
    let ids: Vec<JobId> = ids
        .collect::<Result<_, _>>()
        .map_err(|_| Problem::wrong("one of these is no id of a job"))?;
    if ids.is_empty() {
        return Err(Problem::wrong("choose at least one job"));
    }
    let (mut done, mut not_done) = (0, Vec::new());
    for id in ids {
        let result = api::decide(&desk, id, action, why, visitor).await?;
        match result.result {
            OperationOutcome::Open | OperationOutcome::Ended => done += 1,
            OperationOutcome::NotFound => not_done.push("a job is not there any more".to_owned()),
            OperationOutcome::Refused | OperationOutcome::Unknown | OperationOutcome::NotTried => {
                not_done.push(result.reason.unwrap_or_default());
            }
        }
    }
    not_done.sort();
    not_done.dedup();
    let jobs = if done == 1 { "job" } else { "jobs" };
    Ok(match not_done.is_empty() {
        true => format!("{done} {jobs} {word}."),
        false => format!("{done} {jobs} {word}. Not all: {}.", not_done.join("; ")),
    })
}

pub(in crate::dashboard) async fn about_receiver(
    dashboard: &Dashboard,
    form: &Pairs,
    visitor: &Visitor,
) -> Reply {
    match receiver(dashboard, form, visitor).await {
        Ok(done) => see("/receivers", &done),
        Err(problem) => pages::refused(&problem.reason).with_status(problem.status),
    }
}

async fn receiver(
    dashboard: &Dashboard,
    form: &Pairs,
    visitor: &Visitor,
) -> Result<String, Problem> {
    let desk = dashboard.desk.now().ok_or_else(Problem::starting)?;
    let is_pause = match form.get("action") {
        Some("pause") => true,
        Some("resume") => false,
        _ => return Err(Problem::wrong("choose pause or resume")),
    };
    let receiver = form.get("receiver").unwrap_or_default();
    let why = form.get("why").unwrap_or_default();
    let record = api::decide_about_receiver(&desk, receiver, is_pause, why, visitor).await?;
    let word = if is_pause { "is paused" } else { "goes on" };
    Ok(format!("{} {word}.", record.key))
}

/// A page of ours to go back to.
fn back(form: &Pairs, otherwise: &str) -> String {
    let given = form.get("back");
    let own = given.filter(|path| path.starts_with("/jobs"));
    own.unwrap_or(otherwise).to_owned()
}

fn see(path: &str, done: &str) -> Reply {
    let done: String = form_urlencoded::byte_serialize(done.as_bytes()).collect();
    Reply::see(format!("{path}?done={done}"))
}
