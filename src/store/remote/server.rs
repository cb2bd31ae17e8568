//! The master's end of the stream.

use std::future::ready;

use bytes::Bytes;
use futures_util::{Stream, StreamExt, stream};
use tonic::{Status, Streaming};

use super::frame::{Overlong, PartialCalls, cut};
use super::{ANSWER_BYTES, CALL_BYTES, RemoteCall, RemoteReply, answer};
use crate::job::codec;
use crate::proto::cluster::StoreFrame;
use crate::store::{SharedStore, StoreError};

/// Most calls of one stream in progress. Further ones wait in the stream, which
/// slows the worker down.
const AT_ONCE: usize = 256;
/// Answers that share the way back: frames of small ones pass between those of
/// large ones.
const ON_THE_WAY: usize = 16;

/// Answers the calls of one worker, in any order, until its stream ends.
pub fn serve_stream(
    store: SharedStore,
    incoming: Streaming<StoreFrame>,
) -> impl Stream<Item = Result<StoreFrame, Status>> + Send + 'static {
    let mut parts = PartialCalls::default();
    let mut take = move |frame: Result<StoreFrame, Status>| match frame {
        Ok(frame) => match parts.add(frame, CALL_BYTES) {
            Ok(call) => call.map(Ok),
            Err(Overlong) => Some(Err(Status::resource_exhausted("a call without an end"))),
        },
        Err(status) => Some(Err(status)),
    };
    incoming
        .filter_map(move |frame| ready(take(frame)))
        .map(move |call| {
            let store = SharedStore::clone(&store);
            async move {
                let (id, call) = call?;
                Ok((id, reply_to(store, &call).await))
            }
        })
        .buffer_unordered(AT_ONCE)
        .flat_map_unordered(ON_THE_WAY, |answer| {
            let frames: Vec<_> = match answer {
                Ok((id, content)) => cut(id, content).map(Ok).collect(),
                Err(status) => vec![Err(status)],
            };
            stream::iter(frames)
        })
}

async fn reply_to(store: SharedStore, call: &[u8]) -> Bytes {
    let reply = match codec::decode::<RemoteCall>(call) {
        Ok(call) => answer(&*store, call).await,
        Err(error) => {
            RemoteReply::Failed(StoreError::Corrupt(format!("call of a worker: {error}")))
        }
    };
    let bytes = codec::encode(&reply);
    match bytes.len() > ANSWER_BYTES {
        true => codec::encode(&RemoteReply::TooLarge).into(),
        false => bytes.into(),
    }
}
