//! The one thread that writes. It applies all waiting operations in one
//! transaction, so that they share one sync of the disk, and answers them when
//! it is done.
//!
//! A panic does not end the thread. A panic of an operation fails that
//! operation; any other panic fails the file, which is opened again.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, LazyLock};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use nix::sys::statvfs::statvfs;
use parking_lot::{Mutex, RwLock};
use redb::Database;
use tokio::sync::{mpsc, oneshot};

use super::file::StoreFile;
use super::tables::{self, Tables};
use super::{OperationFailure, operations};
use crate::job::Millis;
use crate::logging::LineLimit;
use crate::store::StoreError;

/// Most operations that wait here; further ones wait outside.
const WAITING: usize = 1024;
/// Most operations in one transaction.
const AT_ONCE: usize = 512;
/// The cost of a transaction hardly depends on how many operations it has. When
/// this many came while the last one was written, more are on their way, and it
/// pays to wait this long for them.
const BUSY: usize = 4;
const GATHER: Duration = Duration::from_millis(2);
/// Pause between searches for expired sources, once all were forgotten.
const FORGET_EVERY: Duration = Duration::from_secs(60);
/// After a successful write, the next one is expected to succeed for this long.
const SHOWS: Duration = Duration::from_secs(5);
/// Pause between attempts to open a failed file again.
const REOPEN_PAUSE: Duration = Duration::from_millis(200);

/// With less room on the disk, writes that make the file larger fail.
const ROOM: u64 = 16 * 1024 * 1024;

/// Lines about a file that fails again and again, by what they say.
static FAILURES: LazyLock<LineLimit<&'static str>> =
    LazyLock::new(|| LineLimit::new(3, Duration::from_secs(60)));

/// The open file; `None` while it cannot be used.
pub(super) type Shared = Arc<RwLock<Option<Arc<Database>>>>;

