//! Collects log lines in a bounded buffer, which a thread of its own writes
//! out. No thread that logs waits for the log's reader. When nobody reads,
//! lines are dropped and counted, and once reading resumes a line says how
//! many.

use std::cell::Cell;
use std::io::{self, Write};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};
use tracing_subscriber::fmt::MakeWriter;

/// Bytes that may wait. As many again may be in writing.
const ROOM: usize = 4 * 1024 * 1024;
/// Memory that stays allocated when nothing waits.
const KEPT: usize = 64 * 1024;
/// Pause before a non-blocking descriptor that takes nothing is tried again.
const PAUSE: Duration = Duration::from_millis(10);

thread_local! {
    /// Whether this thread is reporting how many lines were dropped.
    static IS_TELLING: Cell<bool> = const { Cell::new(false) };
}

/// Takes lines from all threads.
#[derive(Clone)]
pub(super) struct Output {
    shared: Arc<Shared>,
}

struct Shared {
    room: usize,
    state: Mutex<State>,
    filled: Condvar,
    written: Condvar,
}

#[derive(Default)]
struct State {
    waiting: Vec<u8>,
    lines: u64,
    /// Lines lost since the last report. Until the report all further lines are
    /// dropped too: a line after a gap must not come before the report of the
    /// gap.
    dropped: u64,
    is_writing: bool,
}

impl Output {
    /// Writes to `target` from a new thread.
    /// # Errors
    /// When no thread can be started.
    pub fn start(target: impl Write + Send + 'static) -> io::Result<Self> {
        Self::with_room(target, ROOM)
    }

    fn with_room(target: impl Write + Send + 'static, room: usize) -> io::Result<Self> {
        let output = Self {
            shared: Arc::new(Shared {
                room,
                state: Mutex::default(),
                filled: Condvar::new(),
                written: Condvar::new(),
            }),
        };
        let shared = output.shared.clone();
        thread::Builder::new()
            .name("log".to_owned())
            .spawn(move || shared.write_for_ever(target))?;
        Ok(output)
    }

    /// Waits at most `patience` until everything is written. False if something
    /// is left.
    pub fn flush(&self, patience: Duration) -> bool {
        let deadline = Instant::now() + patience;
        let mut state = self.shared.state.lock();
        while state.is_writing || !state.waiting.is_empty() {
            if self
                .shared
                .written
                .wait_until(&mut state, deadline)
                .timed_out()
            {
                return false;
            }
        }
        true
    }
}

impl Shared {
    /// Takes a line or drops it.
    fn take(&self, line: &[u8]) {
        let is_telling = IS_TELLING.get();
        let mut state = self.state.lock();
        // The line that reports a gap always has room, or its count would be
        // lost.
        let is_full = state.waiting.len() + line.len() > self.room;
        if !is_telling && (is_full || state.dropped > 0) {
            state.dropped += 1;
            drop(state);
            count_dropped(1);
            return;
        }
        state.waiting.extend_from_slice(line);
        state.lines += 1;
        drop(state);
        self.filled.notify_one();
    }

    fn write_for_ever(&self, mut target: impl Write) {
        let mut taken = Vec::new();
        loop {
            let lines = {
                let mut state = self.state.lock();
                while state.waiting.is_empty() {
                    self.filled.wait(&mut state);
                }
                std::mem::swap(&mut state.waiting, &mut taken);
                state.is_writing = true;
                std::mem::take(&mut state.lines)
            };
            let result = write_all(&mut target, &taken);
            taken.clear();
            taken.shrink_to(KEPT);
            if result.is_err() {
                // The log's reader is gone. Only the metric can tell anybody.
                count_dropped(lines);
            }
            self.tell_dropped();
            let mut state = self.state.lock();
            state.is_writing = false;
            drop(state);
            self.written.notify_all();
        }
    }

    /// Ends a gap with a line that reports it.
    fn tell_dropped(&self) {
        let dropped = self.state.lock().dropped;
        if dropped == 0 {
            return;
        }
        IS_TELLING.set(true);
        tracing::error!(
            lines = dropped,
            "log lines were dropped, because nobody read the log"
        );
        IS_TELLING.set(false);
        // More lines may have been lost meanwhile; a gap follows then.
        self.state.lock().dropped -= dropped;
    }
}

fn count_dropped(lines: u64) {
    metrics::counter!("erawan_log_lines_dropped_total").increment(lines);
}

/// Like [`Write::write_all`], but also works where another process made the
/// shared standard output non-blocking.
fn write_all(target: &mut impl Write, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        match target.write(bytes) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(written) => bytes = bytes.get(written..).unwrap_or_default(),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => thread::sleep(PAUSE),
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Takes one event. The formatting layer writes each with one call.
pub(super) struct LogLine<'a>(&'a Shared);

impl Write for LogLine<'_> {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.0.take(line);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Output {
    type Writer = LogLine<'a>;

    fn make_writer(&'a self) -> Self::Writer {
        LogLine(&self.shared)
    }
}

#[cfg(test)]
mod tests;
