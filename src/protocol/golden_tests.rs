//! The messages of the link change with its version (docs/upgrading.md).

use super::message::PROTOCOL_VERSION;
use crate::job::golden;

const MESSAGES: &str = include_str!("../../proto/cluster.proto");

#[test]
fn messages_of_the_link_have_a_version() {
    let lines = MESSAGES.lines().map(|line| {
        let code = line.split("//").next().unwrap_or_default();
        code.split_whitespace().collect::<Vec<_>>().join(" ")
    });
    let lines = lines.filter(|line| !line.is_empty());
    let lines: Vec<String> = lines
        .map(|line| format!("{PROTOCOL_VERSION} {line}"))
        .collect();
    golden::check_link("cluster_proto", PROTOCOL_VERSION, &lines);
}
