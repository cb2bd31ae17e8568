//! `erawan env`: every variable with its value, its source and its default.

use std::io;
use std::process::ExitCode;

use clap::{Args, ValueEnum};

use crate::config::{self, ListedSetting, ValueSource};
use crate::output;

/// Show every environment variable: value, source and default. Secrets only
/// show whether they are set.
#[derive(Debug, Args)]
pub struct EnvArguments {
    /// How to print them.
    #[arg(long, value_enum, default_value_t = EnvFormat::Table)]
    format: EnvFormat,
    /// Only those that are set.
    #[arg(long)]
    set: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum EnvFormat {
    /// Columns, for people.
    Table,
    /// A table in Markdown, with what each means.
    Markdown,
    /// A file `.env` to fill in.
    Template,
}

/// Runs the command.
/// # Errors
/// When the output cannot be written.
pub fn env(arguments: &EnvArguments) -> io::Result<ExitCode> {
    let mut settings = config::settings();
    if arguments.set {
        settings.retain(is_set);
    }
    output::say(match arguments.format {
        EnvFormat::Table => table(&settings),
        EnvFormat::Markdown => markdown(&settings),
        EnvFormat::Template => template(&settings),
    })?;
    Ok(ExitCode::SUCCESS)
}

fn is_set(setting: &ListedSetting) -> bool {
    matches!(setting.source, ValueSource::Process | ValueSource::File)
}

fn table(settings: &[ListedSetting]) -> String {
    let width = |of: fn(&ListedSetting) -> &str, title: &str| {
        let longest = settings.iter().map(|setting| of(setting).chars().count());
        longest.chain([title.len()]).max().unwrap_or_default()
    };
    let name = width(|setting| &setting.name, "VARIABLE");
    let value = width(|setting| &setting.value, "VALUE");
    let mut text = format!(
        "{:name$}  {:value$}  {:11}  DEFAULT\n",
        "VARIABLE", "VALUE", "SOURCE"
    );
    for setting in settings {
        let line = format!(
            "{:name$}  {:value$}  {:11}  {}",
            setting.name,
            setting.value,
            setting.source.word(),
            setting.default
        );
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

fn markdown(settings: &[ListedSetting]) -> String {
    let mut text = String::from(
        "| variable | value | source | default | modes | meaning |\n|---|---|---|---|---|---|\n",
    );
    let code = |value: &str| match value.is_empty() {
        true => String::new(),
        false => format!("`{}`", value.replace('|', "\\|").replace('\n', " ")),
    };
    for setting in settings {
        text.push_str(&format!(
            "| `{}` | {} | {} | {} | {} | {} |\n",
            setting.name,
            code(&setting.value),
            setting.source.word(),
            code(&setting.default),
            setting.modes,
            setting.meaning
        ));
    }
    text
}

fn template(settings: &[ListedSetting]) -> String {
    let mut text = String::new();
    let mut before = "";
    for setting in settings {
        if setting.meaning != before {
            text.push_str(&format!("\n# {}\n", setting.meaning));
            before = &setting.meaning;
        }
        let name = &setting.name;
        text.push_str(&match (is_set(setting), setting.is_secret) {
            // It is not ours to repeat.
            (true, true) => format!("{name}=\n"),
            (true, false) => format!("{name}={}\n", quoted(&setting.value)),
            (false, _) => format!("# {name}={}\n", setting.default),
        });
    }
    text.trim_start().to_owned()
}

/// So that it is read as it is (`config::dotenv`).
fn quoted(value: &str) -> String {
    let is_plain =
        |character: char| character.is_ascii_alphanumeric() || "_-.,:/@+".contains(character);
    if value.chars().all(is_plain) {
        return value.to_owned();
    }
    let quote = ['\'', '`', '"']
        .into_iter()
        .find(|quote| !value.contains(*quote));
    match quote {
        Some(quote) => format!("{quote}{value}{quote}"),
        None => value.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn setting(name: &str, value: &str, source: ValueSource) -> ListedSetting {
        ListedSetting {
            name: name.to_owned(),
            default: "1".to_owned(),
            modes: "A".to_owned(),
            meaning: "what it means".to_owned(),
            value: value.to_owned(),
            source,
            is_secret: name == "SECRET",
        }
    }

    #[test]
    fn settings_are_printed_for_people_and_as_files() {
        let settings = [
            setting("ONE", "a b", ValueSource::File),
            setting("SECRET", "(set)", ValueSource::Process),
            setting("OTHER", "1", ValueSource::Default),
        ];
        let lines = table(&settings);
        assert!(
            lines.contains("ONE       a b    .env         1\n"),
            "{lines}"
        );
        let lines = template(&settings);
        assert_eq!(lines, "# what it means\nONE='a b'\nSECRET=\n# OTHER=1\n");
        assert!(markdown(&settings).contains("| `ONE` | `a b` | .env | `1` | A | what it means |"));
    }
}
