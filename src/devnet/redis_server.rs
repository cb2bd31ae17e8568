//! A real `redis-server` of our own, for the demo and for tests.

use std::fs::File;
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tempfile::TempDir;

use super::ports;

const START_TIMEOUT: Duration = Duration::from_secs(20);
const STOP_TIMEOUT: Duration = Duration::from_secs(10);
const POLL: Duration = Duration::from_millis(5);
/// Another process may take the free port before Redis does.
const START_ATTEMPTS: usize = 5;

/// How Redis keeps what it has acknowledged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Durability {
    /// Nothing is written to disk.
    Volatile,
    /// Append-only file, synced every second.
    #[default]
    EverySecond,
    /// Append-only file, synced before each answer.
    Always,
}

/// How to run the server.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// What survives a restart.
    pub durability: Durability,
    /// Required of clients, if set.
    pub password: Option<String>,
    /// Bytes of memory; writes are refused beyond.
    pub max_memory: Option<u64>,
    /// A limit of the size of its files (`RLIMIT_FSIZE`) is met as a full disk,
    /// not as a signal that ends the server.
    pub survives_file_limit: bool,
    /// More of its arguments.
    pub arguments: Vec<String>,
    /// The configuration of a Sentinel, which it is then instead.
    pub sentinel: Option<String>,
}

/// A running `redis-server` on a free port of the loopback interface, with a
/// temporary directory. Dropping it kills the server and removes the directory.
#[derive(Debug)]
pub struct RedisServer {
    options: Options,
    port: u16,
    child: Option<Child>,
    /// Kills the server when this process is gone.
    guard: Option<Child>,
    directory: TempDir,
}

impl RedisServer {
    /// Starts a server and waits until it answers. Blocks meanwhile (some
    /// 20 ms).
    ///
    /// # Errors
    /// Says so if there is no `redis-server` on the `PATH`; otherwise with what
    /// the server wrote before it gave up.
    pub fn start(options: Options) -> io::Result<Self> {
        let mut last_error = None;
        for _ in 0..START_ATTEMPTS {
            let mut server = Self {
                options: options.clone(),
                port: ports::free()?,
                child: None,
                guard: None,
                directory: tempfile::tempdir()?,
            };
            match server.spawn() {
                Ok(()) => return Ok(server),
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(error),
                Err(error) => last_error = Some(error),
            }
        }
        Err(last_error.unwrap_or_else(|| io::Error::other("redis-server was not tried")))
    }

    /// The port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Its process, while it runs.
    pub fn pid(&self) -> Option<u32> {
        self.child.as_ref().map(Child::id)
    }

    /// The directory with its files.
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// Another password, from the next start.
    pub fn set_password(&mut self, password: Option<String>) {
        self.options.password = password;
    }

    /// Stops the server in order (if it runs) and restarts it with the same
    /// port and files.
    pub fn restart(&mut self) -> io::Result<()> {
        self.stop()?;
        self.spawn()
    }

    /// Stops the server in order, if it runs.
    pub fn stop(&mut self) -> io::Result<()> {
        let Some(mut child) = self.child.take() else {
            return Ok(());
        };
        signal(&child, Signal::SIGTERM)?;
        let deadline = Instant::now() + STOP_TIMEOUT;
        while child.try_wait()?.is_none() {
            if Instant::now() > deadline {
                child.kill()?;
                child.wait()?;
                return Err(io::Error::other("redis-server did not stop when asked to"));
            }
            std::thread::sleep(POLL);
        }
        self.dismiss_guard()
    }

    /// Kills the server with SIGKILL, if it runs.
    pub fn kill9(&mut self) -> io::Result<()> {
        if let Some(mut child) = self.child.take() {
            child.kill()?;
            child.wait()?;
        }
        self.dismiss_guard()
    }

    /// Its server has ended, and the process id may be given to another one.
    fn dismiss_guard(&mut self) -> io::Result<()> {
        if let Some(mut guard) = self.guard.take() {
            guard.kill()?;
            guard.wait()?;
        }
        Ok(())
    }

    /// Stops the server's clock: connections stay, answers stop.
    pub fn freeze(&self) -> io::Result<()> {
        self.child
            .as_ref()
            .map_or(Ok(()), |child| signal(child, Signal::SIGSTOP))
    }

