//! Work on large or foreign bytes: decrypting, verifying, inflating, parsing,
//! encrypting. It is done on threads of low priority, a few at a time, and in a
//! bounded amount of memory, so that neither the pulse nor anything else a node
//! does waits for more than the processor's next turn. What is known to be small
//! is done where it is needed; [`SMALL`] says what that is.

use std::cell::Cell;
use std::num::NonZeroUsize;
use std::sync::LazyLock;

use tokio::runtime::{Builder, Runtime};
use tokio::sync::Semaphore;

/// Bytes that are worked on at once, wherever that is but on the pulse: some
/// tenths of a millisecond, less than two changes of threads under load cost.
pub const SMALL: usize = 64 * 1024;

/// Memory of what is worked on at one time for each of [`Whose`], in [`UNIT`]s.
const MEMORY: u32 = 128 * 1024;
const UNIT: usize = 1024;
/// How much the threads stand back behind all others (`nice`).
const STAND_BACK: i32 = 10;

/// Whose work it is. Nobody's waits for that of others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Whose {
    /// Messages of nodes that signed them, and this node's own.
    Nodes,
    /// Messages of which nobody knows who sent them.
    Strangers,
    /// API calls.
    Calls,
    /// Questions of operators: one at a time, and its place is kept while the
    /// store is asked.
    Operators,
}

struct Heavy {
    runtime: Runtime,
    places: [Semaphore; 4],
    memory: [Semaphore; 4],
}

static HEAVY: LazyLock<Heavy> = LazyLock::new(Heavy::start);

impl Heavy {
    fn start() -> Self {
        let cores = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
        // All together about as many as there are cores beside that of the pulse.
        let each = (cores - 1).div_ceil(3).max(1);
        let built = Builder::new_multi_thread()
            .worker_threads(3 * each + 1)
            .thread_name("heavy")
            .on_thread_start(stand_back)
            .enable_all()
            .build();
        Self {
            // As starting an arbiter does.
            runtime: built.unwrap_or_else(|error| panic!("no threads for heavy work: {error}")),
            places: [each, each, each, 1].map(Semaphore::new),
            memory: [MEMORY as usize; 4].map(Semaphore::new),
        }
    }
}

thread_local! {
    static IS_HEAVY: Cell<bool> = const { Cell::new(false) };
}

fn stand_back() {
    IS_HEAVY.set(true);
    if let Err(error) = rustix::process::nice(STAND_BACK) {
        tracing::warn!(%error, "heavy work has the priority of everything else");
    }
}

/// Does some work there, when its turn comes. `bytes`: most memory that it
/// takes. A caller that goes away before its turn has come takes none; a panic
/// is the caller's. Heavy work that has more of it does that at once.
pub async fn run<T: Send + 'static>(
    whose: Whose,
    bytes: usize,
    work: impl Future<Output = T> + Send + 'static,
) -> T {
    if IS_HEAVY.get() {
        return work.await;
    }
    let heavy = &*HEAVY;
    // What is larger than everything has it to itself.
    let units = u32::try_from(bytes.div_ceil(UNIT)).map_or(MEMORY, |units| units.min(MEMORY));
    let place = heavy.places[whose as usize].acquire().await;
    let memory = heavy.memory[whose as usize].acquire_many(units).await;
    // They are never closed.
    let (Ok(_place), Ok(_memory)) = (place, memory) else {
        unreachable!("places for heavy work are closed");
    };
    let mut task = AbortOnDrop(heavy.runtime.spawn(work));
    match (&mut task.0).await {
        Ok(done) => done,
        Err(ended) => std::panic::resume_unwind(match ended.try_into_panic() {
            Ok(panic) => panic,
            Err(ended) => Box::new(ended.to_string()),
        }),
    }
}

/// The same, without anything to wait for.
pub async fn compute<T: Send + 'static>(
    whose: Whose,
    bytes: usize,
    work: impl FnOnce() -> T + Send + 'static,
) -> T {
    run(whose, bytes, async move { work() }).await
}

/// The same for what takes so many bytes, unless that is [`SMALL`].
pub async fn compute_if_large<T: Send + 'static>(
    whose: Whose,
    bytes: usize,
    work: impl FnOnce() -> T + Send + 'static,
) -> T {
    match bytes <= SMALL {
        true => work(),
        false => compute(whose, bytes, work).await,
    }
}

/// Whoever waits no longer has no use for the rest of it.
struct AbortOnDrop<T>(tokio::task::JoinHandle<T>);

impl<T> Drop for AbortOnDrop<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use futures_util::FutureExt;
    use tokio::sync::Notify;

    use super::*;

    #[tokio::test]
    async fn strangers_have_their_places_and_others_have_theirs() {
        let (running, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let release = Arc::new(Notify::new());
        let works: Vec<_> = (0..20)
            .map(|_| {
                let (running, most) = (running.clone(), most.clone());
                let release = release.clone();
                tokio::spawn(run(Whose::Strangers, 1, async move {
                    let now = running.fetch_add(1, Ordering::SeqCst) + 1;
                    most.fetch_max(now, Ordering::SeqCst);
                    release.notified().await;
                    running.fetch_sub(1, Ordering::SeqCst);
                }))
            })
            .collect();
        // All places of strangers are taken, and others do not notice.
        assert_eq!(compute(Whose::Nodes, 1, || 7).await, 7);
        assert_eq!(compute(Whose::Calls, usize::MAX, || 8).await, 8);
        for work in works {
            release.notify_one();
            // Whoever runs may take the permit of another.
            while !work.is_finished() {
                release.notify_one();
                tokio::task::yield_now().await;
            }
        }
        let cores = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
        assert!(most.load(Ordering::SeqCst) <= (cores - 1).div_ceil(3).max(1));
    }

    #[tokio::test]
    async fn a_panic_is_the_callers_and_takes_no_place_away() {
        for _ in 0..20 {
            let work = compute(Whose::Nodes, 1, || panic!("poison"));
            let work = std::panic::AssertUnwindSafe(work).catch_unwind().await;
            let panic: Box<dyn std::any::Any + Send> = work.unwrap_err();
            assert_eq!(panic.downcast_ref::<&str>(), Some(&"poison"));
        }
        assert_eq!(compute(Whose::Nodes, 1, || 7).await, 7);
    }

    #[tokio::test]
    async fn work_within_work_does_not_wait_for_itself() {
        let inner = || compute(Whose::Strangers, 1, || 7);
        assert_eq!(
            run(Whose::Strangers, 1, async move { inner().await }).await,
            7
        );
    }

    #[tokio::test]
    async fn it_is_done_on_no_thread_of_anybody_else() {
        let name = compute(Whose::Calls, 1, || {
            std::thread::current().name().map(str::to_owned)
        });
        assert_eq!(name.await.as_deref(), Some("heavy"));
    }
}
