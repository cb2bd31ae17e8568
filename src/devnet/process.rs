//! Child processes of a development network. Each child gets a pipe as its
//! standard input and ends when that closes, so that none outlives a parent
//! that was killed.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, SysconfVar, sysconf};
use tokio::process::{Child, ChildStdin, Command};
use tokio::time::timeout;

use crate::parent::EXIT_WITH_PARENT;

/// What to start.
#[derive(Debug, Clone)]
pub struct ProcessSpec {
    /// Name in tables and of the log file.
    pub name: String,
    /// The program; `None`: this same binary.
    pub binary: Option<PathBuf>,
    pub arguments: Vec<String>,
    /// Environment beside the inherited `PATH`.
    pub environment: Vec<(String, String)>,
    /// Where standard output and error go.
    pub log: PathBuf,
}

/// A running child.
#[derive(Debug)]
pub struct Process {
    plan: ProcessSpec,
    started: Instant,
    child: Child,
    /// Kept apart from `child`, whose `wait` would close it and so tell the
    /// process that its parent is gone.
    _input: Option<ChildStdin>,
}

/// What a process has used.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Usage {
    /// CPU time of user and system, in milliseconds.
    pub cpu_ms: u64,
    /// The system's part of it.
    pub system_ms: u64,
    /// Resident memory in MB (10^6 bytes).
    pub rss_mb: f64,
}

impl Process {
    /// Starts a child.
    ///
    /// # Errors
    /// When the log file or the process cannot be made.
    pub fn start(plan: ProcessSpec) -> io::Result<Self> {
        let log = File::options().create(true).append(true).open(&plan.log)?;
        let binary = match &plan.binary {
            Some(binary) => binary.clone(),
            None => std::env::current_exe()?,
        };
        let mut command = Command::new(binary);
        command
            .args(&plan.arguments)
            .env_clear()
            .envs(std::env::var_os("PATH").map(|path| ("PATH", path)))
            .env(EXIT_WITH_PARENT, "1")
            .envs(plan.environment.iter().cloned())
            .stdin(Stdio::piped())
            .stdout(log.try_clone()?)
            .stderr(log)
            .kill_on_drop(true);
        let mut child = command.spawn()?;
        Ok(Self {
            plan,
            started: Instant::now(),
            _input: child.stdin.take(),
            child,
        })
    }

    /// Name in tables.
    pub fn name(&self) -> &str {
        &self.plan.name
    }

    /// Its log file.
    pub fn log(&self) -> &Path {
        &self.plan.log
    }

    /// What it was started with.
    pub fn plan(&self) -> &ProcessSpec {
        &self.plan
    }

    /// Its process id, while it runs.
    pub fn pid(&self) -> Option<u32> {
        self.child.id()
    }

    /// How long ago it was started.
    pub fn age(&self) -> Duration {
        self.started.elapsed()
    }

    /// Whether it has ended by itself.
    pub fn has_ended(&mut self) -> bool {
        !matches!(self.child.try_wait(), Ok(None))
    }

    /// Sends a signal; does nothing if it has ended.
    pub fn signal(&self, signal: Signal) {
        if let Some(pid) = self.pid() {
            // An error means that it ended meanwhile, which is as good.
            let _ = kill(Pid::from_raw(pid as i32), signal);
        }
    }

    /// Asks it to stop, and kills it after `grace`.
    pub async fn stop(mut self, grace: Duration) {
        if let Err(error) = self.terminate(grace).await {
            tracing::debug!(%error, process = self.name(), "had ended before it was stopped");
        }
    }

    /// Asks it to stop, and kills it after `grace`. How it ended; `None`: it
    /// had to be killed.
    ///
    /// # Errors
    /// When the system cannot tell.
    pub async fn terminate(&mut self, grace: Duration) -> io::Result<Option<ExitStatus>> {
        self.signal(Signal::SIGTERM);
        match timeout(grace, self.child.wait()).await {
            Ok(status) => status.map(Some),
            Err(_) => {
                self.kill().await;
                Ok(None)
            }
        }
    }

    /// Starts it again as it was; if it still runs it is killed.
    ///
    /// # Errors
    /// When the log file or the process cannot be made.
    pub fn start_again(&mut self) -> io::Result<()> {
        *self = Self::start(self.plan.clone())?;
        Ok(())
    }

    /// Waits for its end.
    ///
    /// # Errors
    /// When the system cannot tell.
    pub async fn wait(&mut self) -> io::Result<ExitStatus> {
        self.child.wait().await
    }

    /// Kills it (-9) and waits for its end.
    pub async fn kill(&mut self) {
        if let Err(error) = self.child.kill().await {
            tracing::debug!(%error, process = self.name(), "had ended before the kill");
        }
    }

    /// CPU time and memory so far; zero once it has ended.
    pub fn usage(&self) -> Usage {
        self.pid().and_then(usage_of).unwrap_or_default()
    }
}

/// CPU time and memory of any process of this machine; `None` if it is gone.
pub fn usage_of(pid: u32) -> Option<Usage> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The command name is in parentheses and may hold blanks; fields follow it.
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let ticks = |field: usize| fields.get(field)?.parse::<u64>().ok();
    let (user, system) = (ticks(11)?, ticks(12)?);
    let pages: u64 = fields.get(21)?.parse().ok()?;
    let ticks_per_second = sysconf(SysconfVar::CLK_TCK).ok()??.max(1) as u64;
    let page_size = sysconf(SysconfVar::PAGE_SIZE).ok()?? as u64;
    Some(Usage {
        cpu_ms: (user + system) * 1000 / ticks_per_second,
        system_ms: system * 1000 / ticks_per_second,
        rss_mb: (pages * page_size) as f64 / 1e6,
    })
}

/// How often a process's threads have gone to sleep of themselves: each time
/// something has to wake them again. `None` if it is gone.
pub fn sleeps_of(pid: u32) -> Option<u64> {
    let threads = std::fs::read_dir(format!("/proc/{pid}/task")).ok()?;
    let of_thread = |thread: std::fs::DirEntry| {
        let status = std::fs::read_to_string(thread.path().join("status")).ok()?;
        let mut lines = status.lines();
        let count = lines.find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"))?;
        count.trim().parse::<u64>().ok()
    };
    Some(threads.flatten().filter_map(of_thread).sum())
}
