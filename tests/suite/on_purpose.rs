//! Where we mean to differ from the recorded system. Each entry has its reason in
//! docs/differences.md, under the same name.

use serde_json::json;

use crate::recording::{Record, What};

/// One difference.
pub struct OnPurpose {
    /// Its name in docs/differences.md.
    pub name: &'static str,
    /// What becomes of a record, if it has to do with it; the second are those
    /// after it.
    pub ours: fn(&Record, &[Record]) -> Option<Vec<Record>>,
}

/// All of them.
pub const ON_PURPOSE: &[OnPurpose] = &[
    OnPurpose {
        name: "pending at an IdP",
        ours: no_status_of_the_creation,
    },
    OnPurpose {
        name: "one status for a block",
        ours: last_status_of_a_block,
    },
];

/// The records of an area as they must be with us.
pub fn ours(records: Vec<Record>) -> Vec<Record> {
    let all = records.iter().enumerate();
    let changed = all.flat_map(|(index, record)| {
        let mut table = ON_PURPOSE.iter();
        let changed = table.find_map(|entry| (entry.ours)(record, &records[index + 1..]));
        changed.unwrap_or_else(|| vec![record.clone()])
    });
    changed.collect()
}

/// By chance the recorded system told some IdPs of the block in which a request
/// was made, after the request itself.
fn no_status_of_the_creation(record: &Record, _: &[Record]) -> Option<Vec<Record>> {
    let What::Callback(callback) = &record.what else {
        return None;
    };
    let body = &callback.body;
    let is_it = callback.app.starts_with("idp")
        && body["type"] == "request_status"
        && body["status"] == "pending"
        && body["response_list"] == json!([])
        && body["closed"] == false
        && body["timed_out"] == false;
    is_it.then(Vec::new)
}

/// When an earlier IdP had answered with an error, the recorded system sometimes
/// told the RP of a block twice. The second time it knew the answer's message.
fn last_status_of_a_block(record: &Record, after: &[Record]) -> Option<Vec<Record>> {
    let key = |record: &Record| {
        let What::Callback(callback) = &record.what else {
            return None;
        };
        let is_status = callback.body["type"] == "request_status";
        let of = |name: &str| callback.body[name].clone();
        is_status.then(|| (callback.app.clone(), of("request_id"), of("block_height")))
    };
    let this = key(record)?;
    let mut after = after.iter();
    let is_first = after.any(|later| key(later).as_ref() == Some(&this));
    is_first.then(Vec::new)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recording::areas;

    const DOCUMENT: &str = include_str!("../../docs/differences.md");
    /// Under this heading are those that the recordings show.
    const SHOWN: &str = "## Shown by the recordings";

    #[test]
    fn the_document_has_the_reason_of_each_and_no_other() {
        let (_, section) = DOCUMENT.split_once(SHOWN).unwrap();
        let section = section.split("\n## ").next().unwrap();
        let rows = section.lines().filter_map(|line| line.strip_prefix("| `"));
        let named: Vec<&str> = rows
            .filter_map(|row| Some(row.split_once('`')?.0))
            .collect();
        let table: Vec<&str> = ON_PURPOSE.iter().map(|entry| entry.name).collect();
        assert_eq!(named, table);
    }

    #[test]
    fn each_is_of_some_record() {
        let areas = areas();
        for difference in ON_PURPOSE {
            let is_in = |records: &[Record]| {
                let mut all = records.iter().enumerate();
                all.any(|(index, record)| {
                    (difference.ours)(record, &records[index + 1..]).is_some()
                })
            };
            let somewhere = areas.iter().any(|area| is_in(&area.records));
            assert!(somewhere, "{}", difference.name);
        }
    }
}
