//! The worker's end of the stream. A task keeps it open, and opens it again for
//! ever when it breaks.

use std::collections::HashMap;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt;
use parking_lot::Mutex;
use tokio::sync::{Semaphore, mpsc, oneshot, watch};
use tokio::time::{sleep, timeout};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Request, Status, Streaming};

use super::ANSWER_BYTES;
use super::frame::{FRAME_BYTES, Overlong, PartialCall, cut};
use super::way::{MasterLocation, Way};
use crate::proto::cluster::StoreFrame;
use crate::proto::cluster::cluster_client::ClusterClient;
use crate::protocol::introduction::introduce;

/// Most frames that wait to be written to the stream.
const QUEUED_FRAMES: usize = 64;
/// Most calls of several frames that are being written to the stream.
const LARGE_AT_ONCE: usize = 4;
const OPEN_TIMEOUT: Duration = Duration::from_secs(2);
/// After this silence, a stream with open calls is dead.
const SILENCE: Duration = Duration::from_secs(10);
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// The current state of the stream.
#[derive(Clone)]
pub(super) enum Current {
    Open(OpenStream),
    /// There is no stream; why.
    Away(String),
}

impl Current {
    /// Before the first connection.
    pub fn not_there() -> Self {
        Self::Away("the master is not there".to_owned())
    }

    pub fn link(&self) -> Option<&OpenStream> {
        match self {
            Self::Open(link) => Some(link),
            Self::Away(_) => None,
        }
    }

    pub fn why_away(&self) -> Option<&str> {
        match self {
            Self::Open(_) => None,
            Self::Away(why) => Some(why),
        }
    }
}

#[derive(Clone)]
pub(super) struct OpenStream {
    frames: mpsc::Sender<StoreFrame>,
    large: Arc<Semaphore>,
    pub waiting: Arc<WaitingReplies>,
}

impl OpenStream {
    /// Writes a call to the stream; `None` if the stream has ended. A caller
    /// that goes away meanwhile leaves no half of a call behind.
    pub async fn send(&self, id: u64, content: Bytes) -> Option<()> {
        let is_large = content.len() > FRAME_BYTES;
        let mut frames = cut(id, content);
        if !is_large {
            return self.frames.send(frames.next()?).await.ok();
        }
        let turn = Arc::clone(&self.large).acquire_owned().await.ok()?;
        let (link, waiting) = (self.frames.clone(), Arc::clone(&self.waiting));
        let sending = tokio::spawn(async move {
            for frame in frames {
                link.send(frame).await.ok()?;
                waiting.lock().sent += 1;
            }
            drop(turn);
            Some(())
        });
        sending.await.ok().flatten()
    }
}

#[derive(Default)]
pub(super) struct WaitingReplies(Mutex<State>);

#[derive(Default)]
struct State {
    callers: HashMap<u64, WaitingCall>,
    /// Frames of large calls written so far: while they move, the stream lives.
    sent: u64,
    has_ended: bool,
}

struct WaitingCall {
    answer: oneshot::Sender<Bytes>,
    part: PartialCall,
}

impl WaitingReplies {
    /// Registers a call. The receiver fails when the stream ends, at once if it
    /// has ended.
    pub fn register(&self, id: u64) -> oneshot::Receiver<Bytes> {
        let (answer, receiver) = oneshot::channel();
        let mut state = self.lock();
        if !state.has_ended {
            let part = PartialCall::default();
            state.callers.insert(id, WaitingCall { answer, part });
        }
        receiver
    }

    /// Bytes of the answer that have arrived.
    pub fn arrived(&self, id: u64) -> usize {
        let state = self.lock();
        state.callers.get(&id).map_or(0, |caller| caller.part.len())
    }

    /// Forgets a call whose caller has given up.
    pub fn forget(&self, id: u64) {
        self.lock().callers.remove(&id);
    }

    fn deliver(&self, frame: StoreFrame) -> Result<(), Overlong> {
        let id = frame.id;
        let mut state = self.lock();
        let Some(caller) = state.callers.get_mut(&id) else {
            return Ok(());
        };
        // A caller that has gone does not want the rest of its answer.
        if caller.answer.is_closed() {
            state.callers.remove(&id);
            return Ok(());
        }
        if let Some(content) = caller.part.add(frame, ANSWER_BYTES)?
            && let Some(caller) = state.callers.remove(&id)
        {
            // It may have gone just now.
            let _ = caller.answer.send(content);
        }
        Ok(())
    }

    fn is_empty(&self) -> bool {
        self.lock().callers.is_empty()
    }

    fn sent(&self) -> u64 {
        self.lock().sent
    }

    fn end(&self) {
        let mut state = self.lock();
        state.has_ended = true;
        state.callers.clear();
    }

    fn lock(&self) -> parking_lot::MutexGuard<'_, State> {
        self.0.lock()
    }
}

/// Keeps a stream open until nobody watches `current` any more, also after a
/// defect: a worker whose calls all fail would look like one that waits for its
/// master.
pub(super) async fn keep_open(way: Way, node_id: String, current: watch::Sender<Current>) {
    again_after_panics(&current, || keep_stream(way.clone(), &node_id, &current)).await;
}