    /// Lets a frozen server go on.
    pub fn thaw(&self) -> io::Result<()> {
        self.child
            .as_ref()
            .map_or(Ok(()), |child| signal(child, Signal::SIGCONT))
    }

    fn spawn(&mut self) -> io::Result<()> {
        let log_path = self.directory.path().join("redis.log");
        let log = File::create(&log_path)?;
        let mut command = match &self.options.sentinel {
            None => self.command(),
            Some(configuration) => self.sentinel(configuration)?,
        };
        let child = command
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .map_err(|error| match error.kind() {
                io::ErrorKind::NotFound => io::Error::new(
                    io::ErrorKind::NotFound,
                    "there is no `redis-server` on the PATH; install Redis or Valkey",
                ),
                _ => error,
            })?;
        let child = self.child.insert(child);
        self.guard = Some(guard(child.id())?);
        let deadline = Instant::now() + START_TIMEOUT;
        while !answers(self.port) {
            let ended = child.try_wait()?;
            if ended.is_some() || Instant::now() > deadline {
                self.kill9()?;
                let said = std::fs::read_to_string(&log_path)?;
                return Err(io::Error::other(format!(
                    "redis-server did not start: {said}"
                )));
            }
            std::thread::sleep(POLL);
        }
        Ok(())
    }

    /// It writes what it learns into its configuration, and reads that again.
    fn sentinel(&self, configuration: &str) -> io::Result<Command> {
        let file = self.directory.path().join("sentinel.conf");
        if !file.exists() {
            std::fs::write(&file, configuration)?;
        }
        let mut command = Command::new("redis-server");
        command
            .current_dir(self.directory.path())
            .arg(file)
            .args(["--sentinel", "--bind", "127.0.0.1"])
            .args(["--port", &self.port.to_string()]);
        Ok(command)
    }

    fn command(&self) -> Command {
        let mut command = match self.options.survives_file_limit {
            false => Command::new("redis-server"),
            true => {
                let mut shell = Command::new("sh");
                let script = "trap '' XFSZ; exec redis-server \"$@\"";
                shell.args(["-c", script, "redis-server"]);
                shell
            }
        };
        command
            .current_dir(self.directory.path())
            .args(["--bind", "127.0.0.1", "--save", ""])
            .args(["--port", &self.port.to_string()])
            .args(["--maxmemory-policy", "noeviction"]);
        match self.options.durability {
            Durability::Volatile => command.args(["--appendonly", "no"]),
            Durability::EverySecond => {
                command.args(["--appendonly", "yes", "--appendfsync", "everysec"])
            }
            Durability::Always => command.args(["--appendonly", "yes", "--appendfsync", "always"]),
        };
        if let Some(password) = &self.options.password {
            command.args(["--requirepass", password]);
        }
        if let Some(bytes) = self.options.max_memory {
            command.args(["--maxmemory", &bytes.to_string()]);
        }
        command.args(&self.options.arguments);
        command
    }
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        if let Err(error) = self.kill9() {
            tracing::warn!(%error, "cannot kill redis-server");
        }
    }
}

fn signal(child: &Child, signal: Signal) -> io::Result<()> {
    let pid = i32::try_from(child.id()).map_err(io::Error::other)?;
    kill(Pid::from_raw(pid), signal).map_err(io::Error::from)
}

/// A process that kills another one when its standard input closes, which
/// happens when this process ends, in whatever way.
fn guard(server: u32) -> io::Result<Child> {
    Command::new("sh")
        .args(["-c", &format!("read -r _; kill -9 {server}")])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
}

/// Whether a server on this port of the loopback interface takes commands; one
/// that still loads its files does not. Blocks for up to a second.
pub fn answers(port: u16) -> bool {
    let ping = || -> io::Result<bool> {
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
        stream.set_read_timeout(Some(Duration::from_secs(1)))?;
        stream.write_all(b"PING\r\n")?;
        let mut answer = [0; 7];
        stream.read_exact(&mut answer)?;
        Ok(answer.starts_with(b"+PONG") || answer.starts_with(b"-NOAUTH"))
    };
    ping().unwrap_or(false)
}
