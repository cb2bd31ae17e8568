//! The command line of `erawan jobs`.

use std::io;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, Subcommand};

use super::by_url::ByUrl;
use super::message::{Filter, JobState, OperationOutcome, OperationResult, OperatorRequest};
use super::pauses::ReceiverDecision;
use super::reach::{self, Reached};
use super::told::{Instead, JobsAnswer};
use super::view;
use crate::config::{self, Config};
use crate::job::{JobId, Kind, Kinds, Millis};
use crate::output;
use crate::store::{Operation, OperatorAction};

/// Exit code for a wrong environment (`EX_USAGE`).
const WRONG_ENVIRONMENT: u8 = 64;
/// Exit code when a job does not exist, or cannot be operated on in its state.
const REFUSED: u8 = 2;
/// Exit code when the store went away before everything was done.
const NOT_ALL_TRIED: u8 = 1;
/// Most jobs that are counted where none is listed.
const COUNTED: u64 = 1000;

/// Show the jobs of this node, and decide about parked and failed ones.
///
/// With `--url` it asks the dashboard of a running node, from anywhere.
/// Otherwise it needs the node's own environment (NODE_ID, MODE, and where the
/// master or the store is; no private key): it asks the running master or
/// standalone node, if there is one, otherwise the store itself. Exit codes: 0
/// done; 1 nothing could be asked, or not all was done; 2 a job does not exist,
/// or is in the wrong state; 64 the environment or an argument is wrong.
#[derive(Debug, Args)]
pub struct Jobs {
    /// Ask the dashboard at this URL (http://host:port) instead.
    #[arg(long, global = true)]
    url: Option<url::Url>,
    /// With `--url`: a file with your token.
    #[arg(long, global = true, requires = "url")]
    token_file: Option<PathBuf>,
    /// Print JSON instead of tables.
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// List jobs, oldest first: open and failed ones unless a state is given.
    List {
        /// Only those in this state.
        #[arg(long)]
        state: Option<JobState>,
        /// Only those of this kind (deliver.callback, rp.time_out, ...).
        #[arg(long, value_parser = kind)]
        kind: Option<Kind>,
        /// Only those whose key contains this.
        #[arg(long)]
        key: Option<String>,
        /// Only those accepted longer ago (30s, 15m, 4h, 2d).
        #[arg(long, value_parser = age)]
        older_than: Option<Duration>,
        /// Show at most this many.
        #[arg(long, default_value_t = 100)]
        limit: u64,
    },
    /// Show everything about a job that may be shown.
    Show {
        /// The job's id.
        id: JobId,
    },
    /// Run parked or failed jobs again, and waiting jobs at once.
    Retry(Decision),
    /// End parked or failed jobs, or deliveries that wait for their next try,
    /// whose work was done by other means.
    Resolve(Decision),
    /// Give up parked or failed jobs, or deliveries that wait for their next try.
    Drop(Decision),
    /// Show receivers of deliveries: paused and failing ones first.
    Receivers,
    /// Deliver nothing more to a receiver until it is resumed.
    Pause(AboutReceiver),
    /// Let the deliveries to a paused receiver go on.
    Resume(AboutReceiver),
    /// Tell the story of a request: its jobs, messages, transactions, callbacks
    /// and the decisions about them, as far as the store has them.
    Trace {
        /// The request's id.
        request_id: String,
        /// Nodes behind this proxy whose state to look at too.
        #[arg(long = "node")]
        nodes: Vec<String>,
    },
    /// Show what operators did.
    Audit {
        /// Show this many of the latest.
        #[arg(long, default_value_t = 100)]
        limit: u64,
    },
}

#[derive(Debug, Args)]
struct Decision {
    /// Ids of the jobs.
    #[arg(required = true)]
    ids: Vec<JobId>,
    /// Reason, for the record.
    #[arg(long)]
    why: String,
    /// Your name, for the record; $USER at this machine by default.
    #[arg(long)]
    who: Option<String>,
}

