//! The one error type that leaves the node: as an HTTP answer, or as `error`
//! in a callback (spec/http-api.md 1.5).

pub mod codes;

use serde_json::{Value, json};

/// Who caused an error, which decides the HTTP status.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// `CLIENT_HTTP_ERROR_CODE`, 400 by default.
    Client,
    /// `SERVER_HTTP_ERROR_CODE`, 500 by default.
    Server,
    /// Always 403.
    Forbidden,
}

/// A row of the table in [`codes`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Code {
    /// The number clients compare.
    pub number: u32,
    /// The default message.
    pub message: &'static str,
    pub fault: Fault,
}

/// An error as clients see it. Whether it is final is not decided yet
/// ([`Error::settle`]).
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("{message} ({code})", code = code.number)]
pub struct Error {
    code: Code,
    message: String,
    details: Option<Box<Value>>,
    temporary: bool,
    unreadable: bool,
    of_crypto_service: bool,
}

impl Error {
    /// An error with another message than the code's.
    pub fn with_message(code: Code, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
            details: None,
            temporary: false,
            unreadable: false,
            of_crypto_service: false,
        }
    }

    /// Adds `details`, the sibling of `error` in HTTP answers (codes 20002, 20003, 20059).
    pub fn with_details(mut self, details: Value) -> Self {
        self.details = Some(Box::new(details));
        self
    }

    /// Marks a failure that may pass: a ledger, store or crypto service that
    /// could not be reached. Jobs that meet one run again later.
    pub fn temporary(mut self) -> Self {
        self.temporary = true;
        self
    }

    /// Whether trying again later can help.
    pub fn is_temporary(&self) -> bool {
        self.temporary
    }

    /// Marks that an external crypto service could not be reached. Such a
    /// failure has its own back-off and time limit
    /// ([`crate::delivery::crypto_service`]).
    pub fn of_crypto_service(mut self) -> Self {
        self.of_crypto_service = true;
        self
    }

    /// Whether an external crypto service could not be reached.
    pub fn is_of_crypto_service(&self) -> bool {
        self.of_crypto_service
    }

    /// Marks that stored bytes cannot be decoded. Trying again does not help,
    /// but a later release or an operator may. Jobs that meet it are parked.
    pub fn unreadable(mut self) -> Self {
        self.unreadable = true;
        self
    }

    pub fn is_unreadable(&self) -> bool {
        self.unreadable
    }

    /// Whether this error is final. `Err`: it is not, and must be passed on, so
    /// that the job is tried again or parked.
    /// # Errors
    /// Itself, when it may pass or when stored bytes cannot be decoded.
    pub fn settle(self) -> Result<Refusal, Error> {
        match self.temporary || self.unreadable {
            true => Err(self),
            false => Ok(Refusal(self)),
        }
    }

    pub fn code(&self) -> Code {
        self.code
    }

    pub fn message(&self) -> &str {
        &self.message
    }

    /// The `details` of an HTTP answer.
    pub fn details(&self) -> Option<&Value> {
        self.details.as_deref()
    }

    /// `{code, message}`, the `error` member of answers and callbacks.
    pub fn to_json(&self) -> Value {
        json!({"code": self.code.number, "message": self.message})
    }
}

impl From<Code> for Error {
    fn from(code: Code) -> Self {
        Self {
            code,
            message: code.message.to_owned(),
            details: None,
            temporary: false,
            unreadable: false,
            of_crypto_service: false,
        }
    }
}

/// A final failure: trying again does not help, and no stored bytes are
/// damaged. Whatever ends work, or reports its end, takes one of these, so that
/// no handler gives up work that only waits, or that an operator can mend.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error(transparent)]
pub struct Refusal(Error);

impl Refusal {
    /// The ledger's refusal of a transaction, under the ledger's number.
    pub fn of_ledger(number: u32, message: impl Into<String>) -> Self {
        let known = codes::ALL.iter().find(|code| code.number == number);
        let code = known.copied().unwrap_or(Code {
            number,
            message: "",
            fault: Fault::Server,
        });
        Self(Error::with_message(code, message))
    }

    /// With another message than the code's.
    pub fn with_message(code: Code, message: impl Into<String>) -> Self {
        Self(Error::with_message(code, message))
    }
}

impl std::ops::Deref for Refusal {
    type Target = Error;

    fn deref(&self) -> &Error {
        &self.0
    }
}

impl From<Code> for Refusal {
    fn from(code: Code) -> Self {
        Self(code.into())
    }
}

impl From<Refusal> for Error {
    fn from(refusal: Refusal) -> Self {
        refusal.0
    }
}

/// Tells a final result, good or bad, from one that is not final
/// ([`Error::settle`]).
/// # Errors
/// Those that may pass, and those of stored bytes that cannot be decoded.
pub fn settled<T>(result: Result<T, Error>) -> Result<Result<T, Refusal>, Error> {
    match result {
        Ok(value) => Ok(Ok(value)),
        Err(error) => error.settle().map(Err),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_final_can_be_told() {
        let error = || Error::from(codes::DB_ERROR);
        assert_eq!(error().settle(), Ok(Refusal(error())));
        assert!(error().temporary().settle().is_err());
        assert!(error().unreadable().settle().is_err());
    }

    #[test]
    fn ledger_codes_map_to_api_codes() {
        assert_eq!(codes::from_abci(8).number, 25002);
        assert_eq!(codes::from_abci(91).number, 15011);
        assert_eq!(codes::from_abci(999).number, 10000);
        assert_eq!(codes::from_abci(12345).number, 10006);
    }

    #[test]
    fn api_codes_map_back_to_ledger_codes() {
        assert_eq!(codes::to_abci(25057), Some(88));
        assert_eq!(codes::to_abci(15011), Some(30), "of several the first");
        assert_eq!(codes::to_abci(20003), None, "no code of the ledger");
    }

    /// Clients read them; what only developers understand is for the documents.
    #[test]
    fn every_message_says_what_was_wrong() {
        for code in codes::ALL {
            let text = code.message;
            for note in [
                "not raised",
                "defined",
                "maps to",
                "unmapped",
                "ABCI",
                "≠",
                "Tx ",
            ] {
                assert!(!text.contains(note), "{}: {text}", code.number);
            }
            let begins_well = text.starts_with(|first: char| first.is_uppercase() || first == '"');
            assert!(begins_well && text.contains(' '), "{}: {text}", code.number);
        }
    }

    #[test]
    fn every_number_appears_once_but_the_shared_one() {
        let mut numbers: Vec<u32> = codes::ALL.iter().map(|code| code.number).collect();
        numbers.sort_unstable();
        let before = numbers.len();
        numbers.dedup();
        assert_eq!(before, numbers.len());
    }
}
