//! The recordings: what a client and the nodes of a real network said
//! (recordings/README.md).

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;

use flate2::read::GzDecoder;
use serde_json::Value;

/// A call and its answer, or a callback and what the client answered.
#[derive(Debug, Clone)]
pub struct Record {
    /// `<area>/<number>`.
    pub scenario: String,
    /// Order of beginning over all files.
    pub seq: u64,
    /// Which of the two, and what was said.
    pub what: What,
}

/// What was said.
#[derive(Debug, Clone)]
pub enum What {
    Call(Call),
    Callback(Callback),
}

/// A client's call.
#[derive(Debug, Clone)]
pub struct Call {
    pub node: String,
    pub method: String,
    pub path: String,
    pub request: Value,
    pub status: u16,
    pub response: Value,
}

/// A node's callback.
#[derive(Debug, Clone)]
pub struct Callback {
    /// Whose listener it was.
    pub app: String,
    pub method: String,
    pub path: String,
    pub content_type: Option<String>,
    pub body: Value,
    /// Status and body of the client's answer.
    pub answered_status: u16,
    pub answered: Value,
}

/// The records of one file, in order.
pub struct Area {
    /// Name of the file without its endings.
    pub name: String,
    pub records: Vec<Record>,
}

fn folder() -> PathBuf {
    PathBuf::from(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/tests/suite/recordings"
    ))
}

/// Every file, in the order in which they were recorded.
pub fn areas() -> Vec<Area> {
    let files = std::fs::read_dir(folder()).unwrap();
    let mut paths: Vec<PathBuf> = files
        .map(|file| file.unwrap().path())
        .filter(|path| path.extension().is_some_and(|ending| ending == "gz"))
        .collect();
    paths.sort();
    paths.into_iter().map(area).collect()
}

fn area(path: PathBuf) -> Area {
    let name = path.file_name().unwrap().to_str().unwrap();
    let name = name.strip_suffix(".jsonl.gz").unwrap().to_owned();
    let lines = BufReader::new(GzDecoder::new(File::open(&path).unwrap())).lines();
    let mut records: Vec<Record> = lines
        .map(|line| record(&serde_json::from_str(&line.unwrap()).unwrap()))
        .collect();
    records.sort_by_key(|record| record.seq);
    Area { name, records }
}

fn record(value: &Value) -> Record {
    let text = |name: &str| value[name].as_str().unwrap_or_default().to_owned();
    let status = |value: &Value| value.as_u64().unwrap() as u16;
    let what = match value["kind"].as_str() {
        Some("call") => What::Call(Call {
            node: text("node"),
            method: text("method"),
            path: text("path"),
            request: written_out(&value["request"]),
            status: status(&value["status"]),
            response: written_out(&value["response"]),
        }),
        Some("callback") => What::Callback(Callback {
            app: text("app"),
            method: text("method"),
            path: text("path"),
            content_type: value["headers"]["content-type"].as_str().map(str::to_owned),
            body: written_out(&value["body"]),
            answered_status: status(&value["answered"]["status"]),
            answered: written_out(&value["answered"]["body"]),
        }),
        other => panic!("a record of kind {other:?}"),
    };
    Record {
        scenario: text("scenario"),
        seq: value["seq"].as_u64().unwrap(),
        what,
    }
}

/// Long texts are recorded as `{"$repeat": "x", "times": n}` and `{"$text":
/// "beginning", "length": n}`.
fn written_out(value: &Value) -> Value {
    match value {
        Value::Object(members) => match long_text(value) {
            Some(text) => Value::String(text),
            None => {
                let members = members.iter();
                let members = members.map(|(name, value)| (name.clone(), written_out(value)));
                Value::Object(members.collect())
            }
        },
        Value::Array(items) => items.iter().map(written_out).collect(),
        other => other.clone(),
    }
}

fn long_text(value: &Value) -> Option<String> {
    if let Some(text) = value["$repeat"].as_str() {
        return Some(text.repeat(value["times"].as_u64()? as usize));
    }
    let (text, length) = (value["$text"].as_str()?, value["length"].as_u64()? as usize);
    Some(text.chars().cycle().take(length).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn every_record_of_every_file_is_read() {
        let areas = areas();
        let count = |is: fn(&What) -> bool| {
            let records = areas.iter().flat_map(|area| &area.records);
            records.filter(|record| is(&record.what)).count()
        };
        assert_eq!(areas.len(), 42);
        assert_eq!(count(|what| matches!(what, What::Call(_))), 2502);
        assert_eq!(count(|what| matches!(what, What::Callback(_))), 3563);
    }

    #[test]
    fn long_texts_are_written_out() {
        let short =
            json!({"a": [{"$repeat": "ab", "times": 2}], "b": {"$text": "xyz", "length": 5}});
        assert_eq!(written_out(&short), json!({"a": ["abab"], "b": "xyzxy"}));
    }
}
