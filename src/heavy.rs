//! Work on large or foreign bytes: decrypting, verifying, inflating, parsing,
//! encrypting. It runs on threads of low priority, a few at a time and in
//! bounded memory, so that neither the pulse nor anything else of a node waits
//! for more than the processor's next turn. Small work is done where it is
//! needed; see [`SMALL`].

use std::cell::Cell;
use std::num::NonZeroUsize;
use std::sync::LazyLock;

use tokio::runtime::{Builder, Runtime};
use tokio::sync::Semaphore;

/// Bytes that any thread but the pulse may work on at once. That takes some
/// tenths of a millisecond, less than two changes of threads under load.
pub const SMALL: usize = 64 * 1024;

/// Memory for the current work of each [`Whose`], in [`UNIT`]s.
const MEMORY: u32 = 128 * 1024;
const UNIT: usize = 1024;
/// The `nice` value of the threads.
const STAND_BACK: i32 = 10;

/// Whose work it is. The work of one never waits for that of another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Whose {
    /// Messages of nodes that signed them, and this node's own.
    Nodes,
    /// Messages of unknown senders.
    Strangers,
    /// API calls.
    Calls,
    /// Questions of operators, one at a time. Each keeps its place while the
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
        // All together about as many as there are cores beside the pulse's.
        let each = (cores - 1).div_ceil(3).max(1);
        let built = Builder::new_multi_thread()
            .worker_threads(3 * each + 1)
            .thread_name("heavy")
            .on_thread_start(stand_back)
            .enable_all()
            .build();
        Self {
            // Like an arbiter that cannot start.
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

/// Runs some work when its turn comes. `bytes`: the most memory it takes. If
/// the caller goes away before its turn, nothing runs. A panic is passed on to
/// the caller. Heavy work that calls this runs its part at once.
pub async fn run<T: Send + 'static>(
    whose: Whose,
    bytes: usize,
    work: impl Future<Output = T> + Send + 'static,
) -> T {
    if IS_HEAVY.get() {
        return work.await;
    }
    let heavy = &*HEAVY;
    // Work larger than everything has it to itself.
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

/// Runs work that waits for nothing.
pub async fn compute<T: Send + 'static>(
    whose: Whose,
    bytes: usize,
    work: impl FnOnce() -> T + Send + 'static,
) -> T {
    run(whose, bytes, async move { work() }).await
}

/// The same for work of this size. Runs at once if that is [`SMALL`].
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

/// Aborts the work when its caller no longer waits.
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
        // Strangers occupy all their places, and others do not notice.
        assert_eq!(compute(Whose::Nodes, 1, || 7).await, 7);
        assert_eq!(compute(Whose::Calls, usize::MAX, || 8).await, 8);
        for work in works {
            release.notify_one();
            // A running task may take another's permit.
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