impl Decision {
    fn question(self, action: OperatorAction) -> OperatorRequest {
        let (who, why) = (self.who.unwrap_or_else(who), self.why);
        let at = Millis::now();
        let operation = |job| Operation {
            job,
            action,
            who: who.clone(),
            why: why.clone(),
            at,
        };
        OperatorRequest::Operate(self.ids.into_iter().map(operation).collect())
    }
}

#[derive(Debug, Args)]
struct AboutReceiver {
    /// As `receivers` shows it: the part of the keys of its deliveries before
    /// the space (`callback:https://client.example`).
    receiver: String,
    /// Reason, for the record.
    #[arg(long)]
    why: String,
    /// Your name, for the record; $USER at this machine by default.
    #[arg(long)]
    who: Option<String>,
}

impl AboutReceiver {
    fn decision(self, is_pause: bool) -> ReceiverDecision {
        ReceiverDecision {
            receiver: self.receiver,
            is_pause,
            who: self.who.unwrap_or_else(who),
            why: self.why,
            at: Millis::now(),
        }
    }
}

/// What is asked, of whomever.
pub(super) enum Question {
    /// Has a form that masters know.
    Known(OperatorRequest),
    /// The story of a request, as this node and these behind it know it.
    Trace {
        request_id: String,
        nodes: Vec<String>,
    },
    Receivers,
    Decide(ReceiverDecision),
}

/// Runs the command.
/// # Errors
/// When nothing can be asked, or the answer cannot be written.
pub async fn run(jobs: Jobs) -> io::Result<ExitCode> {
    let question = question(jobs.command);
    let reached = match jobs.url {
        Some(url) => {
            let asked = ByUrl::new(url, jobs.token_file.as_deref())?;
            asked.ask(question).await?
        }
        None => {
            let config = match config::load_for_operators() {
                Ok(config) => config,
                Err(mistakes) => {
                    output::note(format_args!(
                        "erawan jobs needs the node's environment, or --url:\n{mistakes}"
                    ));
                    return Ok(ExitCode::from(WRONG_ENVIRONMENT));
                }
            };
            ask(&config, question).await?
        }
    };
    let Reached { answer, by } = reached;
    let said = match jobs.json {
        true => output::say(view::json(&answer, &by)),
        false => output::say(view::text(&answer, &by)),
    };
    match (&answer, said) {
        // The operations are done, and the exit code tells their results.
        (JobsAnswer::Operations(_), Err(error)) => {
            output::note(format_args!(
                "erawan: the answer cannot be written: {error}"
            ));
        }
        (_, said) => said?,
    }
    Ok(exit_code(&answer))
}

async fn ask(config: &Config, question: Question) -> io::Result<Reached> {
    match question {
        Question::Known(question) => {
            let is_list = matches!(question, OperatorRequest::List(_));
            let mut reached = reach::ask(config, question).await?;
            if let JobsAnswer::Jobs { jobs, instead } = &mut reached.answer
                && is_list
                && jobs.is_empty()
            {
                *instead = what_there_is(config).await?;
            }
            Ok(reached)
        }
        Question::Trace { request_id, nodes } => {
            let node_ids = [vec![config.node_id.clone()], nodes].concat();
            let question = OperatorRequest::Story {
                request_id,
                node_ids,
            };
            reach::ask(config, question).await
        }
        Question::Receivers => reach::receivers(config).await,
        Question::Decide(decision) => reach::decide(config, decision).await,
    }
}

/// What a list without a match leaves out.
async fn what_there_is(config: &Config) -> io::Result<Option<Instead>> {
    let all = Filter {
        limit: COUNTED,
        ..Filter::default()
    };
    let reached = reach::ask(config, OperatorRequest::List(all)).await?;
    let JobsAnswer::Jobs { jobs, .. } = reached.answer else {
        return Ok(None);
    };
    let of = |state| jobs.iter().filter(|job| job.state == state).count() as u64;
    let failed = of(JobState::Failed);
    Ok(Some(Instead {
        open: jobs.len() as u64 - failed,
        parked: of(JobState::Parked),
        failed,
        or_more: jobs.len() as u64 >= COUNTED,
    }))
}

