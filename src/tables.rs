//! The tables of a node's state. Rows that belong to one node behind a proxy
//! start with its id (see `context::state`).

use crate::job::{Table, Tables};

macro_rules! tables {
    ($($(#[$doc:meta])* $name:ident = $table:expr;)*) => {
        #[allow(non_upper_case_globals)]
        impl Table {
            $($(#[$doc])* pub const $name: Table = $table;)*

            /// Every table of a node, the core's own included.
            pub const ALL: &[Table] = &[$(Table::$name,)* Table::Answer, Table::Receiver];
        }
    };
}

tables! {
    /// RP: what the client asked and how far it has come, by request id. IdP: the
    /// same of its requests for consent to identity operations. All rows are
    /// asked for when the ledger was replaced.
    RequestData = Table::new(0, "request_data").indexed();
    /// RP: request id by reference id, while the request lives. IdP: identity
    /// operation by reference id, while it goes on, and its request for consent.
    RequestReference = Table::new(1, "request_reference");
    /// RP: data from ASes that is not yet acknowledged on the ledger.
    PendingAsData = Table::new(2, "pending_as_data");
    /// RP: acknowledged data; a column per AS and service.
    AsData = Table::new(3, "as_data");
    /// IdP: the consent request received, by request id. All rows are asked for
    /// when the ledger was replaced.
    ConsentRequest = Table::new(4, "consent_request").indexed();
    /// AS: the data request received, by request id. All rows are asked for when
    /// the ledger was replaced.
    DataRequest = Table::new(5, "data_request").indexed();
    /// AS: RP of a data request that waits for an answer; a column per service.
    PendingDataRequest = Table::new(6, "pending_data_request");
    /// AS: the packed answer until it is on the ledger and handed to the RP.
    DataAnswer = Table::new(7, "data_answer");
    /// Callback URLs set by the client applications, by role; a column per URL.
    CallbackUrl = Table::new(8, "callback_url");
    /// AS: callback URL of each service; a column per service.
    ServiceUrl = Table::new(9, "service_url");
    /// Every message received and sent, by request id, in order.
    PrivateMessage = Table::new(10, "private_message");
    /// Transactions whose outcome is not known yet, by hash (lower-case hex). All
    /// rows are asked for every half minute.
    ExpectedTransaction = Table::new(11, "expected_transaction").indexed();
    /// Transactions to be signed anew once the chain takes them again. All rows
    /// are asked for at every reconnect of the ledger.
    DisabledTransaction = Table::new(12, "disabled_transaction").indexed();
    /// Calls of clients that must be accepted once only, by their content
    /// (`flows::call_mark`).
    Call = Table::new(13, "call");
    /// How far the ledger has been followed.
    Progress = Table::new(14, "progress");
}

/// All tables, to be given once per process.
/// # Panics
/// If two of them cannot be told apart. A test would have found that.
pub fn all() -> Tables {
    let own = Table::ALL
        .iter()
        .filter(|table| !Table::OWN.contains(table));
    Tables::new(own.copied()).expect("tables have numbers and names of their own")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Stored and sent: a number is never changed and never used again.
    const NAMES: [&str; 17] = [
        "request_data",
        "request_reference",
        "pending_as_data",
        "as_data",
        "consent_request",
        "data_request",
        "pending_data_request",
        "data_answer",
        "callback_url",
        "service_url",
        "private_message",
        "expected_transaction",
        "disabled_transaction",
        "call",
        "progress",
        "answer",
        "receiver",
    ];

    #[test]
    fn tables_keep_their_numbers() {
        let tables = all();
        for (number, name) in (0..).zip(NAMES) {
            assert_eq!(tables.with_number(number).map(Table::name), Some(name));
        }
        assert_eq!(tables.all().count(), NAMES.len());
    }
}
