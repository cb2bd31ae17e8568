//! Asks the dashboard of a running node (`erawan jobs --url`).

use std::fs;
use std::io;
use std::path::Path;
use std::time::Duration;

use reqwest::{Client, Method, RequestBuilder, StatusCode};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use url::Url;

use super::command::Question;
use super::message::{Filter, OperationOutcome, OperationResult, OperatorRequest, Shown};
use super::reach::Reached;
use super::receivers::ReceiverShown;
use super::record::DecisionRecord;
use super::told::{Instead, JobsAnswer};
use crate::job::Millis;
use crate::store::Operation;

/// Longest wait for an answer.
const PATIENCE: Duration = Duration::from_secs(30);
/// Jobs asked for at a time.
const PAGE: u64 = 500;

pub(super) struct ByUrl {
    base: Url,
    token: Option<String>,
    client: Client,
}

#[derive(Deserialize)]
struct Page {
    jobs: Vec<Shown>,
    next: Option<String>,
}

#[derive(Deserialize)]
struct Audit {
    audit: Vec<DecisionRecord>,
}

#[derive(Deserialize)]
struct Receivers {
    receivers: Vec<ReceiverShown>,
}

#[derive(Deserialize)]
struct Node {
    counts: Option<Counts>,
}

#[derive(Deserialize)]
struct Counts {
    open: u64,
    parked: u64,
    failed: u64,
}

impl ByUrl {
    /// # Errors
    /// When the token cannot be read.
    pub fn new(base: Url, token_file: Option<&Path>) -> io::Result<Self> {
        if !matches!(base.scheme(), "http" | "https") {
            return Err(io::Error::other(format!(
                "--url {base}: must be http://host:port or https://host:port"
            )));
        }
        let token = token_file.map(read_token).transpose()?;
        let client = Client::builder().timeout(PATIENCE).no_proxy().build();
        Ok(Self {
            base,
            token,
            client: client.map_err(io::Error::other)?,
        })
    }

    /// # Errors
    /// When nobody answers, or the answer is a refusal.
    pub async fn ask(&self, question: Question) -> io::Result<Reached> {
        let answer = match question {
            Question::Known(OperatorRequest::List(filter)) => self.list(&filter).await?,
            Question::Known(OperatorRequest::Show(id)) => {
                JobsAnswer::Job(self.read_if_there(&["jobs", &id.to_string()], &[]).await?)
            }
            Question::Known(OperatorRequest::Operate(operations)) => {
                JobsAnswer::Operations(self.operate(operations).await?)
            }
            Question::Known(OperatorRequest::Audit { limit }) => {
                let limit = [("limit", limit.to_string())];
                let Audit { mut audit } = self.read(&["audit"], &limit).await?;
                audit.reverse();
                JobsAnswer::Audit(audit)
            }
            Question::Known(OperatorRequest::Story {
                request_id,
                node_ids: nodes,
            })
            | Question::Trace { request_id, nodes } => {
                let nodes: Vec<(&str, String)> =
                    nodes.into_iter().map(|node| ("node", node)).collect();
                JobsAnswer::Story(self.read(&["requests", &request_id], &nodes).await?)
            }
            Question::Receivers => {
                let Receivers { receivers } = self.read(&["receivers"], &[]).await?;
                JobsAnswer::Receivers(receivers)
            }
            Question::Decide(decision) => {
                let action = if decision.is_pause { "pause" } else { "resume" };
                let body = json!({ "receiver": decision.receiver, "why": decision.why });
                let call = self.call(Method::POST, &["receivers", action]).json(&body);
                let (status, body) = self.send(call).await?;
                match status.is_success() {
                    true => JobsAnswer::Decided(from_json(body)?),
                    false => return Err(refused(status, &body)),
                }
            }
        };
        Ok(Reached {
            answer,
            by: format!("the dashboard ({})", self.base),
        })
    }

    async fn list(&self, filter: &Filter) -> io::Result<JobsAnswer> {
        let mut asked: Vec<(&str, String)> = Vec::new();
        let state = filter.state.map(|state| json!(state));
        asked.extend(state.and_then(|state| Some(("state", state.as_str()?.to_owned()))));
        asked.extend(filter.kind.map(|kind| ("kind", kind.name().to_owned())));
        asked.extend(filter.key.clone().map(|key| ("key", key)));
        let age = filter.before.map(|before| before.until(Millis::now()));
        asked.extend(age.map(|age| ("older_than_s", age.as_secs().to_string())));
        let (mut jobs, mut after) = (Vec::new(), None::<String>);
        loop {
            let missing = filter.limit.saturating_sub(jobs.len() as u64);
            let mut query = asked.clone();
            query.push(("limit", missing.clamp(1, PAGE).to_string()));
            query.extend(after.map(|after| ("after", after)));
            let page: Page = self.read(&["jobs"], &query).await?;
            jobs.extend(page.jobs);
            after = page.next;
            if after.is_none() || jobs.len() as u64 >= filter.limit {
                break;
            }
        }
        let instead = match jobs.is_empty() {
            true => self.read::<Node>(&["node"], &[]).await?.counts,
            false => None,
        };
        let instead = instead.map(|counts| Instead {
            open: counts.open,
            parked: counts.parked,
            failed: counts.failed,
            or_more: false,
        });
        Ok(JobsAnswer::Jobs { jobs, instead })
    }

