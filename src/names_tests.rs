//! One name, one meaning: types that a room shows are not named alike.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

/// Named alike on purpose.
const ALLOWED: [&str; 11] = [
    // The parts of a state machine, and what an actor or engine is started with.
    "Action",
    "Core",
    "Event",
    "Options",
    // The same thing, on the ledger and in a message.
    "AsResponse",
    "DataRequest",
    "IdpResponse",
    // Of a node on the ledger, and of somebody who uses its tools.
    "Role",
    // Not yet told apart.
    "Api",
    "Listener",
    "Run",
];

/// Rooms with a language of their own: each flow names what its clients send, and
/// the development ledger stands for another program.
const APART: [&str; 2] = ["src/flows", "src/devnet/ledger"];

fn is_test(path: &Path) -> bool {
    let name = path.to_string_lossy();
    ["tests", "testing", "golden"]
        .iter()
        .any(|word| name.contains(word))
}

/// Name and file of each type that is visible outside its file.
fn types(directory: &Path, root: &Path, found: &mut Vec<(String, String)>) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        let inside = path.strip_prefix(root).unwrap();
        if is_test(inside) || APART.iter().any(|room| inside.starts_with(room)) {
            continue;
        }
        if path.is_dir() {
            types(&path, root, found);
            continue;
        }
        let text = fs::read_to_string(&path).unwrap();
        let names = text.lines().filter_map(name);
        found.extend(names.map(|name| (name, inside.display().to_string())));
    }
}

/// The type that a line at the margin declares, if it is visible outside its file.
fn name(line: &str) -> Option<String> {
    let rest = line.strip_prefix("pub")?;
    let rest = match rest.strip_prefix('(') {
        Some(scope) => scope.split_once(')')?.1,
        None => rest,
    };
    let (keyword, rest) = rest.trim_start().split_once(' ')?;
    if !["struct", "enum", "trait", "type"].contains(&keyword) {
        return None;
    }
    let is_part = |c: &char| c.is_alphanumeric() || *c == '_';
    Some(rest.chars().take_while(is_part).collect())
}

#[test]
fn types_of_different_rooms_have_different_names() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut found = Vec::new();
    types(&root.join("src"), root, &mut found);
    assert!(
        found.len() > 400,
        "the types were not found: {}",
        found.len()
    );
    let mut by_name: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (name, file) in found {
        by_name.entry(name).or_default().push(file);
    }
    by_name.retain(|_, files| files.len() > 1);
    let unused: Vec<&&str> = ALLOWED
        .iter()
        .filter(|name| !by_name.contains_key(**name))
        .collect();
    assert!(unused.is_empty(), "no longer named alike: {unused:?}");
    by_name.retain(|name, _| !ALLOWED.contains(&name.as_str()));
    assert!(by_name.is_empty(), "named alike: {by_name:#?}");
}

#[test]
fn a_type_is_found_whatever_its_visibility() {
    assert_eq!(name("pub struct Job<T> {").as_deref(), Some("Job"));
    assert_eq!(
        name("pub(in crate::store) enum Way {").as_deref(),
        Some("Way")
    );
    assert_eq!(name("pub fn job() {"), None);
    assert_eq!(name("struct Hidden;"), None);
}
