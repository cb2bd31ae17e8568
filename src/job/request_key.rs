//! The key of the jobs of one request.

const OF_REQUEST: &str = "request:";

/// The key of all work on a request, which runs one job at a time.
pub fn request_key(request: &str) -> String {
    format!("{OF_REQUEST}{request}")
}

/// The request of a key, if it has one.
pub fn request_of(key: &str) -> Option<&str> {
    key.strip_prefix(OF_REQUEST)
}

/// Whether the key belongs to a request.
pub fn is_of_request(key: &str) -> bool {
    request_of(key).is_some()
}
