//! The process's log: JSON lines or readable text on standard output (`LOG_*`,
//! spec/process-model-and-config.md 10.1). No thread that logs ever waits for
//! the log's reader.

mod export;
mod identity;
mod limit;
mod output;
mod panics;
mod reminder;
pub mod spans;

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::sync::OnceLock;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use tracing::level_filters::LevelFilter;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::{Layered, SubscriberExt};
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer, Registry};

use self::identity::LineForm;
pub use self::identity::{Identity, act_as};
pub use self::limit::LineLimit;
use self::output::Output;
pub use self::reminder::Reminder;
use crate::config::Log;

/// Libraries whose messages below `warn` help nobody.
const QUIET: &str = "h2=warn,hyper=warn,hyper_util=warn,opentelemetry=warn,tungstenite=warn,tokio_tungstenite=warn,\
                     actix_server=warn,actix_http=warn,mio=warn,reqwest=warn,tower=warn";

/// How long an ending process waits for its last lines to be read.
const LAST_LINES: Duration = Duration::from_secs(1);

/// What the layer of spans stands on.
type Lines = Layered<Box<dyn Layer<Registry> + Send + Sync>, Registry>;

/// Set once logging has started.
static OUTPUT: OnceLock<Output> = OnceLock::new();

/// Starts logging for the whole process. Panics are logged from then on,
/// because a message to standard error waits for its reader.
/// # Errors
/// When logging was started before, or standard output is closed.
pub fn start(log: &Log, identity: &Identity) -> io::Result<()> {
    // Bypasses the buffer of the standard library, whose lock and rest would
    // hold up an ending process.
    let target = File::from(io::stdout().as_fd().try_clone_to_owned()?);
    let output = Output::start(target)?;
    let (spans, warning) = match export::layer::<Lines>(identity) {
        Ok(spans) => (spans, None),
        Err(warning) => (None, Some(warning)),
    };
    tracing_subscriber::registry()
        .with(layer(log, identity, output.clone()))
        .with(spans)
        .try_init()
        .map_err(io::Error::other)?;
    if let Some(warning) = warning {
        tracing::warn!("{warning}");
    }
    // Set once: a second start has failed above.
    let _ = OUTPUT.set(output);
    panics::log_them();
    Ok(())
}

/// Waits at the end of the process until the log is written, or clearly has no
/// reader.
pub fn finish() {
    finish_within(LAST_LINES);
}

/// Like [`finish`], with another time limit.
pub fn finish_within(patience: Duration) {
    export::finish(patience);
    if let Some(output) = OUTPUT.get() {
        output.flush(patience);
    }
}

/// Says on standard error why the process ends, unless nobody reads that.
pub fn last_words(words: String) {
    let (tell, told) = mpsc::sync_channel(1);
    thread::spawn(move || {
        // Fails if nobody can read it.
        let _ = writeln!(io::stderr(), "{words}");
        let _ = tell.send(());
    });
    // An error means that it took too long, or that no thread was left.
    let _ = told.recv_timeout(LAST_LINES);
}

/// `fatal` has no counterpart and shows errors; `silent` shows nothing.
fn filter(level: &str) -> EnvFilter {
    let level = match level {
        "silent" => return EnvFilter::new("off"),
        "fatal" | "error" => LevelFilter::ERROR,
        "warn" => LevelFilter::WARN,
        "debug" => LevelFilter::DEBUG,
        "trace" => LevelFilter::TRACE,
        _ => LevelFilter::INFO,
    };
    if level <= LevelFilter::WARN {
        return EnvFilter::new(level.to_string());
    }
    EnvFilter::new(format!("{level},{QUIET},{}=off", spans::TARGET))
}

fn layer<W>(log: &Log, identity: &Identity, writer: W) -> Box<dyn Layer<Registry> + Send + Sync>
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let lines = tracing_subscriber::fmt::layer()
        .with_writer(writer)
        .with_ansi(log.color);
    let filter = filter(&log.level);
    match (log.pretty, log.one_line) {
        (false, _) => lines
            .json()
            .flatten_event(true)
            .map_event_format(|inner| identity.lines(inner, LineForm::Json))
            .with_filter(filter)
            .boxed(),
        (true, true) => lines
            .compact()
            .map_event_format(|inner| identity.lines(inner, LineForm::Text))
            .with_filter(filter)
            .boxed(),
        (true, false) => lines
            .pretty()
            .with_file(false)
            .with_line_number(false)
            .map_event_format(|inner| identity.lines(inner, LineForm::Text))
            .with_filter(filter)
            .boxed(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    use std::io::Write;
    use std::sync::Arc;

    use parking_lot::Mutex;

    #[derive(Clone, Default)]
    struct Memory(Arc<Mutex<Vec<u8>>>);

    impl Write for Memory {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    fn logged(level: &str, pretty: bool, one_line: bool) -> String {
        let memory = Memory::default();
        let writer = memory.clone();
        let log = Log {
            level: level.to_owned(),
            pretty,
            color: false,
            one_line,
        };
        let subscriber = tracing_subscriber::registry().with(layer(
            &log,
            &Identity::of_process("rp\"1"),
            move || writer.clone(),
        ));
        tracing::subscriber::with_default(subscriber, || {
            tracing::error!(height = 7, "an error");
            tracing::info!("some information");
            tracing::debug!("a detail");
        });
        let bytes = memory.0.lock().clone();
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn json_lines_are_json() {
        let text = logged("info", false, false);
        let lines: Vec<serde_json::Value> = text
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        assert_eq!(lines.len(), 2);
        assert_eq!(lines[0]["level"], "ERROR");
        assert_eq!(lines[0]["message"], "an error");
        assert_eq!(lines[0]["height"], 7);
        for line in &lines {
            assert_eq!(line["node_id"], "rp\"1");
            assert!(line["role"].is_string());
            assert!(!line["instance"].as_str().unwrap().is_empty());
        }
    }

    #[test]
    fn levels_are_those_of_the_replaced_system() {
        let counts = ["silent", "fatal", "error", "warn", "info", "debug", "trace"]
            .map(|level| logged(level, false, false).lines().count());
        assert_eq!(counts, [0, 1, 1, 1, 2, 3, 3]);
    }

    #[test]
    fn readable_text_can_be_kept_to_one_line() {
        assert_eq!(logged("error", true, true).lines().count(), 1);
        assert!(logged("error", true, false).lines().count() > 1);
    }
}
