//! The API for scripts (`/admin/v1`): one table of operations, which the
//! OpenAPI document describes and [`answer`] runs.

mod decisions;
mod openapi;
mod shapes;

use actix_web::http::{Method, StatusCode};
use serde::Deserialize;

pub(super) use self::decisions::{decide, decide_about_receiver};
use self::shapes::{AuditShown, JobsShown, KindsShown, NodeShown, ReceiversShown};
use super::Dashboard;
use super::call::{PageCall, Pairs};
use super::door::Visitor;
use super::reply::Reply;
use crate::access::Role;
use crate::job::{JobId, Kind, Kinds, Millis};
use crate::operator::{Desk, Filter, JobState, OperationOutcome, PageStart, RequestStory};
use crate::store::{OperatorAction, StoreError};

/// Most jobs of a page, and how many without `limit`.
const MOST_JOBS: u64 = 500;
const JOBS: u64 = 100;
/// Most decisions that are read, and how many without `limit`.
const MOST_DECISIONS: usize = 10_000;
const DECISIONS: usize = 100;

/// What can be asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Asked {
    Node,
    Kinds,
    Jobs,
    Job,
    Decide(OperatorAction),
    Receivers,
    Pause(bool),
    Audit,
    Story,
    OpenApi,
}

/// An operation of the API.
struct Entry {
    method: Method,
    /// Below `/admin/v1`; `{…}` stands for any part.
    path: &'static [&'static str],
    asked: Asked,
    does: &'static str,
}

const fn get(path: &'static [&'static str], asked: Asked, does: &'static str) -> Entry {
    Entry {
        method: Method::GET,
        path,
        asked,
        does,
    }
}

const fn post(path: &'static [&'static str], asked: Asked, does: &'static str) -> Entry {
    Entry {
        method: Method::POST,
        path,
        asked,
        does,
    }
}

static TABLE: [Entry; 12] = [
    get(
        &["node"],
        Asked::Node,
        "Shows this process: its part in the node, its queue, its workers, what it works with.",
    ),
    get(
        &["kinds"],
        Asked::Kinds,
        "Counts open jobs by kind and state.",
    ),
    get(
        &["jobs"],
        Asked::Jobs,
        "Lists jobs page by page, oldest first: open ones, then failed ones.",
    ),
    get(&["jobs", "{id}"], Asked::Job, "Shows one job."),
    post(
        &["jobs", "{id}", "retry"],
        Asked::Decide(OperatorAction::Retry),
        "Runs a parked or failed job again, or a waiting one at once.",
    ),
    post(
        &["jobs", "{id}", "resolve"],
        Asked::Decide(OperatorAction::Resolve),
        "Ends a parked or failed job, or a waiting delivery, whose work was done by other means.",
    ),
    post(
        &["jobs", "{id}", "drop"],
        Asked::Decide(OperatorAction::Drop),
        "Gives up a parked or failed job, or a waiting delivery.",
    ),
    get(
        &["receivers"],
        Asked::Receivers,
        "Lists receivers of deliveries: paused and failing ones first.",
    ),
    post(
        &["receivers", "pause"],
        Asked::Pause(true),
        "Delivers nothing more to a receiver until it is resumed. Deadlines go on.",
    ),
    post(
        &["receivers", "resume"],
        Asked::Pause(false),
        "Lets the deliveries to a paused receiver go on.",
    ),
    get(
        &["requests", "{id}"],
        Asked::Story,
        "Tells the story of a request across its jobs, messages, transactions and callbacks.",
    ),
    get(
        &["audit"],
        Asked::Audit,
        "Lists what operators decided, newest first.",
    ),
];

static OPEN_API: Entry = get(
    &["openapi.json"],
    Asked::OpenApi,
    "Describes this API as OpenAPI 3.1.",
);

fn entries() -> impl Iterator<Item = &'static Entry> {
    TABLE.iter().chain([&OPEN_API])
}

impl Entry {
    fn fits(&self, path: &[&str]) -> bool {
        let mut parts = self.path.iter().zip(path);
        self.path.len() == path.len()
            && parts.all(|(own, part)| own.starts_with('{') || own == part)
    }
}

/// The reason that comes with a decision.
#[derive(Deserialize)]
struct Why {
    why: String,
}

#[derive(Deserialize)]
struct AboutReceiver {
    receiver: String,
    why: String,
}

