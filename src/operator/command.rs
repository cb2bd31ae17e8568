//! The command line of `erawan jobs`.

use std::io;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, Subcommand};

use super::message::{
    Filter, JobState, OperationOutcome, OperationResult, OperatorRequest, OperatorResponse,
};
use super::{reach, view};
use crate::config;
use crate::job::{JobId, Kind, Kinds, Millis};
use crate::output;
use crate::store::{Operation, OperatorAction};

/// Exit code for a wrong environment (`EX_USAGE`).
const WRONG_ENVIRONMENT: u8 = 64;
/// Exit code when a job does not exist, or cannot be operated on in its state.
const REFUSED: u8 = 2;
/// Exit code when the store went away before everything was done.
const NOT_ALL_TRIED: u8 = 1;

/// Show the jobs of this node, and decide about parked and failed ones.
///
/// Needs the node's own environment. Asks the running master or standalone
/// node, if there is one, otherwise the store itself. Exit codes: 0 done; 1
/// nothing could be asked, or not all was done; 2 a job does not exist, or is
/// in the wrong state; 64 the environment or an argument is wrong.
#[derive(Debug, Args)]
pub struct Jobs {
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
    /// End parked or failed jobs whose work was done by other means.
    Resolve(Decision),
    /// Give up parked or failed jobs.
    Drop(Decision),
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

/// Runs the command.
/// # Errors
/// When nothing can be asked, or the answer cannot be written.
pub async fn run(jobs: Jobs) -> io::Result<ExitCode> {
    let config = match config::load() {
        Ok(config) => config,
        Err(mistakes) => {
            output::note(format_args!(
                "erawan jobs needs the node's environment:\n{mistakes}"
            ));
            return Ok(ExitCode::from(WRONG_ENVIRONMENT));
        }
    };
    let reached = reach::ask(&config, question(jobs.command, &config.node_id)).await?;
    if let OperatorResponse::Failed(reason) = reached.answer {
        return Err(io::Error::other(reason));
    }
    let said = match jobs.json {
        true => output::say(view::json(&reached.answer, &reached.by)),
        false => output::say(view::text(&reached.answer)),
    };
    match (&reached.answer, said) {
        // The operations are done, and the exit code tells their results.
        (OperatorResponse::Operate(_), Err(error)) => {
            output::note(format_args!(
                "erawan: the answer cannot be written: {error}"
            ));
        }
        (_, said) => said?,
    }
    Ok(exit_code(&reached.answer))
}

fn question(command: Command, node_id: &str) -> OperatorRequest {
    match command {
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
        Command::Trace { request_id, nodes } => OperatorRequest::Story {
            request_id,
            node_ids: [vec![node_id.to_owned()], nodes].concat(),
        },
        Command::Audit { limit } => OperatorRequest::Audit { limit },
    }
}

fn exit_code(answer: &OperatorResponse) -> ExitCode {
    match answer {
        OperatorResponse::Show(None) => ExitCode::from(REFUSED),
        OperatorResponse::Operate(done) => exit_code_of(done),
        OperatorResponse::Story(story) if story.is_empty() => ExitCode::from(REFUSED),
        OperatorResponse::Show(_)
        | OperatorResponse::Story(_)
        | OperatorResponse::List(_)
        | OperatorResponse::Audit(_)
        | OperatorResponse::Failed(_) => ExitCode::SUCCESS,
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
