//! Joins a block with its results.

use prost::Message;

use super::rpc::RpcError;
use super::rpc::answers::{BlockBody, TransactionResult};
use super::{Block, BlockTransaction, Inclusion, transaction};
use crate::proto::wire;
use crate::pulse;

/// Joins the body of a block with its results.
///
/// # Errors
/// [`RpcError::Malformed`] when there is not one result per transaction.
pub fn assemble(body: &BlockBody, results: Vec<TransactionResult>) -> Result<Block, RpcError> {
    pulse::keep_off("reading a block");
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

/// Bytes that are not a `Tx` have no method. They are not ours.
fn join(height: u64, bytes: &[u8], result: TransactionResult) -> BlockTransaction {
    let decoded = wire::Tx::decode(bytes).unwrap_or_default();
    BlockTransaction {
        hash: transaction::hash(bytes),
        method: decoded.method,
        params: decoded.params,
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
    fn of_the_parameters_only_what_is_asked_for_is_read() {
        let of = |params: &[u8]| {
            let signed = transaction::encode("EndInit", params, &[1; 32], &[2; 64], "ndid1");
            join(9, &signed.bytes, result("true"))
        };
        let transaction = of(br#"{"values":[0,0],"request_id":"r","block_height":-1}"#);
        assert_eq!(
            transaction.param::<String>("request_id").as_deref(),
            Some("r")
        );
        assert_eq!(transaction.param::<i64>("block_height"), Some(-1));
        assert_eq!(transaction.param::<String>("block_height"), None);
        assert_eq!(transaction.param::<String>("as_id"), None);
        assert_eq!(of(b"rubbish").param::<String>("request_id"), None);
        // Kept as text, because its values would take many times the memory.
        let zeros = format!(r#"{{"request_id":"r","values":[{}0]}}"#, "0,".repeat(1000));
        assert_eq!(of(zeros.as_bytes()).params.len(), zeros.len());
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