/// Answers a call below `/admin/v1`.
pub(super) async fn answer(dashboard: &Dashboard, call: &PageCall, path: &[&str]) -> Reply {
    let mut at_path = entries().filter(|entry| entry.fits(path)).peekable();
    if at_path.peek().is_none() {
        return Reply::error(StatusCode::NOT_FOUND, "there is no such path");
    }
    let is_head = call.method == Method::HEAD;
    let is_asked =
        |entry: &&Entry| entry.method == call.method || (is_head && entry.method == Method::GET);
    let Some(entry) = at_path.find(is_asked) else {
        return Reply::error(StatusCode::METHOD_NOT_ALLOWED, "not with this method");
    };
    let role = match entry.method == Method::POST {
        true => Role::Operator,
        false => Role::Viewer,
    };
    let visitor = match dashboard.door.enter(call, role) {
        Ok(visitor) => visitor,
        Err(refusal) => return dashboard.refused(call, refusal),
    };
    let answered = match entry.asked {
        Asked::OpenApi => return Reply::json(&openapi::document()),
        Asked::Node => return Reply::json(&NodeShown::of(&dashboard.sampler.seen())),
        Asked::Kinds => return Reply::json(&KindsShown::of(&dashboard.sampler.seen())),
        asked => match dashboard.desk.now() {
            Some(desk) => {
                let seen = dashboard.sampler.seen();
                run(asked, &desk, call, path, &visitor, &seen.facts.node_id).await
            }
            None => Err(Problem::starting()),
        },
    };
    answered.unwrap_or_else(|problem| Reply::error(problem.status, &problem.reason))
}

async fn run(
    asked: Asked,
    desk: &Desk,
    call: &PageCall,
    path: &[&str],
    visitor: &Visitor,
    own_node: &str,
) -> Result<Reply, Problem> {
    match asked {
        Asked::Jobs => {
            let (filter, start) = filter(&call.query)?;
            let page = desk.page(&filter, start).await?;
            Ok(Reply::json(&JobsShown::of(page)))
        }
        Asked::Job => {
            let id = job_id(path)?;
            let found = desk.show(id).await?;
            found
                .map(|job| Reply::json(&job))
                .ok_or_else(|| Problem::new(StatusCode::NOT_FOUND, "no such job, open or failed"))
        }
        Asked::Decide(action) => {
            let Why { why } = body(call)?;
            let result = decide(desk, job_id(path)?, action, &why, visitor).await?;
            let status = match result.result {
                OperationOutcome::Open | OperationOutcome::Ended => StatusCode::OK,
                OperationOutcome::NotFound => StatusCode::NOT_FOUND,
                OperationOutcome::Refused => StatusCode::CONFLICT,
                OperationOutcome::Unknown | OperationOutcome::NotTried => {
                    StatusCode::SERVICE_UNAVAILABLE
                }
            };
            Ok(Reply::json(&result).with_status(status))
        }
        Asked::Receivers => {
            let receivers = desk.receivers().await?;
            Ok(Reply::json(&ReceiversShown { receivers }))
        }
        Asked::Pause(is_pause) => {
            let AboutReceiver { receiver, why } = body(call)?;
            let record = decide_about_receiver(desk, &receiver, is_pause, &why, visitor).await?;
            Ok(Reply::json(&record))
        }
        Asked::Audit => {
            let limit = number(&call.query, "limit")?.unwrap_or(DECISIONS as u64);
            let limit = usize::try_from(limit).unwrap_or(usize::MAX);
            let audit = desk.records(limit.min(MOST_DECISIONS)).await?;
            Ok(Reply::json(&AuditShown { audit }))
        }
        Asked::Story => {
            let id = path.get(1).copied().unwrap_or_default();
            let nodes = call.query.all("node").map(str::to_owned).collect();
            Ok(Reply::json(&story(desk, own_node, id, nodes).await?))
        }
        // Answered without the desk.
        Asked::Node | Asked::Kinds | Asked::OpenApi => Err(Problem::starting()),
    }
}

/// The story of a request, as this node and those behind it know it.
pub(super) async fn story(
    desk: &Desk,
    own_node: &str,
    request_id: &str,
    nodes: Vec<String>,
) -> Result<RequestStory, Problem> {
    let node_ids = [vec![own_node.to_owned()], nodes].concat();
    Ok(desk.story(request_id.to_owned(), node_ids).await?)
}