/// An operation on its way to the thread and back.
trait Operation: Send {
    /// Applies it. May be called again in another transaction, when this one
    /// could not be committed because of another operation.
    fn apply(&mut self, tables: &mut Tables<'_>) -> Result<(), OperationFailure>;

    /// Tells the caller the result of [`Self::apply`] once it is on disk, or
    /// what went wrong.
    fn answer(self: Box<Self>, failure: Option<OperationFailure>);
}

struct Pending<T, F> {
    run: F,
    result: Option<Result<T, StoreError>>,
    caller: oneshot::Sender<Result<T, StoreError>>,
}

impl<T, F> Operation for Pending<T, F>
where
    T: Send,
    F: Fn(&mut Tables<'_>) -> Result<T, OperationFailure> + Send,
{
    fn apply(&mut self, tables: &mut Tables<'_>) -> Result<(), OperationFailure> {
        self.result = Some(match (self.run)(tables) {
            // Refused before anything was written.
            Err(failure @ OperationFailure::Deposed(_)) => Err(failure.into()),
            result => Ok(result?),
        });
        Ok(())
    }

    fn answer(self: Box<Self>, failure: Option<OperationFailure>) {
        let result = match (failure, self.result) {
            (None, Some(result)) => result,
            (Some(failure), _) => Err(failure.into()),
            (None, None) => Err(StoreError::Unavailable("not applied".to_owned())),
        };
        // A caller that has gone does not want the result.
        let _ = self.caller.send(result);
    }
}

/// When the last transaction succeeded; `None` if it failed.
type LastWrite = Mutex<Option<Instant>>;

/// Whether the last failure met a full disk, which small writes may survive.
type Fullness = AtomicBool;

/// Hands operations to the thread.
pub(super) struct Writer {
    path: PathBuf,
    is_full: Arc<Fullness>,
    queue: Option<mpsc::Sender<Box<dyn Operation>>>,
    last: Arc<LastWrite>,
    thread: Option<JoinHandle<()>>,
}

impl Writer {
    /// Starts the thread.
    pub fn start(shared: Shared, file: StoreFile) -> Result<Self, StoreError> {
        let (queue, waiting) = mpsc::channel(WAITING);
        let last = Arc::new(LastWrite::default());
        let noted = last.clone();
        let is_full = Arc::new(Fullness::default());
        let (path, found_full) = (file.path.clone(), is_full.clone());
        let thread = std::thread::Builder::new()
            .name("store-writer".to_owned())
            .spawn(move || run_for_ever(&shared, &file, waiting, &noted, &found_full))
            .map_err(|error| StoreError::Unavailable(error.to_string()))?;
        Ok(Self {
            path,
            is_full,
            queue: Some(queue),
            last,
            thread: Some(thread),
        })
    }

    /// Whether the last transaction succeeded a moment ago.
    pub fn has_just_written(&self) -> bool {
        let at = *self.last.lock();
        at.is_some_and(|at| at.elapsed() < SHOWS)
    }

    /// Free bytes of a disk that was found full, and still is.
    pub fn room_of_full_disk(&self) -> Option<u64> {
        if !self.is_full.load(Ordering::Relaxed) {
            return None;
        }
        let still_full = too_little_room(&self.path);
        self.is_full.store(still_full.is_some(), Ordering::Relaxed);
        still_full
    }

    /// Runs an operation. `Ok` means that it is on disk.
    pub async fn write<T: Send + 'static>(
        &self,
        run: impl Fn(&mut Tables<'_>) -> Result<T, OperationFailure> + Send + 'static,
    ) -> Result<T, StoreError> {
        let gone = || StoreError::Unavailable("the store is closed".to_owned());
        // The thread panicked outside the operation, or the store was closed.
        let lost = || StoreError::Unavailable("the store gave no answer".to_owned());
        let (caller, answer) = oneshot::channel();
        let operation = Box::new(Pending {
            run,
            result: None,
            caller,
        });
        let queue = self.queue.as_ref().ok_or_else(gone)?;
        queue.send(operation).await.map_err(|_| gone())?;
        answer.await.map_err(|_| lost())?
    }
}

impl Drop for Writer {
    /// Waits until everything handed over is written and the file is closed.
    fn drop(&mut self) {
        self.queue = None;
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the thread that writes the store had panicked");
        }
    }
}

/// Works until nobody can hand over anything. After a panic redb's memory may
/// be wrong, so the file is opened again.
fn run_for_ever(
    shared: &Shared,
    file: &StoreFile,
    mut waiting: mpsc::Receiver<Box<dyn Operation>>,
    last: &LastWrite,
    is_full: &Fullness,
) {
    let mut failure = None;
    loop {
        // Operations under way are dropped, which tells their callers.
        let lived = catch_unwind(AssertUnwindSafe(|| {
            if let Some(failure) = failure.take() {
                recover(shared, file, &mut waiting, &failure);
            }
            run(shared, file, &mut waiting, last, is_full);
        }));
        match lived {
            Ok(()) => break,
            Err(panic) => {
                *last.lock() = None;
                failure = Some(OperationFailure::File(defect(&*panic)));
                std::thread::sleep(REOPEN_PAUSE);
            }
        }
    }
    *shared.write() = None;
}

/// A panic as an error text.
fn defect(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().copied();
    let text = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    format!("a defect: {}", text.unwrap_or("a panic"))
}

fn run(
    shared: &Shared,
    file: &StoreFile,
    waiting: &mut mpsc::Receiver<Box<dyn Operation>>,
    last: &LastWrite,
    is_full: &Fullness,
) {
    let mut forgot_at = None;
    let mut last_batch = 0;
    while let Some(first) = waiting.blocking_recv() {
        if last_batch >= BUSY {
            std::thread::sleep(GATHER);
        }
        let mut batch = vec![first];
        while batch.len() < AT_ONCE
            && let Ok(next) = waiting.try_recv()
        {
            batch.push(next);
        }
        last_batch = batch.len();
        let forget = forgot_at.is_none_or(|at: Instant| at.elapsed() >= FORGET_EVERY);
        let database = shared.read().clone();
        let outcome = match &database {
            Some(database) => write_batch(database, batch, forget),
            None => {
                let failure = OperationFailure::File("the file is not open".to_owned());
                answer_all(batch, &failure);
                Err(failure)
            }
        };
        drop(database);
        *last.lock() = outcome.is_ok().then(Instant::now);
        match outcome {
            Ok(Sources::Forgotten) => forgot_at = Some(Instant::now()),
            // The next batch continues.
            Ok(Sources::Left) => {}
            Err(failure) => {
                if too_little_room(&file.path).is_some() {
                    is_full.store(true, Ordering::Relaxed);
                }
                recover(shared, file, waiting, &failure);
            }
        }
    }
}

/// The free bytes of the disk, if they are too few.
fn too_little_room(path: &Path) -> Option<u64> {
    let disk = statvfs(path).ok()?;
    let free = disk.blocks_available() as u64 * disk.fragment_size() as u64;
    (free < ROOM).then_some(free)
}

/// The state of expired sources after a batch.
enum Sources {
    /// There are none left.
    Forgotten,
    /// Nobody looked, or there may be more.
    Left,
}

/// Applies a batch in one transaction and answers it. An operation that panics
/// or meets unreadable bytes may have written part of its changes, so the
/// transaction is given up and the others are applied again without it. `Err`
/// only if the file failed; all callers have been told.
fn write_batch(
    database: &Database,
    mut batch: Vec<Box<dyn Operation>>,
    forget: bool,
) -> Result<Sources, OperationFailure> {
    loop {
        match try_batch(database, &mut batch, forget) {
            Ok(sources) => {
                batch
                    .into_iter()
                    .for_each(|operation| operation.answer(None));
                return Ok(sources);
            }
            Err((_, failure @ OperationFailure::File(_))) => {
                answer_all(batch, &failure);
                return Err(failure);
            }
            Err((Some(index), failure)) => batch.remove(index).answer(Some(failure)),
            // Not the fault of an operation, but of forgetting sources.
            Err((None, failure)) => {
                answer_all(batch, &failure);
                return Ok(Sources::Left);
            }
        }
    }
}

/// On failure, also returns which operation met it.
fn try_batch(
    database: &Database,
    batch: &mut [Box<dyn Operation>],
    forget: bool,
) -> Result<Sources, (Option<usize>, OperationFailure)> {
    let nobody = |failure: OperationFailure| (None, failure);
    let transaction = tables::begin_write(database).map_err(nobody)?;
    let applied = Tables::open(&transaction)
        .map_err(nobody)
        .and_then(|mut tables| {
            for (index, operation) in batch.iter_mut().enumerate() {
                apply(&mut **operation, &mut tables).map_err(|failure| (Some(index), failure))?;
            }
            if !forget {
                return Ok(Sources::Left);
            }
            match operations::forget_sources(&mut tables, Millis::now()).map_err(nobody)? {
                true => Ok(Sources::Left),
                false => Ok(Sources::Forgotten),
            }
        });
    match applied {
        Ok(sources) => {
            transaction.commit().map_err(|error| nobody(error.into()))?;
            Ok(sources)
        }
        Err(failure) => {
            transaction.abort().map_err(|error| nobody(error.into()))?;
            Err(failure)
        }
    }
}

/// Applies an operation. One that panics is not tried again, like one that
/// meets unreadable bytes.
fn apply(operation: &mut dyn Operation, tables: &mut Tables<'_>) -> Result<(), OperationFailure> {
    // Neither is used again: the operation is answered and the transaction
    // given up.
    catch_unwind(AssertUnwindSafe(|| operation.apply(tables))).unwrap_or_else(|panic| {
        let defect = defect(&*panic);
        tracing::error!(defect, "an operation of the store panicked");
        Err(OperationFailure::Corrupt(defect))
    })
}

fn answer_all(batch: Vec<Box<dyn Operation>>, failure: &OperationFailure) {
    for operation in batch {
        operation.answer(Some(failure.clone()));
    }
}

/// Opens the file again after a disk error, as redb demands. Callers get an
/// error until that works.
fn recover(
    shared: &Shared,
    file: &StoreFile,
    waiting: &mut mpsc::Receiver<Box<dyn Operation>>,
    failure: &OperationFailure,
) {
    let is_told = FAILURES.admit("failed").is_some();
    if is_told {
        tracing::error!(
            ?failure,
            file = %file.path.display(),
            "the store failed; opening its file again. Is the disk of DATA_DIRECTORY_PATH full?"
        );
    }
    *shared.write() = None;
    loop {
        match file.open() {
            Ok(database) => {
                *shared.write() = Some(Arc::new(database));
                if is_told {
                    tracing::info!("the store's file is open again");
                }
                return;
            }
            Err(error) => {
                if FAILURES.admit("closed").is_some() {
                    tracing::warn!(%error, "cannot open the store's file again yet");
                }
                let failure = OperationFailure::File(error.to_string());
                while let Ok(operation) = waiting.try_recv() {
                    operation.answer(Some(failure.clone()));
                }
                if waiting.is_closed() {
                    return;
                }
                std::thread::sleep(REOPEN_PAUSE);
            }
        }
    }
}

#[cfg(test)]
mod tests;
