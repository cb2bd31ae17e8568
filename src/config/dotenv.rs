//! Reads a file like `.env` by the rules of dotenv 16, which the users of the
//! replaced system wrote theirs for: what is no variable is passed over, values
//! may have spaces and several lines, nothing in them is expanded.
//! `dotenv_cases.jsonl` has what dotenv 16.6.1 made of texts.

use std::sync::LazyLock;

use regex::Regex;

/// White space as JavaScript has it, the byte order mark included.
const SPACE: &str = r"[\t\n\x0B\x0C\r \x{A0}\x{1680}\x{2000}-\x{200A}\x{2028}\x{2029}\x{202F}\x{205F}\x{3000}\x{FEFF}]";

static ASSIGNMENT: LazyLock<Regex> = LazyLock::new(|| {
    let pattern = [
        r"(?m)^_*(?:export_+)?([A-Za-z0-9_.-]+)(?:_*=_*?|:_+?)",
        r#"(_*'(?:\\'|[^'])*'|_*"(?:\\"|[^"])*"|_*`(?:\\`|[^`])*`|[^#\r\n]+)?"#,
        r"_*(?:#[^\n\r\x{2028}\x{2029}]*)?$",
    ];
    // The only underscores beside those of names stand for white space.
    let pattern = pattern.concat().replace("9_.", "9\u{1}.");
    let pattern = pattern.replace('_', SPACE).replace('\u{1}', "_");
    // Known when it was written; every test of this file uses it.
    Regex::new(&pattern).expect("the pattern is a regular expression")
});

/// The variables of a file in their order; the last one of a name counts.
pub(super) fn parse(text: &str) -> Vec<(String, String)> {
    let text = text.replace("\r\n", "\n").replace('\r', "\n");
    let assignments = ASSIGNMENT.captures_iter(&text);
    let variables = assignments.map(|assignment| {
        let value = assignment.get(2).map_or("", |value| value.as_str());
        (assignment[1].to_owned(), value_of(trim(value)))
    });
    variables.collect()
}

fn trim(text: &str) -> &str {
    text.trim_matches(|character: char| {
        character == '\u{FEFF}' || (character.is_whitespace() && character != '\u{85}')
    })
}

/// Without the quotes around it. Double quotes also make `\n` and `\r` what
/// they stand for.
fn value_of(text: &str) -> String {
    let quote = text.chars().next().filter(|first| "'\"`".contains(*first));
    let Some(quote) = quote else {
        return text.to_owned();
    };
    let inside = text.strip_prefix(quote);
    let inside = inside.and_then(|rest| rest.strip_suffix(quote));
    let value = inside.unwrap_or(text);
    match quote {
        '"' => value.replace("\\n", "\n").replace("\\r", "\r"),
        _ => value.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn texts_give_the_variables_that_dotenv_16_gives() {
        let cases = include_str!("dotenv_cases.jsonl").lines();
        let mut seen = 0;
        for case in cases {
            let (text, expected): (String, BTreeMap<String, String>) =
                serde_json::from_str(case).unwrap();
            let parsed: BTreeMap<String, String> = parse(&text).into_iter().collect();
            assert_eq!(parsed, expected, "{text:?}");
            seen += 1;
        }
        assert!(seen > 90);
    }
}
