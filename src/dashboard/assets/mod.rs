//! The files that pages load. They are in the binary.

use super::reply::Reply;

const STYLE: &str = include_str!("style.css");
const SCRIPT: &str = include_str!("live.js");

/// A file, if there is one of this name.
pub(super) fn file(name: &str) -> Option<Reply> {
    match name {
        "style.css" => Some(Reply::asset("text/css; charset=utf-8", STYLE)),
        "live.js" => Some(Reply::asset("text/javascript; charset=utf-8", SCRIPT)),
        _ => None,
    }
}
