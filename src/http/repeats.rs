//! A call whose client waits, made again after its connection broke. The client has
//! no name for the call, so its content identifies it. While nobody has got the
//! answer of the first call, the same call gets that answer, and nothing is done
//! twice.
//!
//! A mark (table `Call`) names the first call. The step that accepts the call stores
//! it, and it is deleted with the answer, when a client takes that or it expires. A
//! call whose client still waits in this process is not abandoned: the same call is
//! then another one.

use openssl::sha::sha256;
use serde_json::Value;

use super::waiting::WaitingCalls;
use crate::api::REPEAT;
use crate::context::row;
use crate::error::Error;
use crate::job::{Caller, Row, Table, Write};
use crate::store::{Accept, State};

/// Identifies calls of the same content.
pub(super) struct RepeatedCall {
    mark: Row,
}

impl RepeatedCall {
    /// Identifies a call to this path, with this body, for this node.
    pub fn of(node_id: &str, path: &str, body: &Value) -> Self {
        let digest = sha256(format!("{path} {body}").as_bytes());
        Self {
            mark: row(node_id, &format!("waits/{}", hex::encode(digest))),
        }
    }

    /// The first such call, if its client is gone and nobody has got its answer.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn abandoned(
        &self,
        waiting: &WaitingCalls,
        state: &dyn State,
    ) -> Result<Option<Caller>, Error> {
        let first = state.get(Table::Call, &self.mark, "").await?;
        let first = first.and_then(|row| Caller::of_row(&String::from_utf8(row).ok()?));
        let Some(first) = first.filter(|first| !waiting.is_open(first)) else {
            return Ok(None);
        };
        // The answer is gone: it was taken or expired.
        let is_kept = state.get(Table::Answer, &first.row(), REPEAT).await?;
        Ok(is_kept.map(|_| first))
    }

    /// Adds a mark that this call is the first.
    pub fn note(&self, caller: &Caller, accept: &mut Accept) {
        let row = caller.row();
        let mark = self.mark.clone();
        let said = mark.clone().into_bytes();
        accept.writes.extend([
            Write::put_column(Table::Answer, &row, REPEAT, said),
            Write::put(Table::Call, mark, row.into_bytes()),
        ]);
    }
}
