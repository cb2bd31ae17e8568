//! A call whose client waits, made again after its connection broke. The client
//! has no name for the call, so it is known by what it says: as long as nobody
//! has been told what became of the first one, the same call is answered with
//! that, and nothing is done twice.
//!
//! A mark (table `Call`) says which call was the first. It is stored with what the
//! call leads to, and goes with the answer, when that is taken or expires. A call
//! whose client still waits in this process is not abandoned, and the same again
//! is another one.

use openssl::sha::sha256;
use serde_json::Value;

use super::waiting::Waiting;
use crate::api::REPEAT;
use crate::context::row;
use crate::error::Error;
use crate::job::{Caller, Row, Table, Write};
use crate::store::{Accept, State};

/// How calls are known that say the same.
pub(super) struct Repeat {
    mark: Row,
}

impl Repeat {
    /// Of a call to this path, with this body, for this node.
    pub fn of(node_id: &str, path: &str, body: &Value) -> Self {
        let digest = sha256(format!("{path} {body}").as_bytes());
        Self {
            mark: row(node_id, &format!("waits/{}", hex::encode(digest))),
        }
    }

    /// The first such call, if its client is gone and nobody has been told what
    /// became of it.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn abandoned(
        &self,
        waiting: &Waiting,
        state: &dyn State,
    ) -> Result<Option<Caller>, Error> {
        let first = state.get(Table::Call, &self.mark, "").await?;
        let first = first.and_then(|row| Caller::of_row(&String::from_utf8(row).ok()?));
        let Some(first) = first.filter(|first| !waiting.is_open(first)) else {
            return Ok(None);
        };
        // Taken or expired, it says nothing any more.
        let is_kept = state.get(Table::Answer, &first.row(), REPEAT).await?;
        Ok(is_kept.map(|_| first))
    }

    /// Notes a call as the first.
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
