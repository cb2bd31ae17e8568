//! Accepts a call that starts a transaction once, however often the client repeats
//! it: after a 503, a lost answer, a proxy that tries again.
//!
//! The ledger would refuse the second transaction, and the client would hear of
//! success and of failure under one reference id. So the step that accepts a call
//! stores its mark (table `Call`), and a call whose mark exists gets the answer of
//! the first one, without effect. Node, operation, request, reference id and content
//! identify a call: a client may use one reference id for different answers
//! (spec/http-api.md 5).
//!
//! The mark is deleted when the ledger refuses the transaction (the client may try
//! again), otherwise with the request, whose row names its calls.

use openssl::sha::sha256;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::reply::ReplyTo;
use crate::context::Context;
use crate::context::row;
use crate::error::Error;
use crate::job::{Guard, Row, Table, Write};
use crate::store::Accept;

/// Prefix of the columns of a request's row that name its calls.
const COLUMN: &str = "call:";

/// The mark of one call.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CallMark {
    /// Row of the request, in the table of its role.
    request: Row,
    /// Operation and digest.
    name: String,
}

impl CallMark {
    /// `content`: the call without its reference id and URL.
    pub fn new(
        node_id: &str,
        request_id: &str,
        operation: &str,
        reply: &ReplyTo,
        content: &Value,
    ) -> Self {
        let said = json!([reply.reference_id, reply.callback_url, content]).to_string();
        let digest = hex::encode(&sha256(said.as_bytes())[..16]);
        Self {
            request: row(node_id, request_id),
            name: format!("{operation}:{digest}"),
        }
    }

    fn mark(&self) -> Row {
        format!("{}/{}", self.request, self.name)
    }

    /// Lets `accept` take effect only if this call was not accepted before.
    pub fn once(&self, mut accept: Accept) -> Accept {
        let row = self.mark();
        accept.guards.push(Guard::Absent {
            table: Table::Call,
            row: row.clone(),
        });
        let value = self.name.clone().into_bytes();
        accept.writes.push(Write::put(Table::Call, row, value));
        accept
    }

    /// Deletes the mark of a call that failed: the client may make it again.
    pub fn forget(&self) -> Write {
        Write::delete(Table::Call, self.mark())
    }

    /// Keeps the mark of a call that succeeded as long as its request, whose record
    /// is in `table`. Only for jobs under the request's key.
    ///
    /// # Errors
    /// Temporary when the store does not answer.
    pub async fn keep(&self, context: &Context, table: Table) -> Result<Write, Error> {
        let record = context.state.get(table, &self.request, "").await?;
        Ok(match record {
            Some(_) => {
                let column = format!("{COLUMN}{}", self.name);
                Write::put_column(table, &self.request, column, Vec::new())
            }
            // The request has ended: the ledger refuses further calls.
            None => self.forget(),
        })
    }
}

/// Deletes the marks of a request that has ended; its record is in `table`.
///
/// # Errors
/// Temporary when the store does not answer.
pub async fn forget_all(
    context: &Context,
    table: Table,
    request: &str,
) -> Result<Vec<Write>, Error> {
    let columns = context.state.columns(table, request).await?;
    let names = columns
        .iter()
        .filter_map(|(column, _)| column.strip_prefix(COLUMN));
    Ok(names
        .map(|name| Write::delete(Table::Call, format!("{request}/{name}")))
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::context::Role;
    use crate::flows::testing::TestNode;

    fn call(reference_id: &str, content: &Value) -> CallMark {
        let reply = ReplyTo {
            reference_id: reference_id.to_owned(),
            callback_url: "http://client".to_owned(),
        };
        CallMark::new("idp1", "r", "idp_response", &reply, content)
    }

    #[actix::test]
    async fn a_call_is_accepted_once_until_it_came_to_nothing() {
        let node = TestNode::new("idp1", Role::Idp);
        let accepts = |call: &CallMark| node.accept(&call.once(Accept::default()));
        let first = call("one", &json!("yes"));
        assert!(accepts(&first));
        assert!(!accepts(&call("one", &json!("yes"))));
        assert!(accepts(&call("one", &json!("no"))), "something else");
        assert!(accepts(&call("two", &json!("yes"))), "somebody else");
        node.state.apply(&[first.forget()]);
        assert!(accepts(&first));
    }

    #[actix::test]
    async fn a_call_that_succeeded_is_remembered_as_long_as_its_request() {
        let node = TestNode::new("idp1", Role::Idp);
        let (table, request) = (Table::ConsentRequest, row("idp1", "r"));
        let call = call("one", &json!("yes"));
        let put = Write::put(table, &request, b"{}".to_vec());
        node.state.apply(&[put]);
        assert!(node.accept(&call.once(Accept::default())));
        let kept = call.keep(&node.context, table).await.unwrap();
        node.state.apply(&[kept]);
        assert!(!node.accept(&call.once(Accept::default())));
        let mut ended = forget_all(&node.context, table, &request).await.unwrap();
        ended.push(Write::delete(table, &request));
        node.state.apply(&ended);
        assert!(node.accept(&call.once(Accept::default())));
        let late = call.keep(&node.context, table).await.unwrap();
        assert_eq!(late, call.forget(), "nothing brings the request back");
    }
}