/// Which jobs are asked for, and where to begin.
pub(super) fn filter(query: &Pairs) -> Result<(Filter, Option<PageStart>), Problem> {
    let state = query.get("state").map(|name| {
        let states = [
            ("open", JobState::Open),
            ("waiting", JobState::Waiting),
            ("parked", JobState::Parked),
            ("failed", JobState::Failed),
        ];
        let found = states.into_iter().find(|(known, _)| *known == name);
        let wrong = || Problem::wrong("state: must be open, waiting, parked or failed");
        found.map(|(_, state)| state).ok_or_else(wrong)
    });
    let kind = query.get("kind").map(|name| {
        let found = kind_named(name);
        found.ok_or_else(|| Problem::wrong("kind: there is no kind of this name"))
    });
    let after = query.get("after").map(|text| {
        let parsed = text.parse::<PageStart>();
        parsed.map_err(|reason| Problem::wrong(&format!("after: {reason}")))
    });
    let age = number(query, "older_than_s")?;
    let limit = number(query, "limit")?.unwrap_or(JOBS);
    let filter = Filter {
        state: state.transpose()?,
        kind: kind.transpose()?,
        key: query.get("key").map(str::to_owned),
        before: age.map(|age| {
            let now = Millis::now().0;
            Millis(now.saturating_sub(age.saturating_mul(1000)))
        }),
        limit: limit.clamp(1, MOST_JOBS),
    };
    Ok((filter, after.transpose()?))
}

fn kind_named(name: &str) -> Option<Kind> {
    match name == Kind::UNREADABLE.name() {
        true => Some(Kind::UNREADABLE),
        false => Kinds::given().with_name(name),
    }
}

fn number(query: &Pairs, name: &str) -> Result<Option<u64>, Problem> {
    let Some(text) = query.get(name) else {
        return Ok(None);
    };
    let wrong = |_| Problem::wrong(&format!("{name}: must be a whole number"));
    text.parse().map(Some).map_err(wrong)
}

fn job_id(path: &[&str]) -> Result<JobId, Problem> {
    let text = path.get(1).copied().unwrap_or_default();
    text.parse()
        .map_err(|_| Problem::wrong("id: must be the id of a job"))
}

fn body<'a, T: Deserialize<'a>>(call: &'a PageCall) -> Result<T, Problem> {
    serde_json::from_slice(&call.body).map_err(|error| Problem::wrong(&format!("body: {error}")))
}

/// Why a call has no answer.
#[derive(Debug)]
pub(super) struct Problem {
    pub status: StatusCode,
    pub reason: String,
}

impl Problem {
    pub fn new(status: StatusCode, reason: &str) -> Self {
        Self {
            status,
            reason: reason.to_owned(),
        }
    }

    pub fn wrong(reason: &str) -> Self {
        Self::new(StatusCode::BAD_REQUEST, reason)
    }

    pub fn starting() -> Self {
        let reason = "the process is starting: its store is not open yet";
        Self::new(StatusCode::SERVICE_UNAVAILABLE, reason)
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, &error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_operations_have_the_same_place() {
        let all: Vec<&Entry> = entries().collect();
        for (index, entry) in all.iter().enumerate() {
            let mut others = all[index + 1..].iter();
            let same =
                others.any(|other| (&other.method, other.path) == (&entry.method, entry.path));
            assert!(!same, "{:?}", entry.path);
        }
    }

    #[test]
    fn a_filter_that_is_wrong_is_named() {
        let reason = |query: &str| {
            let read = filter(&Pairs::parse(query.as_bytes()));
            read.unwrap_err().reason
        };
        for (query, name) in [
            ("state=lost", "state:"),
            ("kind=none", "kind:"),
            ("after=7", "after:"),
            ("limit=many", "limit:"),
            ("older_than_s=-1", "older_than_s:"),
        ] {
            assert!(reason(query).starts_with(name), "{query}");
        }
        let (read, start) = filter(&Pairs::parse(b"state=parked&after=open-7&limit=9999")).unwrap();
        assert_eq!(read.state, Some(JobState::Parked));
        assert_eq!(read.limit, MOST_JOBS);
        assert_eq!(start, Some(PageStart::Open(7)));
    }
}
