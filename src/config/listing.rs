//! Every variable with its value, where that comes from, and what the
//! operator's guide says of it (`erawan env`). `settings.md` is the table of
//! the guide; a test holds it against the guide and against what is read.

use std::collections::HashMap;
use std::path::Path;

use super::load::FILE;
use super::variables;

const TABLE: &str = include_str!("settings.md");

/// Parts of the names of variables whose values nobody may see.
const SECRET: [&str; 5] = ["PASSWORD", "PASSPHRASE", "SECRET", "TOKEN", "KEY_HASH"];
/// They name a file, not its content.
const NOT_SECRET: [&str; 2] = ["_FILE", "_PATH"];

/// Where a value comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ValueSource {
    /// The environment of the process.
    Process,
    /// `.env` in the working directory.
    File,
    Default,
    /// There is none.
    Unset,
}

impl ValueSource {
    /// For people.
    pub fn word(self) -> &'static str {
        match self {
            Self::Process => "environment",
            Self::File => FILE,
            Self::Default => "default",
            Self::Unset => "not set",
        }
    }
}

/// A variable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListedSetting {
    pub name: String,
    /// Empty if it has none.
    pub default: String,
    /// In which modes it counts.
    pub modes: String,
    pub meaning: String,
    /// As set, or the default. That of a secret only says that it is set.
    pub value: String,
    pub source: ValueSource,
    pub is_secret: bool,
}

/// All variables, in the order of the guide.
pub fn settings() -> Vec<ListedSetting> {
    let own: HashMap<String, String> = std::env::vars_os()
        .map(|(name, value)| {
            let text = |os: std::ffi::OsString| os.to_string_lossy().into_owned();
            (text(name), text(value))
        })
        .collect();
    let file = variables::environment(Path::new(FILE), []);
    settings_of(&own, &file.variables)
}

fn settings_of(
    own: &HashMap<String, String>,
    file: &HashMap<String, String>,
) -> Vec<ListedSetting> {
    let mut settings: Vec<ListedSetting> = TABLE.lines().flat_map(row).collect();
    for setting in &mut settings {
        let set = own
            .get(&setting.name)
            .map(|value| (value, ValueSource::Process));
        let set = set.or_else(|| Some((file.get(&setting.name)?, ValueSource::File)));
        let (value, source) = match set.filter(|(value, _)| !value.is_empty()) {
            Some((value, source)) => (shown(value, setting.is_secret), source),
            None if setting.default.is_empty() => (String::new(), ValueSource::Unset),
            None => (setting.default.clone(), ValueSource::Default),
        };
        (setting.value, setting.source) = (value, source);
    }
    settings
}

fn shown(value: &str, is_secret: bool) -> String {
    // A URL may have a password in it.
    match is_secret || (value.contains("://") && value.contains('@')) {
        true => "(set)".to_owned(),
        false => value.to_owned(),
    }
}

/// The variables of a row: their names, defaults, modes, and what they mean.
fn row(line: &str) -> Vec<ListedSetting> {
    let cells: Vec<&str> = line.trim_matches('|').split(" | ").map(str::trim).collect();
    let [names, defaults, modes, meaning @ ..] = &cells[..] else {
        return Vec::new();
    };
    let (names, defaults) = (in_backticks(names), in_backticks(defaults));
    let meaning = meaning.join(" | ").trim_end_matches(" |").to_owned();
    let setting = |(place, name): (usize, String)| {
        // One default counts for all of the row.
        let default = match defaults.len() == 1 && place > 0 {
            true => String::new(),
            false => defaults.get(place).cloned().unwrap_or_default(),
        };
        ListedSetting {
            is_secret: is_secret(&name),
            name,
            default,
            modes: (*modes).to_owned(),
            meaning: meaning.clone(),
            value: String::new(),
            source: ValueSource::Unset,
        }
    };
    let is_name = |name: &String| {
        let first = name.chars().next();
        first.is_some_and(|first| first.is_ascii_uppercase()) && !name.contains('*')
    };
    let names = names.into_iter().filter(is_name).enumerate();
    names.map(setting).collect()
}

fn is_secret(name: &str) -> bool {
    SECRET.iter().any(|part| name.contains(part))
        && !NOT_SECRET.iter().any(|end| name.contains(end))
}

fn in_backticks(cell: &str) -> Vec<String> {
    let parts = cell.split('`').skip(1).step_by(2);
    parts.map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::fs;
    use std::path::PathBuf;

    use super::*;

    /// Names that the guide tells of beside the new ones.
    const DEPRECATED: [&str; 6] = [
        "PRIVATE_KEY_PATH",
        "PRIVATE_KEY_PASSPHRASE",
        "MASTER_PRIVATE_KEY_PATH",
        "MASTER_PRIVATE_KEY_PASSPHRASE",
        "NODE_BEHIND_PROXY_PRIVATE_KEY_DIRECTORY_PATH",
        "NODE_BEHIND_PROXY_MASTER_PRIVATE_KEY_DIRECTORY_PATH",
    ];

    #[test]
    fn the_guide_has_the_table_and_the_table_has_what_is_read() {
        let root = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
        let guide = fs::read_to_string(root.join("docs/operator.md")).unwrap();
        let (_, table) = guide.split_once("\n| variable |").unwrap();
        let table = format!("| variable |{table}");
        let rows = table.lines().take_while(|line| line.starts_with('|'));
        let table: String = rows.map(|line| format!("{line}\n")).collect();
        if std::env::var_os("WRITE_SETTINGS").is_some() {
            fs::write(root.join("src/config/settings.md"), &table).unwrap();
        } else {
            let why = "take the table of docs/operator.md with WRITE_SETTINGS=1";
            assert!(TABLE == table, "{why}");
        }
        let told: BTreeSet<String> = table.lines().flat_map(row).map(|row| row.name).collect();
        let read = variables::NAMES.iter().map(|name| name.to_uppercase());
        let untold: Vec<String> = read
            .filter(|name| !told.contains(name) && !DEPRECATED.contains(&name.as_str()))
            .collect();
        assert!(untold.is_empty(), "not in docs/operator.md: {untold:?}");
        assert!(told.len() > 60, "{told:?}");
    }

    #[test]
    fn a_value_comes_from_the_process_the_file_or_nowhere() {
        let map = |variables: &[(&str, &str)]| {
            let owned = variables.iter();
            owned
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                .collect::<HashMap<String, String>>()
        };
        let own = map(&[
            ("MODE", "worker"),
            ("DB_PASSWORD", "hidden"),
            ("NODE_ENV", ""),
        ]);
        let file = map(&[("MODE", "master"), ("SERVER_PORT", "80")]);
        let settings = settings_of(&own, &file);
        let find = |name: &str| {
            let found = settings.iter().find(|setting| setting.name == name);
            let found = found.unwrap_or_else(|| panic!("{name}"));
            (found.value.as_str(), found.source)
        };
        assert_eq!(find("MODE"), ("worker", ValueSource::Process));
        assert_eq!(find("SERVER_PORT"), ("80", ValueSource::File));
        assert_eq!(find("NODE_ENV"), ("development", ValueSource::Default));
        assert_eq!(find("DB_PASSWORD"), ("(set)", ValueSource::Process));
        assert_eq!(find("HTTPS_KEY_PATH"), ("", ValueSource::Unset));
        assert_eq!(find("DB_PORT"), ("6379", ValueSource::Default));
    }
}
