//! When to stop. The first SIGTERM or SIGINT asks for an orderly stop. A second
//! one, or the end of the grace period, ends the process at once, which is as
//! safe as a kill. A thread of its own handles signals, so that a stop works
//! even when all other threads are blocked.

use std::io;
use std::sync::Arc;
use std::sync::mpsc::{self, SyncSender};
use std::thread;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::runtime;
use tokio::signal::unix::{Signal as Signals, SignalKind, signal};
use tokio::sync::watch;
use tokio::time::sleep;

use crate::logging;
use crate::parent;

/// Exit code after a second signal, or a stop that took too long.
const IN_A_HURRY: i32 = 1;
/// How long the log may take to be written after that.
const LAST_LINES: Duration = Duration::from_millis(100);
/// How long libraries may take at the exit of a process.
const EXIT: Duration = Duration::from_secs(2);

/// Whether a stop was requested.
#[derive(Debug, Clone)]
pub struct Stop {
    requested: watch::Receiver<bool>,
    started: Arc<watch::Sender<bool>>,
}

impl Stop {
    /// Listens for signals. A stop may take as long as `grace`. A process of a
    /// development network also ends, at once, when its parent is gone.
    /// # Errors
    /// When the handlers cannot be installed.
    pub fn on_signals(grace: Duration) -> io::Result<Self> {
        let (request, requested) = watch::channel(false);
        let (installed, is_installed) = mpsc::sync_channel(1);
        thread::Builder::new()
            .name("signals".to_owned())
            .spawn(move || {
                let runtime = runtime::Builder::new_current_thread().enable_all().build();
                match runtime {
                    Ok(runtime) => runtime.block_on(listen(&installed, &request, grace)),
                    // If this cannot be sent, the receiver has gone.
                    Err(error) => drop(installed.send(Err(error))),
                }
            })?;
        let gone = || io::Error::other("the thread for signals has ended");
        is_installed.recv().map_err(|_| gone())??;
        Ok(Self {
            requested,
            started: Arc::new(watch::Sender::new(false)),
        })
    }

    /// From now on a request leads to an orderly stop.
    pub fn has_started(&self) {
        self.started.send_replace(true);
    }

    /// Resolves when a stop is requested.
    pub async fn requested(&self) {
        let mut requested = self.requested.clone();
        // The sender ends only with the process.
        let _ = requested.wait_for(|requested| *requested).await;
    }

    /// Resolves when a stop is requested before the start is complete.
    pub async fn requested_while_starting(&self) {
        self.requested().await;
        if *self.started.borrow() {
            std::future::pending::<()>().await;
        }
    }
}

/// Runs until the process ends.
async fn listen(
    installed: &SyncSender<io::Result<()>>,
    request: &watch::Sender<bool>,
    grace: Duration,
) {
    let handlers = signal(SignalKind::terminate())
        .and_then(|terminate| Ok((terminate, signal(SignalKind::interrupt())?)));
    let (mut terminate, mut interrupt) = match handlers {
        Ok(handlers) => handlers,
        Err(error) => {
            // If this cannot be sent, the receiver has gone.
            let _ = installed.send(Err(error));
            return;
        }
    };
    let _ = installed.send(Ok(()));
    tokio::select! {
        () = either(&mut terminate, &mut interrupt) => {}
        () = parent::parent_gone() => end("the parent of this process is gone"),
    }
    request.send_replace(true);
    tokio::select! {
        () = either(&mut terminate, &mut interrupt) => end("told to stop a second time"),
        () = sleep(grace) => end("the stop has taken as long as SHUTDOWN_GRACE_MS allows"),
        () = parent::parent_gone() => end("the parent of this process is gone"),
    }
}

async fn either(terminate: &mut Signals, interrupt: &mut Signals) {
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
}

/// Ends the process, whatever its other threads do.
fn end(reason: &str) -> ! {
    tracing::warn!("{reason}: ending at once");
    logging::finish_within(LAST_LINES);
    thread::spawn(|| {
        thread::sleep(EXIT);
        // Our own process, so it exists.
        let _ = kill(Pid::this(), Signal::SIGKILL);
    });
    std::process::exit(IN_A_HURRY)
}
