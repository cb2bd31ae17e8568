//! When to stop: the first SIGTERM or SIGINT asks for it, a second one ends the
//! process at once, which is as safe as a kill.

use std::io;
use std::sync::Arc;

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

use crate::devnet::process;

/// Exit code after a second signal.
const IN_A_HURRY: i32 = 1;

/// Told to stop, or not yet.
#[derive(Debug, Clone)]
pub struct Stop {
    requested: watch::Receiver<bool>,
    started: Arc<watch::Sender<bool>>,
}

impl Stop {
    /// Listens for signals. A process of a development network also ends, at
    /// once, when its parent is gone.
    ///
    /// # Errors
    /// When the handlers cannot be installed.
    pub fn on_signals() -> io::Result<Self> {
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        let (request, requested) = watch::channel(false);
        tokio::spawn(async move {
            let mut next = async || {
                tokio::select! {
                    _ = terminate.recv() => {}
                    _ = interrupt.recv() => {}
                }
            };
            next().await;
            request.send_replace(true);
            next().await;
            tracing::warn!("told again to stop: ending at once");
            std::process::exit(IN_A_HURRY);
        });
        tokio::spawn(async {
            process::parent_gone().await;
            std::process::exit(IN_A_HURRY);
        });
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