/// Runs something that ends only by a panic or when nobody watches `current`.
/// After a panic it ends the stream and runs it again.
async fn again_after_panics<F: Future<Output = ()>>(
    current: &watch::Sender<Current>,
    run: impl Fn() -> F,
) {
    // Its memory is dropped; what others see is replaced below.
    while AssertUnwindSafe(run()).catch_unwind().await.is_err() {
        tracing::error!("the link to the master's store panicked; opening it again");
        if let Current::Open(link) = current.send_replace(Current::not_there()) {
            link.waiting.end();
        }
        sleep(LONGEST_PAUSE).await;
    }
}

async fn keep_stream(mut way: Way, node_id: &str, current: &watch::Sender<Current>) {
    let mut pause = FIRST_PAUSE;
    loop {
        let place = tokio::select! {
            place = way.place() => place,
            () = current.closed() => return,
        };
        let opened = tokio::select! {
            opened = timeout(OPEN_TIMEOUT, open(&way, &place, node_id)) => opened,
            () = current.closed() => return,
        };
        match opened {
            Ok(Ok((link, frames))) => {
                pause = FIRST_PAUSE;
                let waiting = Arc::clone(&link.waiting);
                current.send_replace(Current::Open(link));
                let why = tokio::select! {
                    why = receive(frames, &waiting) => why,
                    () = way.moved(&place) => "the master is another process".to_owned(),
                    () = current.closed() => return,
                };
                current.send_replace(Current::not_there());
                waiting.end();
                tracing::warn!(why, "lost the master's store");
            }
            Ok(Err(status)) => refused(&status, current),
            Err(_) => tracing::debug!("the master's store does not answer"),
        }
        tokio::select! {
            () = sleep(pause) => pause = (pause * 2).min(LONGEST_PAUSE),
            () = way.moved(&place) => pause = FIRST_PAUSE,
            () = current.closed() => return,
        }
    }
}

/// Tells a master that is not there yet from one that refuses us, for which
/// somebody has to change a setting.
fn refused(status: &Status, current: &watch::Sender<Current>) {
    let message = status.message();
    let reason = match status.code() {
        Code::FailedPrecondition => format!("refused by the master: {message}"),
        Code::Unimplemented => format!(
            "the master has no store for workers with STORE=embedded ({message}): set STORE=redis \
             for this worker, with the master's DB_IP, DB_PORT and DB_PASSWORD, or STORE=embedded \
             for the master"
        ),
        _ => {
            tracing::debug!(%status, "the master's store is not there");
            current.send_replace(Current::not_there());
            return;
        }
    };
    let is_news = current.borrow().why_away() != Some(&reason);
    if is_news {
        tracing::error!(reason, "no access to the master's store");
        current.send_replace(Current::Away(reason));
    }
}

async fn open(
    way: &Way,
    place: &MasterLocation,
    node_id: &str,
) -> Result<(OpenStream, Streaming<StoreFrame>), Status> {
    let channel = way.channel(place).await.map_err(Status::unavailable)?;
    let (frames, outgoing) = mpsc::channel(QUEUED_FRAMES);
    let mut request = Request::new(ReceiverStream::new(outgoing));
    introduce(request.metadata_mut(), node_id);
    let incoming = ClusterClient::new(channel)
        .store(request)
        .await?
        .into_inner();
    let link = OpenStream {
        frames,
        large: Arc::new(Semaphore::new(LARGE_AT_ONCE)),
        waiting: Arc::default(),
    };
    Ok((link, incoming))
}

/// Delivers answers until the stream ends. Returns why it ended.
async fn receive(mut frames: Streaming<StoreFrame>, waiting: &WaitingReplies) -> String {
    let mut sent = 0;
    loop {
        let idle = waiting.is_empty();
        match timeout(SILENCE, frames.message()).await {
            Ok(Ok(Some(frame))) => {
                if waiting.deliver(frame).is_err() {
                    return "an answer without an end".to_owned();
                }
            }
            Ok(Ok(None)) => return "the master ended the stream".to_owned(),
            Ok(Err(status)) => return status.to_string(),
            Err(_) if idle || waiting.sent() != sent => {}
            Err(_) => return "answers stopped coming".to_owned(),
        }
        sent = waiting.sent();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::*;

    #[tokio::test]
    async fn a_link_that_panics_lets_its_callers_go_and_is_opened_again() {
        let (current, mut seen) = watch::channel(Current::not_there());
        let (frames, _written) = mpsc::channel(1);
        let link = OpenStream {
            frames,
            large: Arc::new(Semaphore::new(1)),
            waiting: Arc::default(),
        };
        let waits = link.waiting.register(1);
        let has_panicked = AtomicBool::new(false);
        let run = || async {
            current.send_replace(Current::Open(link.clone()));
            if !has_panicked.swap(true, Ordering::Relaxed) {
                panic!("as a defect would");
            }
            current.closed().await;
        };
        let others = async {
            assert!(waits.await.is_err(), "it would wait for ever");
            let open = seen.wait_for(|current| current.link().is_some()).await;
            assert!(open.is_ok());
            drop(open);
            assert!(has_panicked.load(Ordering::Relaxed));
            drop(seen);
        };
        tokio::join!(again_after_panics(&current, run), others);
    }
}
