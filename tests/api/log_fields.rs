//! No event of the log has a field twice, or one that the line has anyway: most
//! readers of JSON keep only one of two members of the same name.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

/// What every JSON line has besides the event's own fields.
const OF_THE_LINE: [&str; 9] = [
    "timestamp",
    "level",
    "target",
    "message",
    "span",
    "spans",
    "node_id",
    "instance",
    "role",
];
const MACROS: [&str; 5] = ["error!(", "warn!(", "info!(", "debug!(", "trace!("];

/// The arguments of a call whose opening bracket has just been read.
fn arguments(text: &str) -> Vec<String> {
    let mut arguments = vec![String::new()];
    let (mut depth, mut is_text, mut is_escaped) = (0, false, false);
    for character in text.chars() {
        match character {
            _ if is_escaped => is_escaped = false,
            '\\' if is_text => is_escaped = true,
            '"' => is_text = !is_text,
            _ if is_text => {}
            '(' | '[' | '{' => depth += 1,
            ')' if depth == 0 => break,
            ')' | ']' | '}' => depth -= 1,
            ',' if depth == 0 => {
                arguments.push(String::new());
                continue;
            }
            _ => {}
        }
        arguments.last_mut().unwrap().push(character);
    }
    arguments
}

/// The fields of an event: the arguments before its text.
fn fields(text: &str) -> Vec<String> {
    let arguments = arguments(text).into_iter();
    let fields = arguments.take_while(|argument| !argument.trim().starts_with('"'));
    let names = fields.map(|field| {
        let name = field.split(" =").next().unwrap_or_default();
        name.trim().trim_start_matches(['%', '?']).to_owned()
    });
    names.filter(|name| !name.is_empty()).collect()
}

/// The events of a file: their fields.
fn events(text: &str) -> Vec<Vec<String>> {
    let calls = MACROS.iter().flat_map(|name| text.match_indices(name));
    let own = calls.filter(|(start, _)| {
        let before = text[..*start].chars().next_back();
        !before.is_some_and(|before| before.is_alphanumeric() || before == '_')
    });
    own.map(|(start, name)| fields(&text[start + name.len()..]))
        .collect()
}

fn events_below(directory: &Path, found: &mut Vec<(String, Vec<String>)>) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            events_below(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let events = events(&fs::read_to_string(&path).unwrap()).into_iter();
            found.extend(events.map(|fields| (path.display().to_string(), fields)));
        }
    }
}

#[test]
fn no_line_of_the_log_has_a_member_twice() {
    let mut found = Vec::new();
    events_below(
        &Path::new(env!("CARGO_MANIFEST_DIR")).join("src"),
        &mut found,
    );
    assert!(found.len() > 150, "{}", found.len());
    assert!(found.iter().any(|(_, fields)| fields.len() > 3));
    for (file, fields) in &found {
        let mut members = BTreeSet::from(OF_THE_LINE);
        for field in fields {
            assert!(members.insert(field), "{file}: {field} of {fields:?}");
        }
    }
}

#[test]
fn fields_are_read_as_the_macros_read_them() {
    let text = r#"tracing::warn!(%error, job = ?f(a, ")"), list = g([1, 2]), state.id, "a, {b}", c = 1); x!(d)"#;
    let expected = ["error", "job", "list", "state.id"].map(str::to_owned);
    assert_eq!(events(text), [expected]);
    assert_eq!(events("compile_error!(x)"), Vec::<Vec<String>>::new());
}
