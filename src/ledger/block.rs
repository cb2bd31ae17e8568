//! A block and its results put together.

use prost::Message;
use serde_json::Value;

use super::rpc::RpcError;
use super::rpc::answers::{BlockBody, TransactionResult};
use super::{Block, BlockTransaction, Inclusion, transaction};
use crate::proto::wire;

/// Joins the body of a block with its results.
///
/// # Errors
/// [`RpcError::Malformed`] when there is not one result per transaction.
pub fn assemble(body: &BlockBody, results: Vec<TransactionResult>) -> Result<Block, RpcError> {
    if body.transactions.len() != results.len() {
        let problem = format!(
            "block {} has {} transactions and {} results",
            body.height,
            body.transactions.len(),
            results.len()
        );
        return Err(RpcError::malformed("block_results", problem));
    }
    let transactions = body
        .transactions
        .iter()
        .zip(results)
        .map(|(bytes, result)| join(body.height, bytes, result))
        .collect();
    Ok(Block {
        chain_id: body.chain_id.clone(),
        height: body.height,
        mark: body.mark.clone(),
        transactions,
        bytes: body.transactions.iter().map(Vec::len).sum(),
    })
}

/// A transaction that is not a `Tx` has no method: whoever made it, it is not ours.
fn join(height: u64, bytes: &[u8], result: TransactionResult) -> BlockTransaction {
    let decoded = wire::Tx::decode(bytes).unwrap_or_default();
    BlockTransaction {
        hash: transaction::hash(bytes),
        method: decoded.method,
        params: serde_json::from_slice(&decoded.params).unwrap_or(Value::Null),
        node_id: decoded.node_id,
        success: result.attribute("success") == Some("true"),
        reference_group_code: result.attribute("reference_group_code").map(str::to_owned),
        inclusion: Inclusion {
            height,
            code: result.code,
            log: result.log,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::Mark;

    fn result(success: &str) -> TransactionResult {
        TransactionResult {
            code: 0,
            log: "success".to_owned(),
            attributes: vec![("success".to_owned(), success.to_owned())],
        }
    }

    #[test]
    fn transactions_are_joined_with_their_results_in_order() {
        let signed = transaction::encode("EndInit", b"{}", &[1; 32], &[2; 64], "ndid1");
        let body = BlockBody {
            chain_id: "chain-a".to_owned(),
            height: 9,
            mark: Mark::default(),
            transactions: vec![signed.bytes, b"rubbish".to_vec()],
        };
        let block = assemble(&body, vec![result("true"), result("false")]).unwrap();
        assert_eq!(block.chain_id, "chain-a");
        assert_eq!(block.transactions[0].hash, signed.hash);
        assert_eq!(block.transactions[0].node_id, "ndid1");
        assert_eq!(block.transactions[0].inclusion.height, 9);
        assert_eq!(block.transactions[1].method, "");
        assert_eq!(block.successful().count(), 1);
    }

    #[test]
    fn a_missing_result_is_not_guessed() {
        let body = BlockBody {
            chain_id: "chain-a".to_owned(),
            height: 9,
            mark: Mark::default(),
            transactions: vec![vec![]],
        };
        assert!(assemble(&body, Vec::new()).is_err());
    }
}
