//! Cuts calls and answers into frames, so that a large one neither holds up the
//! small ones behind it nor has to fit into a gRPC message.

use std::collections::HashMap;

use bytes::{Bytes, BytesMut};

use crate::proto::cluster::StoreFrame;

/// Most bytes of content in a frame.
pub(super) const FRAME_BYTES: usize = 256 * 1024;

/// The frames of one call or answer: at least one.
pub(super) fn cut(id: u64, content: Bytes) -> impl Iterator<Item = StoreFrame> + Send {
    let mut left = Some(content);
    std::iter::from_fn(move || {
        let mut content = left.take()?;
        if content.len() > FRAME_BYTES {
            left = Some(content.split_off(FRAME_BYTES));
        }
        Some(StoreFrame {
            id,
            content,
            more: left.is_some(),
        })
    })
}

/// The part of a call or answer that has arrived.
#[derive(Debug, Default)]
pub(super) struct PartialCall(BytesMut);

/// A call or answer is longer than allowed.
#[derive(Debug)]
pub(super) struct Overlong;

impl PartialCall {
    /// Bytes that have arrived.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Adds a frame. Returns the content after the last one.
    pub fn add(&mut self, frame: StoreFrame, most: usize) -> Result<Option<Bytes>, Overlong> {
        if self.0.len() + frame.content.len() > most {
            return Err(Overlong);
        }
        // Nearly all arrive in one frame.
        if self.0.is_empty() && !frame.more {
            return Ok(Some(frame.content));
        }
        self.0.extend_from_slice(&frame.content);
        Ok((!frame.more).then(|| std::mem::take(&mut self.0).freeze()))
    }
}

/// The unfinished calls of one stream. Each has one of the caller's turns, so
/// there are few.
#[derive(Debug, Default)]
pub(super) struct PartialCalls(HashMap<u64, PartialCall>);

impl PartialCalls {
    /// Adds a frame. Returns id and content of the call after the last one.
    pub fn add(
        &mut self,
        frame: StoreFrame,
        most: usize,
    ) -> Result<Option<(u64, Bytes)>, Overlong> {
        let (id, more) = (frame.id, frame.more);
        let mut part = self.0.remove(&id).unwrap_or_default();
        let whole = part.add(frame, most)?;
        if more {
            self.0.insert(id, part);
        }
        Ok(whole.map(|content| (id, content)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn content(length: usize) -> Bytes {
        (0..length).map(|n| (n % 251) as u8).collect()
    }

    #[test]
    fn whatever_is_cut_is_put_together_again() {
        for length in [0, 1, FRAME_BYTES, FRAME_BYTES + 1, 3 * FRAME_BYTES + 7] {
            let frames: Vec<_> = cut(9, content(length)).collect();
            assert_eq!(frames.len(), length.div_ceil(FRAME_BYTES).max(1));
            let mut parts = PartialCalls::default();
            let mut whole = None;
            for frame in frames {
                assert_eq!(whole, None);
                whole = parts.add(frame, usize::MAX).unwrap();
            }
            assert_eq!(whole, Some((9, content(length))));
            assert!(parts.0.is_empty());
        }
    }

    #[test]
    fn frames_of_several_calls_may_be_mixed() {
        let of = |id| cut(id, content(2 * FRAME_BYTES));
        let mut parts = PartialCalls::default();
        let mut whole = Vec::new();
        for (one, two) in of(1).zip(of(2)) {
            for frame in [one, two] {
                whole.extend(parts.add(frame, usize::MAX).unwrap());
            }
        }
        let content = content(2 * FRAME_BYTES);
        assert_eq!(whole, [(1, content.clone()), (2, content)]);
    }

    #[test]
    fn a_call_that_goes_on_for_ever_is_refused() {
        let most = FRAME_BYTES + 1;
        let mut parts = PartialCalls::default();
        let added: Vec<_> = cut(1, content(3 * FRAME_BYTES))
            .map(|frame| parts.add(frame, most).is_ok())
            .collect();
        assert_eq!(added[..2], [true, false]);
    }
}