    /// One after the other. Nothing more is tried once nobody answers.
    async fn operate(&self, operations: Vec<Operation>) -> io::Result<Vec<OperationResult>> {
        let mut all = Vec::with_capacity(operations.len());
        let mut operations = operations.into_iter();
        for operation in operations.by_ref() {
            let id = operation.job.to_string();
            let call = self.call(Method::POST, &["jobs", &id, operation.action.name()]);
            let sent = self.send(call.json(&json!({ "why": operation.why }))).await;
            match sent {
                Ok((status, body)) => match serde_json::from_value(body.clone()) {
                    Ok(result) => all.push(result),
                    Err(_) => return Err(refused(status, &body)),
                },
                Err(error) => {
                    all.push(OperationResult {
                        id,
                        result: OperationOutcome::Unknown,
                        reason: Some(error.to_string()),
                    });
                    break;
                }
            }
        }
        all.extend(operations.map(|operation| OperationResult {
            id: operation.job.to_string(),
            result: OperationOutcome::NotTried,
            reason: None,
        }));
        Ok(all)
    }

    async fn read<T: DeserializeOwned>(
        &self,
        path: &[&str],
        query: &[(&str, String)],
    ) -> io::Result<T> {
        let (status, body) = self.send(self.call(Method::GET, path).query(query)).await?;
        match status.is_success() {
            true => from_json(body),
            false => Err(refused(status, &body)),
        }
    }

    async fn read_if_there<T: DeserializeOwned>(
        &self,
        path: &[&str],
        query: &[(&str, String)],
    ) -> io::Result<Option<T>> {
        let (status, body) = self.send(self.call(Method::GET, path).query(query)).await?;
        match status {
            StatusCode::NOT_FOUND => Ok(None),
            status if status.is_success() => from_json(body).map(Some),
            status => Err(refused(status, &body)),
        }
    }

    fn call(&self, method: Method, path: &[&str]) -> RequestBuilder {
        let mut url = self.base.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().extend(["admin", "v1"]).extend(path);
        }
        let call = self.client.request(method, url);
        match &self.token {
            Some(token) => call.bearer_auth(token),
            None => call,
        }
    }

    async fn send(&self, call: RequestBuilder) -> io::Result<(StatusCode, Value)> {
        let nobody = |error: reqwest::Error| {
            let text = format!("{}: the dashboard does not answer: {error}", self.base);
            io::Error::other(text)
        };
        let answer = call.send().await.map_err(nobody)?;
        let status = answer.status();
        let body = answer.text().await.map_err(nobody)?;
        Ok((
            status,
            serde_json::from_str(&body).unwrap_or(Value::String(body)),
        ))
    }
}

/// A file with the token alone, or the line of `DASHBOARD_TOKENS_FILE`.
fn read_token(path: &Path) -> io::Result<String> {
    let named = |reason: &str| io::Error::other(format!("{}: {reason}", path.display()));
    let text = fs::read_to_string(path).map_err(|error| named(&error.to_string()))?;
    let line = text.lines().map(str::trim).find(|line| !line.is_empty());
    let line = line.ok_or_else(|| named("it has no token"))?;
    let token = line.splitn(3, ':').nth(2).unwrap_or(line);
    Ok(token.to_owned())
}

fn from_json<T: DeserializeOwned>(body: Value) -> io::Result<T> {
    serde_json::from_value(body).map_err(|error| {
        io::Error::other(format!(
            "the dashboard has given an unknown answer: {error}"
        ))
    })
}

fn refused(status: StatusCode, body: &Value) -> io::Error {
    let reason = body["error"].as_str().unwrap_or_default();
    let hint = match status {
        StatusCode::UNAUTHORIZED => " (give your token with --token-file)",
        StatusCode::FORBIDDEN => " (your token is that of a viewer)",
        _ => "",
    };
    io::Error::other(format!("the dashboard refuses: {status} {reason}{hint}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_read_from_a_file_of_either_form() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("token");
        for text in ["secret-0123\n", "\nalice:operator:secret-0123\n"] {
            fs::write(&path, text).unwrap();
            assert_eq!(read_token(&path).unwrap(), "secret-0123");
        }
        fs::write(&path, "\n").unwrap();
        assert!(read_token(&path).is_err());
    }
}
