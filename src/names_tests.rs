//! One name, one meaning: types that a room shows are not named alike.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

/// Named alike on purpose.
const ALLOWED: [&str; 9] = [
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
    // Of a process in its log, and of a caller.
    "Identity",
];

/// Stands for another program, with the language of that.
const APART: &str = "src/devnet/ledger";

/// Rooms in which a type of one file, too, has a name of its own.
const STRICT: [&str; 3] = ["src/api", "src/flows", "src/http"];

/// The input of the endpoint that a file declares.
const INPUT: [&str; 3] = ["Path", "Query", "Body"];

/// Names that said too little, or too many things. No type of the strict rooms
/// may have one of them.
const VAGUE: [&str; 33] = [
    "Added", "Amount", "Answer", "Answered", "Api", "Asked", "Begun", "Call", "Change", "Content",
    "Created", "Creation", "Data", "Decision", "Found", "Given", "Group", "Head", "Hearer", "Held",
    "Inner", "Input", "Known", "Link", "Listener", "Look", "Name", "Outcome", "Part", "Place",
    "Run", "Told", "Wanted",
];

fn is_test(path: &Path) -> bool {
    let name = path.to_string_lossy();
    ["tests", "testing", "golden"]
        .iter()
        .any(|word| name.contains(word))
}

struct Type {
    name: String,
    file: String,
    is_visible: bool,
}

impl Type {
    fn is_strict(&self) -> bool {
        STRICT.iter().any(|room| self.file.starts_with(room))
    }
}

/// Every type at the margin of a file.
fn types(directory: &Path, root: &Path, found: &mut Vec<Type>) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        let inside = path.strip_prefix(root).unwrap();
        if is_test(inside) || inside.starts_with(APART) {
            continue;
        }
        if path.is_dir() {
            types(&path, root, found);
            continue;
        }
        let text = fs::read_to_string(&path).unwrap();
        found.extend(
            text.lines()
                .filter_map(declared)
                .map(|(name, is_visible)| Type {
                    name,
                    file: inside.display().to_string(),
                    is_visible,
                }),
        );
    }
}

/// The type that a line at the margin declares, and whether it is visible
/// outside its file.
fn declared(line: &str) -> Option<(String, bool)> {
    let visible = line.strip_prefix("pub");
    let rest = match visible.map(|rest| rest.strip_prefix('(').ok_or(rest)) {
        Some(Ok(scope)) => scope.split_once(')')?.1,
        Some(Err(rest)) => rest,
        None => line,
    };
    let rest = match visible {
        Some(_) => rest.trim_start(),
        None => rest,
    };
    let (keyword, rest) = rest.split_once(' ')?;
    if !["struct", "enum", "trait", "type"].contains(&keyword) {
        return None;
    }
    let is_part = |c: &char| c.is_alphanumeric() || *c == '_';
    Some((
        rest.chars().take_while(is_part).collect(),
        visible.is_some(),
    ))
}

/// The types of this crate, tests aside.
fn all() -> Vec<Type> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut found = Vec::new();
    types(&root.join("src"), root, &mut found);
    let visible = found.iter().filter(|found| found.is_visible).count();
    assert!(visible > 400, "the types were not found: {visible}");
    found
}

/// The files of each name that more than one of these types has.
fn shared<'t>(types: impl Iterator<Item = &'t Type>) -> BTreeMap<&'t str, Vec<&'t str>> {
    let mut by_name: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for found in types {
        by_name.entry(&found.name).or_default().push(&found.file);
    }
    by_name.retain(|_, files| files.len() > 1);
    by_name
}

#[test]
fn types_of_different_rooms_have_different_names() {
    let all = all();
    let mut shared = shared(all.iter().filter(|found| found.is_visible));
    let unused = ALLOWED.iter().filter(|name| !shared.contains_key(*name));
    let unused: Vec<&&str> = unused.collect();
    assert!(unused.is_empty(), "no longer named alike: {unused:?}");
    shared.retain(|name, _| !ALLOWED.contains(name));
    assert!(shared.is_empty(), "named alike: {shared:#?}");
}

#[test]
fn types_of_flows_and_api_have_names_of_their_own() {
    let all = all();
    let mut shared = shared(all.iter());
    shared.retain(|name, files| {
        let is_strict = |file: &&str| STRICT.iter().any(|room| file.starts_with(room));
        files.iter().any(is_strict) && !INPUT.contains(name) && !ALLOWED.contains(name)
    });
    assert!(shared.is_empty(), "named alike: {shared:#?}");
}

#[test]
fn no_type_of_flows_and_api_has_a_name_that_says_too_little() {
    let all = all();
    let vague = all
        .iter()
        .filter(|found| found.is_strict() && VAGUE.contains(&found.name.as_str()));
    let vague: Vec<String> = vague
        .map(|found| format!("{}: {}", found.file, found.name))
        .collect();
    assert!(vague.is_empty(), "vague names: {vague:#?}");
}

#[test]
fn a_type_is_found_whatever_its_visibility() {
    let named = |line| declared(line).unwrap();
    assert_eq!(named("pub struct Job<T> {"), ("Job".to_owned(), true));
    let way = "pub(in crate::store) enum Way {";
    assert_eq!(named(way), ("Way".to_owned(), true));
    assert_eq!(named("struct Hidden;"), ("Hidden".to_owned(), false));
    assert_eq!(declared("pub fn job() {"), None);
    assert_eq!(declared("    struct Inside;"), None);
}
