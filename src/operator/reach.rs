//! Finds whom to ask: the master, the standalone node or, when nothing runs,
//! the store itself.

use std::io;

use super::desk::Desk;
use super::message::OperatorRequest;
use super::pauses::ReceiverDecision;
use super::record::DecisionRecord;
use super::socket;
use super::told::JobsAnswer;
use crate::config::{Config, MasterAddress, Mode, StoreChoice};
use crate::job::codec;
use crate::proto::cluster::OperatorQuestion;
use crate::protocol::client::MasterTarget;
use crate::protocol::message::PROTOCOL_VERSION;
use crate::store::open::open_store_now;
use crate::tls::LinkSecurity;

/// The answer, and who gave it.
pub(super) struct Reached {
    pub answer: JobsAnswer,
    pub by: String,
}

/// The store without anybody in between.
const STORE_ALONE: &str = "the store (nothing runs)";
const STORE_ITSELF: &str = "the store itself";

/// Asks the process that answers.
/// # Errors
/// When nobody answers and the store cannot be opened either.
pub(super) async fn ask(config: &Config, question: OperatorRequest) -> io::Result<Reached> {
    let asked = codec::encode(&question);
    let running = match config.mode {
        Mode::Standalone => ask_standalone(config, &asked).await,
        Mode::Master | Mode::Worker => ask_masters(config, &asked).await?,
    };
    if let Some((answer, by)) = running {
        let answer = codec::decode(&answer).map_err(io::Error::other)?;
        let answer = JobsAnswer::from_answer(answer).map_err(io::Error::other)?;
        return Ok(Reached { answer, by });
    }
    if (config.mode, config.store) == (Mode::Worker, StoreChoice::Embedded) {
        return Err(io::Error::other(
            "no master answers, and its store is a file on its machine: run this command there",
        ));
    }
    let store = open_store_now(config).await?;
    let answer = Desk::alone(store).answer(question).await;
    Ok(Reached {
        answer: JobsAnswer::from_answer(answer).map_err(io::Error::other)?,
        by: STORE_ALONE.to_owned(),
    })
}

/// Asks the store for the receivers that are paused. Only a master knows the
/// others, and its dashboard tells.
/// # Errors
/// When the store cannot be opened.
pub(super) async fn receivers(config: &Config) -> io::Result<Reached> {
    let receivers = desk_of_store(config).await?.receivers().await;
    Ok(Reached {
        answer: JobsAnswer::Receivers(receivers.map_err(io::Error::other)?),
        by: STORE_ITSELF.to_owned(),
    })
}

/// Stores a decision about a receiver. A running master finds it within ten
/// seconds.
/// # Errors
/// When the store cannot be opened, or fails.
pub(super) async fn decide(config: &Config, decision: ReceiverDecision) -> io::Result<Reached> {
    let desk = desk_of_store(config).await?;
    let record = DecisionRecord::from(&decision);
    let decided = desk.decide_about_receiver(decision).await;
    decided.map_err(io::Error::other)?;
    Ok(Reached {
        answer: JobsAnswer::Decided(record),
        by: STORE_ITSELF.to_owned(),
    })
}

async fn desk_of_store(config: &Config) -> io::Result<Desk> {
    let opened = match (config.mode, config.store) {
        (Mode::Worker, StoreChoice::Embedded) => Err(io::Error::other(
            "the store is a file on the master's machine",
        )),
        _ => open_store_now(config).await,
    };
    let opened = opened.map_err(|error| {
        let text =
            format!("{error}: while a node with STORE=embedded runs, ask its dashboard with --url");
        io::Error::new(error.kind(), text)
    });
    opened.map(Desk::alone)
}

/// Which master answers.
/// # Errors
/// Why none does.
pub async fn find_master(config: &Config) -> Result<String, String> {
    let question = codec::encode(&OperatorRequest::Audit { limit: 0 });
    match ask_masters(config, &question).await {
        Ok(Some((_, by))) => Ok(by),
        Ok(None) => Err("nobody does".to_owned()),
        Err(error) => Err(error.to_string()),
    }
}

async fn ask_standalone(config: &Config, question: &[u8]) -> Option<(Vec<u8>, String)> {
    let path = config.data_directory.join(socket::SOCKET_FILE);
    match socket::ask(&path, question).await {
        Ok(answer) => Some((answer, format!("the node ({})", path.display()))),
        Err(error) => {
            tracing::debug!(%error, "the node does not answer");
            None
        }
    }
}

async fn ask_masters(config: &Config, question: &[u8]) -> io::Result<Option<(Vec<u8>, String)>> {
    let target = MasterTarget {
        masters: masters(config),
        security: LinkSecurity::of(config)?,
    };
    for master in &target.masters {
        let addresses = match MasterTarget::resolve(master).await {
            Ok(addresses) => addresses,
            Err(error) => {
                tracing::debug!(%error, "no master there");
                continue;
            }
        };
        for address in addresses {
            let question = OperatorQuestion {
                protocol_version: PROTOCOL_VERSION,
                node_id: config.node_id.clone(),
                question: question.to_vec().into(),
            };
            match target.operate(&master.host, address, question).await {
                Ok(answer) => {
                    return Ok(Some((answer.to_vec(), format!("the master ({address})"))));
                }
                Err(error) => tracing::debug!(%error, "no master there"),
            }
        }
    }
    Ok(None)
}

/// A master's own environment may not name any masters.
fn masters(config: &Config) -> Vec<MasterAddress> {
    let mut masters = config.link.masters.clone();
    if config.mode == Mode::Master {
        let own = MasterAddress::new("127.0.0.1", config.link.port);
        if !masters.contains(&own) {
            masters.push(own);
        }
    }
    masters
}
