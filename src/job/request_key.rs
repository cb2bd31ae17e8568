//! The key of the jobs that work on one request.

const OF_REQUEST: &str = "request:";

/// Key under which all work on a request runs, one job at a time.
pub fn request_key(request: &str) -> String {
    format!("{OF_REQUEST}{request}")
}

/// The request that jobs of this key work on, if they do.
pub fn request_of(key: &str) -> Option<&str> {
    key.strip_prefix(OF_REQUEST)
}

/// Whether jobs of this key are those of a request.
pub fn is_of_request(key: &str) -> bool {
    request_of(key).is_some()
}
