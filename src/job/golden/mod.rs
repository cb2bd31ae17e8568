//! The golden bytes of everything that is stored or sent, in `tests/golden`: a
//! file for each type, a line for each version and sample. These tests fail
//! when a layout changes without its version, and when a version cannot read
//! what its earlier ones wrote (docs/upgrading.md).

mod sample;

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

use self::sample::{samples, samples_of_json};
use super::{Stored, StoredAsJson, codec};

/// Set it to write the lines of new types and versions.
const WRITE: &str = "WRITE_GOLDEN";

/// The lines of the current version.
fn today<T: Stored>() -> Vec<String> {
    let mut seen = BTreeSet::new();
    let lines = samples::<T>().into_iter().filter_map(|value| {
        let bytes = codec::encode(&value);
        let line = format!("{} {}", T::VERSION, hex::encode(bytes));
        seen.insert(line.clone()).then_some(line)
    });
    lines.collect()
}

fn path(name: &str) -> PathBuf {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    root.join("tests/golden").join(name)
}

fn lines(name: &str) -> Vec<String> {
    let text = fs::read_to_string(path(name)).unwrap_or_default();
    text.lines().map(str::to_owned).collect()
}

/// Writes the lines if [`WRITE`] is set.
fn is_written(name: &str, lines: &[String]) -> bool {
    if std::env::var_os(WRITE).is_none() {
        return false;
    }
    let path = path(name);
    fs::create_dir_all(path.parent().expect("it is in a directory")).expect("a directory");
    fs::write(&path, lines.join("\n") + "\n").expect("the golden file can be written");
    true
}

/// Compares a type that travels only on the link with its golden bytes.
pub(crate) fn check_sent<T: Stored>(name: &str) {
    check_link(name, u32::from(T::VERSION), &today::<T>());
}

/// Compares what the link has under this version. Every line begins with the
/// version.
pub(crate) fn check_link(name: &str, version: u32, today: &[String]) {
    let known = lines(name);
    let is_of_version = |line: &String| line.starts_with(&format!("{version} "));
    if !known.iter().any(is_of_version) && is_written(name, today) {
        return;
    }
    assert_eq!(
        known, today,
        "{name}: what is sent has another layout than version {version} of the link: raise \
         PROTOCOL_VERSION (docs/upgrading.md), and write it with {WRITE}=1"
    );
}

/// Compares a type of JSON rows with its golden lines: those of today are among
/// them, and all of them can be read.
pub(crate) fn check_json<T: StoredAsJson>(name: &str) {
    let name = format!("{name}.jsonl");
    let write = |value: &T| serde_json::to_string(value).expect("plain data becomes JSON");
    let today: BTreeSet<String> = samples_of_json::<T>().iter().map(write).collect();
    let mut known = lines(&name);
    let new = today.iter().filter(|line| !known.contains(line));
    let new: Vec<String> = new.cloned().collect();
    known.extend(new.iter().cloned());
    assert!(
        new.is_empty() || is_written(&name, &known),
        "{name}: rows have another layout than before: see that a release which knows only the \
         golden lines has written rows that this one reads (docs/upgrading.md), and add with \
         {WRITE}=1: {new:?}"
    );
    for line in known {
        let read = serde_json::from_str::<T>(&line);
        assert!(read.is_ok(), "{name}: {line}: {:?}", read.err());
    }
}

/// Compares a type with its golden bytes.
pub(crate) fn check<T: Stored>(name: &str) {
    let of_version = format!("{} ", T::VERSION);
    let (now, before): (Vec<String>, Vec<String>) = lines(name)
        .into_iter()
        .partition(|line| line.starts_with(&of_version));
    let today = today::<T>();
    if now.is_empty() && is_written(name, &[before.clone(), today.clone()].concat()) {
        return;
    }
    assert_eq!(
        now,
        today,
        "{name}: what is stored or sent has another layout than version {}: raise the version \
         (docs/upgrading.md), and write its bytes with {WRITE}=1",
        T::VERSION
    );
    for line in before {
        let (_, bytes) = line
            .split_once(' ')
            .expect("a line has a version and bytes");
        let bytes = hex::decode(bytes).expect("golden bytes are hexadecimal");
        let read = codec::decode::<T>(&bytes);
        assert!(read.is_ok(), "{name}: {line}: {:?}", read.err());
    }
}
