//! Words that the glossary says we do not use (docs/glossary.md).

use std::fs;
use std::path::{Path, PathBuf};

/// Texts that are written by us; the specification is not looked at.
const PLACES: &[&str] = &["src", "tests", "docs", "deploy", "proto", "README.md"];
const KINDS: &[&str] = &["rs", "md", "proto", "yaml", "yml", "conf"];
/// Names of programs of others.
const NAMES: &[&str] = &["cert-manager"];
const GLOSSARY: &str = "docs/glossary.md";

fn banned(glossary: &str) -> Vec<String> {
    let (_, table) = glossary.split_once("| not | but |").unwrap();
    let rows = table.lines().filter_map(|line| line.strip_prefix("| "));
    let rows = rows.filter_map(|row| row.split(" | ").next());
    let words = rows.flat_map(|cell| cell.split(", "));
    words.map(|word| word.trim().to_owned()).collect()
}

fn texts(place: &Path, found: &mut Vec<PathBuf>) {
    if place.ends_with("docs/spec") || place.ends_with(GLOSSARY) {
        return;
    }
    if place.is_dir() {
        for entry in fs::read_dir(place).unwrap() {
            texts(&entry.unwrap().path(), found);
        }
    } else if place
        .extension()
        .is_some_and(|kind| KINDS.iter().any(|known| kind == *known))
    {
        found.push(place.to_owned());
    }
}

/// Whether a line has the word as a whole.
fn has(line: &str, word: &str) -> bool {
    let is_part = |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() || c == '_');
    line.match_indices(word).any(|(start, _)| {
        !is_part(line[..start].chars().next_back())
            && !is_part(line[start + word.len()..].chars().next())
    })
}

/// Whether the word is in a line, or begins in it and ends in the next one.
fn begins_in(line: &str, next: &str, word: &str) -> bool {
    let next = next.trim_start().trim_start_matches(['/', '!', '#', '|']);
    let next = next.trim_start();
    has(line, word) || (has(&format!("{line} {next}"), word) && !has(next, word))
}

/// Every text that is written by us.
fn all_texts() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut found = Vec::new();
    PLACES
        .iter()
        .for_each(|place| texts(&root.join(place), &mut found));
    let count = found.len();
    assert!(count > 300, "the texts were not found: {count}");
    found
}

/// The prose of a line: a comment without its marks, or a line of a document.
fn prose(line: &str, is_code: bool) -> &str {
    let line = line.trim_start();
    match is_code {
        true if !line.starts_with("//") => "",
        true => line.trim_start_matches(['/', '!', ' ']),
        false => line,
    }
}

/// Whether a sentence begins in the line with "Of" and has its subject behind a
/// comma: "Of a longer head, the rest ..." instead of "The rest of a longer head".
fn is_inverted(line: &str, next: &str) -> bool {
    let text = format!("{line} {next}");
    let starts = text.match_indices("Of ").map(|(start, _)| start);
    starts.filter(|start| *start < line.len()).any(|start| {
        let before = &line[..start];
        let begins = before.is_empty() || before.ends_with(". ") || before.ends_with("** ");
        let sentence = text[start..].split(". ").next().unwrap_or_default();
        let subjects = [", the ", ", those ", ", one ", ", only "];
        begins && subjects.iter().any(|subject| sentence.contains(subject))
    })
}

#[test]
fn no_sentence_begins_with_of_and_has_its_subject_behind_a_comma() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut left = Vec::new();
    for path in all_texts() {
        let text = fs::read_to_string(&path).unwrap();
        let is_code = path.extension().is_some_and(|kind| kind == "rs");
        let lines: Vec<&str> = text.lines().map(|line| prose(line, is_code)).collect();
        for (number, line) in lines.iter().enumerate() {
            let next = lines.get(number + 1).copied().unwrap_or_default();
            if is_inverted(line, next) {
                let file = path.strip_prefix(root).unwrap().display();
                left.push(format!("{file}:{}: {line}", number + 1));
            }
        }
    }
    assert!(left.is_empty(), "inverted sentences:\n{}", left.join("\n"));
}

#[test]
fn an_inverted_sentence_is_found() {
    assert!(is_inverted("Of a longer head, the rest is", "dropped."));
    assert!(is_inverted(
        "It ends. Of the others,",
        "those that work are kept."
    ));
    assert!(!is_inverted("Of the identity.", "Another, later."));
    assert!(!is_inverted("The list Of all, the first.", ""));
    assert_eq!(prose("    /// Of it.", true), "Of it.");
    assert_eq!(prose("let of = \"Of it, too\";", true), "");
}

#[test]
fn no_text_has_a_word_that_the_glossary_bans() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let words = banned(&fs::read_to_string(root.join(GLOSSARY)).unwrap());
    assert!(words.len() > 10, "the list was not read: {words:?}");
    let mut left = Vec::new();
    for path in &all_texts() {
        let text = fs::read_to_string(path).unwrap().to_lowercase();
        let text = NAMES.iter().fold(text, |text, name| text.replace(name, ""));
        let lines: Vec<&str> = text.lines().collect();
        for (number, line) in lines.iter().enumerate() {
            let next = lines.get(number + 1).copied().unwrap_or_default();
            for word in words.iter().filter(|word| begins_in(line, next, word)) {
                let file = path.strip_prefix(root).unwrap().display();
                left.push(format!("{file}:{}: {word}", number + 1));
            }
        }
    }
    assert!(left.is_empty(), "banned words left:\n{}", left.join("\n"));
}

#[test]
fn a_word_is_found_as_a_whole() {
    assert!(has("as two words would", "two words"));
    assert!(!has("a word_of", "word"));
    assert!(!has("sword", "word"));
    assert!(begins_in("/// as two", "    /// words would", "two words"));
    assert!(!begins_in("/// as", "    /// two words would", "two words"));
}
