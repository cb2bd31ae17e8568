//! The master's end of the stream.

use futures_util::{Stream, StreamExt};
use tonic::{Status, Streaming};

use super::{Call, MESSAGE_BYTES, Reply, answer};
use crate::job::codec;
use crate::proto::cluster::{StoreCall, StoreReply};
use crate::store::{SharedStore, StoreError};

/// Calls of one stream that are worked on at a time; further ones wait in the
/// stream, which slows the worker down.
const AT_ONCE: usize = 256;
/// What a message needs beside its payload.
const FRAME_BYTES: usize = 1024;

/// Answers the calls of one worker, in any order, until its stream ends. The
/// caller sets [`MESSAGE_BYTES`] on its `ClusterServer`.
pub fn serve_stream(
    store: SharedStore,
    incoming: Streaming<StoreCall>,
) -> impl Stream<Item = Result<StoreReply, Status>> + Send + 'static {
    incoming
        .map(move |call| {
            let store = SharedStore::clone(&store);
            async move {
                let StoreCall { id, call } = call?;
                let reply = reply_to(store, &call).await;
                Ok(StoreReply {
                    id,
                    reply: reply.into(),
                })
            }
        })
        .buffer_unordered(AT_ONCE)
}

async fn reply_to(store: SharedStore, call: &[u8]) -> Vec<u8> {
    let reply = match codec::decode::<Call>(call) {
        Ok(call) => answer(&*store, call).await,
        Err(error) => Reply::Failed(StoreError::Corrupt(format!("call of a worker: {error}"))),
    };
    let bytes = codec::encode(&reply);
    match bytes.len() + FRAME_BYTES > MESSAGE_BYTES {
        true => codec::encode(&Reply::TooLarge),
        false => bytes,
    }
}
