//! Requests and their versions by height (spec/ledger.md 6.1).

use std::sync::Arc;

/// Answer of an IdP.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct IdpResponse {
    pub idp_id: String,
    pub ial: f64,
    pub aal: f64,
    /// `accept`, `reject`, or empty for an error.
    pub status: String,
    pub signature: String,
    pub valid_ial: Option<bool>,
    pub valid_signature: Option<bool>,
    /// 0: not an error.
    pub error_code: i64,
}

/// Answer of an AS.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct AsResponse {
    pub as_id: String,
    pub signed: bool,
    pub received_data: bool,
    /// 0: not an error.
    pub error_code: i64,
}

/// Data wanted of one service.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct DataRequest {
    pub service_id: String,
    pub as_ids: Vec<String>,
    pub min_as: i64,
    pub params_hash: String,
    pub responses: Vec<AsResponse>,
}

/// One version of a request.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Request {
    pub id: String,
    pub mode: i64,
    pub min_idp: i64,
    pub min_aal: f64,
    pub min_ial: f64,
    /// Seconds.
    pub timeout: i64,
    pub idp_ids: Vec<String>,
    pub data_requests: Vec<DataRequest>,
    pub message_hash: String,
    pub responses: Vec<IdpResponse>,
    pub closed: bool,
    pub timed_out: bool,
    /// Empty unless an IdP made the request.
    pub purpose: String,
    pub owner: String,
    /// Times the consent was spent on an identity method.
    pub use_count: i64,
    pub creation_height: i64,
    pub creation_chain_id: String,
    pub request_type: Option<String>,
}

/// The versions of one request, one for each block that changed it.
#[derive(Debug, Clone)]
pub struct RequestHistory {
    first: (i64, Arc<Request>),
    later: Vec<(i64, Arc<Request>)>,
}

impl RequestHistory {
    /// A request created in the block of this height.
    pub fn new(height: i64, request: Request) -> Self {
        Self {
            first: (height, Arc::new(request)),
            later: Vec::new(),
        }
    }

    /// The newest version.
    pub fn latest(&self) -> &Arc<Request> {
        &self.later.last().unwrap_or(&self.first).1
    }

    /// The version a query at this height sees: the newest not above it, or
    /// the first one (spec/ledger.md 5.1).
    pub fn at(&self, height: i64) -> &Arc<Request> {
        let below = self.later.iter().rev().find(|(since, _)| *since <= height);
        &below.unwrap_or(&self.first).1
    }

    /// The version before the block of this height, if there was one.
    pub fn before(&self, height: i64) -> Option<&Arc<Request>> {
        let all = self.later.iter().rev().chain(std::iter::once(&self.first));
        let mut older = all.filter(|(since, _)| *since < height);
        older.next().map(|(_, request)| request)
    }

    /// The version of the block of this height, to change.
    pub fn change(&mut self, height: i64) -> &mut Request {
        let (since, latest) = self.later.last().unwrap_or(&self.first);
        if *since != height {
            let copy = Arc::clone(latest);
            self.later.push((height, copy));
        }
        Arc::make_mut(&mut self.later.last_mut().unwrap_or(&mut self.first).1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_at_a_height_sees_the_version_of_that_height() {
        let mut history = RequestHistory::new(5, Request::default());
        history.change(5).use_count = 1;
        history.change(8).use_count = 2;
        history.change(8).use_count = 3;
        assert_eq!(history.at(4).use_count, 1);
        assert_eq!(history.at(7).use_count, 1);
        assert_eq!(history.at(8).use_count, 3);
        assert_eq!(history.latest().use_count, 3);
        assert_eq!(history.before(8).map(|request| request.use_count), Some(1));
        assert!(history.before(5).is_none());
    }
}