fn question(command: Command) -> Question {
    Question::Known(match command {
        Command::List {
            state,
            kind,
            key,
            older_than,
            limit,
        } => OperatorRequest::List(Filter {
            state,
            kind,
            key,
            before: older_than.map(|age| {
                let age = u64::try_from(age.as_millis()).unwrap_or(u64::MAX);
                Millis(Millis::now().0.saturating_sub(age))
            }),
            limit,
        }),
        Command::Show { id } => OperatorRequest::Show(id),
        Command::Retry(decision) => decision.question(OperatorAction::Retry),
        Command::Resolve(decision) => decision.question(OperatorAction::Resolve),
        Command::Drop(decision) => decision.question(OperatorAction::Drop),
        Command::Trace { request_id, nodes } => {
            return Question::Trace { request_id, nodes };
        }
        Command::Audit { limit } => OperatorRequest::Audit { limit },
        Command::Receivers => return Question::Receivers,
        Command::Pause(about) => return Question::Decide(about.decision(true)),
        Command::Resume(about) => return Question::Decide(about.decision(false)),
    })
}

fn exit_code(answer: &JobsAnswer) -> ExitCode {
    match answer {
        JobsAnswer::Job(None) => ExitCode::from(REFUSED),
        JobsAnswer::Story(story) if story.is_empty() => ExitCode::from(REFUSED),
        JobsAnswer::Operations(done) => exit_code_of(done),
        JobsAnswer::Job(_)
        | JobsAnswer::Jobs { .. }
        | JobsAnswer::Audit(_)
        | JobsAnswer::Story(_)
        | JobsAnswer::Receivers(_)
        | JobsAnswer::Decided(_) => ExitCode::SUCCESS,
    }
}

fn exit_code_of(all: &[OperationResult]) -> ExitCode {
    let has =
        |outcomes: &[OperationOutcome]| all.iter().any(|done| outcomes.contains(&done.result));
    if has(&[OperationOutcome::Unknown, OperationOutcome::NotTried]) {
        return ExitCode::from(NOT_ALL_TRIED);
    }
    match has(&[OperationOutcome::NotFound, OperationOutcome::Refused]) {
        true => ExitCode::from(REFUSED),
        false => ExitCode::SUCCESS,
    }
}

fn who() -> String {
    let user = std::env::var("USER").unwrap_or_else(|_| "unknown".to_owned());
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname");
    let host = host.unwrap_or_else(|_| "unknown".to_owned());
    format!("{user}@{}", host.trim())
}

fn kind(name: &str) -> Result<Kind, String> {
    Kinds::given().with_name(name).ok_or_else(|| {
        let known: Vec<&str> = Kinds::given().all().map(|kind| kind.name()).collect();
        format!("no such kind; there are {}", known.join(", "))
    })
}

fn age(text: &str) -> Result<Duration, String> {
    let (number, unit) =
        text.split_at(text.len() - text.chars().next_back().map_or(0, char::len_utf8));
    let seconds = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3600,
        "d" => 86_400,
        _ => return Err("a number and s, m, h or d: 30s, 15m, 4h, 2d".to_owned()),
    };
    let number: u64 = number
        .parse()
        .map_err(|error| format!("{number}: {error}"))?;
    Ok(Duration::from_secs(number.saturating_mul(seconds)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::delivery::callback;

    #[test]
    fn ages_are_numbers_with_a_unit() {
        assert_eq!(age("90s"), Ok(Duration::from_secs(90)));
        assert_eq!(age("2d"), Ok(Duration::from_secs(172_800)));
        for wrong in ["", "5", "m", "5 m", "5ม"] {
            assert!(age(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn kinds_go_by_their_names() {
        assert_eq!(kind("deliver.callback"), Ok(callback::DELIVER));
        assert!(kind("deliver").unwrap_err().contains("mq.receive"));
    }
}
