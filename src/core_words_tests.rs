//! The core serves any application: its source has no word of this one.

use std::fs;
use std::path::{Path, PathBuf};

use crate::flows;

const CORE: [&str; 8] = [
    "job",
    "store",
    "actors",
    "cluster",
    "protocol",
    "dispatch",
    "invariants",
    "simulation",
];

/// What the core's own unit tests are given of the application, file by file.
const KNOWN: [(&str, &str); 2] = [
    ("job/kinds.rs", "node::kinds"),
    ("job/tables.rs", "crate::tables"),
];

/// Words of the application, as they stand in its names and comments.
const WORDS: [&str; 10] = [
    "ndid",
    "idp",
    "rp",
    "ases",
    "as_::",
    "flows::",
    "request_id",
    "consent",
    "mq::",
    "delivery::",
];

fn sources(directory: &Path, found: &mut Vec<PathBuf>) {
    let entries = fs::read_dir(directory).expect("the source is there");
    for entry in entries {
        let path = entry.expect("the source can be read").path();
        if path.is_dir() {
            sources(&path, found);
        } else {
            found.push(path);
        }
    }
}

/// Whether the text has the word, not as part of a longer one.
fn has_word(text: &str, word: &str) -> bool {
    let is_part = |character: char| character.is_ascii_alphanumeric();
    text.match_indices(word).any(|(at, _)| {
        let (before, after) = (&text[..at], &text[at + word.len()..]);
        let ends_open = word.ends_with(is_part);
        let goes_on = ends_open && after.starts_with(is_part);
        !before.ends_with(is_part) && !goes_on
    })
}

#[test]
fn the_core_has_no_word_of_the_application() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    for room in CORE {
        sources(&root.join(room), &mut files);
    }
    let kinds: Vec<&str> = flows::kinds::all().map(|kind| kind.name()).collect();
    let words = WORDS
        .iter()
        .chain(&kinds)
        .chain(&["node::kinds", "crate::tables"]);
    let words: Vec<&str> = words.copied().collect();
    let mut found = Vec::new();
    for file in files {
        let name = file.strip_prefix(&root).expect("below the root");
        let name = name.to_str().expect("names are ASCII").to_owned();
        let text = fs::read_to_string(&file).expect("the source is text");
        let text = text.to_lowercase();
        let has = words.iter().filter(|word| has_word(&text, word));
        found.extend(has.map(|word| (name.clone(), *word)));
    }
    found.sort();
    let found: Vec<(&str, &str)> = found
        .iter()
        .map(|(name, word)| (&name[..], *word))
        .collect();
    let mut known = KNOWN;
    known.sort();
    assert_eq!(found, known);
}

#[test]
fn words_are_found_whole() {
    assert!(has_word("the rp_id of", "rp"));
    assert!(!has_word("a grpc call", "rp"));
    assert!(has_word("crate::mq::client", "mq::"));
    assert!(!has_word("bench_as_is", "was_"));
}
