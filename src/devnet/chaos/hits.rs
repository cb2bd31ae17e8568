//! Carries out a schedule, and measures how long each recovery takes.

use std::io;
use std::time::{Duration, Instant};

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use reqwest::Client;
use serde::Serialize;

use super::schedule::{ChaosAction, ScheduledFault};
use super::victims::{Body, Victim};
use super::watch::Watch;
use crate::devnet::apps::Apps;
use crate::devnet::verdict::Absence;
use crate::job::Millis;

const POLL: Duration = Duration::from_millis(20);
/// How long a restarted target may take to serve.
const SERVE_PATIENCE: Duration = Duration::from_secs(60);

/// A fault that happened. Field names are stable (docs/demo.md).
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Event {
    /// Since the first request.
    pub at_ms: u64,
    /// What was hit.
    pub target: String,
    pub action: ChaosAction,
    /// From the fault until the target was restarted or continued.
    pub away_ms: u64,
    /// From the fault until a request made after it had completed; `None`: it failed.
    pub request_ms: Option<u64>,
    /// From the fault until the target served again and the request had
    /// completed; `None`: one of them never happened.
    pub recovered_ms: Option<u64>,
}

/// The results of a schedule.
#[derive(Debug, Default)]
pub(super) struct Hits {
    /// When it began, by the wall clock.
    pub began: Millis,
    /// By time.
    pub events: Vec<Event>,
    /// What should not have happened: processes that ended by themselves or not
    /// as told, or never came back.
    pub problems: Vec<String>,
}

/// What a hit needs.
pub(super) struct Range<'a> {
    pub victims: &'a [Victim<'a>],
    pub watch: &'a Watch,
    pub apps: &'a Apps,
    pub http: Client,
    pub tell: &'a dyn Fn(&str),
}

/// Carries out the whole schedule. A fault does not wait for the recovery from
/// the previous one.
pub(super) async fn carry_out(range: &Range<'_>, plan: &[ScheduledFault]) -> Hits {
    let started = Instant::now();
    let mut hits = Hits {
        began: Millis::now(),
        ..Hits::default()
    };
    let mut under_way = FuturesUnordered::new();
    for fault in plan {
        let until = tokio::time::Instant::now() + fault.pause;
        while let Ok(Some(hit)) = tokio::time::timeout_at(until, under_way.next()).await {
            hits.add(hit);
        }
        tokio::time::sleep_until(until).await;
        under_way.push(range.hit(fault, started));
    }
    while let Some(hit) = under_way.next().await {
        hits.add(hit);
    }
    hits.events.sort_by_key(|event| event.at_ms);
    hits
}

impl Hits {
    /// When targets were away.
    pub fn absences(&self) -> Vec<Absence> {
        let absence = |event: &Event| {
            let from = self.began.after(Duration::from_millis(event.at_ms));
            Absence {
                target: event.target.clone(),
                from,
                until: from.after(Duration::from_millis(event.away_ms)),
            }
        };
        self.events.iter().map(absence).collect()
    }

    fn add(&mut self, (event, problems): (Option<Event>, Vec<String>)) {
        self.events.extend(event);
        self.problems.extend(problems);
    }
}

impl Range<'_> {
    async fn hit(&self, fault: &ScheduledFault, started: Instant) -> (Option<Event>, Vec<String>) {
        let mut problems = Vec::new();
        let found = self
            .victims
            .iter()
            .find(|victim| victim.target.name == fault.target);
        let Some(victim) = found else {
            problems.push(format!("there is no {}", fault.target));
            return (None, problems);
        };
        let mut body = victim.body.lock().await;
        if body.has_ended() {
            problems.push(format!("{} had ended by itself", fault.target));
        }
        self.watch.look_at(&fault.target).await;
        let at = Instant::now();
        (self.tell)(&format!("{} {}", fault.action.name(), fault.target));
        let back = async {
            let away = self.take_away(fault, &mut body, &mut problems).await;
            // From here on it can be hit again.
            drop(body);
            (away, self.serves_after(victim, at).await)
        };
        let request = async {
            let is_done = self.apps.request().await;
            is_done.then(|| millis(at.elapsed()))
        };
        let ((away, serves_after), request_ms) = tokio::join!(back, request);
        if let Err(error) = &away {
            problems.push(format!("{}: {error}", fault.target));
        }
        if serves_after.is_none() {
            let patience = SERVE_PATIENCE.as_secs();
            problems.push(format!(
                "{} does not serve after {patience} s",
                fault.target
            ));
        }
        let recovered_ms = request_ms
            .zip(serves_after)
            .map(|(request, serves)| request.max(serves));
        let event = Event {
            at_ms: millis(at - started),
            target: fault.target.clone(),
            action: fault.action,
            away_ms: away.map(millis).unwrap_or_default(),
            request_ms,
            recovered_ms,
        };
        (self.tell)(&told(&event));
        (Some(event), problems)
    }

    /// Hits it and brings it back. Returns how long it was away.
    async fn take_away(
        &self,
        fault: &ScheduledFault,
        body: &mut Body<'_>,
        problems: &mut Vec<String>,
    ) -> io::Result<Duration> {
        let at = Instant::now();
        match fault.action {
            ChaosAction::Kill => body.kill().await?,
            ChaosAction::Stop => body.freeze()?,
            ChaosAction::Terminate | ChaosAction::Restart => {
                problems.extend(body.terminate().await?)
            }
            ChaosAction::Divert | ChaosAction::Delay => body.misbehave(&self.http, true).await?,
        }
        tokio::time::sleep(fault.away).await;
        match fault.action {
            ChaosAction::Stop => body.thaw()?,
            ChaosAction::Divert | ChaosAction::Delay => body.misbehave(&self.http, false).await?,
            ChaosAction::Kill | ChaosAction::Terminate | ChaosAction::Restart => {
                body.start_again().await?;
                self.watch.started_again(&fault.target, body.pid());
            }
        }
        Ok(at.elapsed())
    }

    async fn serves_after(&self, victim: &Victim<'_>, at: Instant) -> Option<u64> {
        let deadline = Instant::now() + SERVE_PATIENCE;
        while !victim.serves(&self.http).await {
            if Instant::now() > deadline {
                return None;
            }
            tokio::time::sleep(POLL).await;
        }
        Some(millis(at.elapsed()))
    }
}

fn told(event: &Event) -> String {
    let fate = match event.recovered_ms {
        Some(ms) => format!("recovered after {:.1} s", ms as f64 / 1000.0),
        None => "not recovered".to_owned(),
    };
    format!("{} of {}: {fate}", event.action.name(), event.target)
}

fn millis(duration: Duration) -> u64 {
    duration.as_millis() as u64
}
