//! Checks single variables. A wrong one is noted and replaced by its default,
//! so that all mistakes are found at once.

use std::collections::HashMap;
use std::fs::File;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::time::Duration;

use secrecy::SecretString;

use super::address::Address;
use super::{ApiVersion, ConfigMistake, TlsFiles, pem};

/// A variable: its name and its value.
pub(super) type Variable = (&'static str, Option<String>);

/// A variable and its raw field: `variable!("TENDERMINT_IP", chain.tendermint_ip)`
/// is `("TENDERMINT_IP", Some(..))`; empty text counts as unset.
macro_rules! variable {
    ($name:literal, $raw:expr) => {
        ($name, $raw.clone().filter(|text| !text.is_empty()))
    };
}
pub(super) use variable;

/// What a value like `tcp://10.0.0.7:6379` is.
const OF_A_SERVICE: &str = "; Kubernetes sets this for a Service of such a name in the namespace: \
                            set `enableServiceLinks: false` in the pod, or give the variable a value";

const LONGEST_DURATION: u64 = 7 * 24 * 60 * 60 * 1000;

#[derive(Debug, Default)]
pub(super) struct Checker {
    pub mistakes: Vec<ConfigMistake>,
    pub warnings: Vec<String>,
}

impl Checker {
    /// Notes a mistake.
    pub fn mistake(
        &mut self,
        variable: &'static str,
        value: Option<String>,
        fix: impl Into<String>,
    ) {
        let mut fix = fix.into();
        if value.as_deref().is_some_and(is_of_a_service) {
            fix.push_str(OF_A_SERVICE);
        }
        let mistake = ConfigMistake {
            variable,
            value,
            fix,
        };
        // A deprecated variable stands for several new ones.
        if !self.mistakes.contains(&mistake) {
            self.mistakes.push(mistake);
        }
    }

    /// Notes a problem that does not stop the start.
    pub fn warn(&mut self, warning: impl Into<String>) {
        self.warnings.push(warning.into());
    }

    /// `true` or false; anything else is false too, as in the replaced system.
    pub fn flag(&mut self, (name, value): Variable, default: bool) -> bool {
        match value.as_deref() {
            None => default,
            Some("true") => true,
            Some("false") => false,
            Some(other) => {
                self.warn(format!(
                    "{name}={other} counts as false; write true or false"
                ));
                false
            }
        }
    }

    /// True unless it says `false` in any letter case.
    pub fn on_unless_false(&mut self, (_, value): Variable) -> bool {
        value.is_none_or(|text| !text.eq_ignore_ascii_case("false"))
    }

    /// A whole number within a range.
    pub fn number(
        &mut self,
        (name, value): Variable,
        default: u64,
        range: RangeInclusive<u64>,
    ) -> u64 {
        let Some(text) = value else { return default };
        match text.trim().parse() {
            Ok(number) if range.contains(&number) => number,
            _ => {
                let fix = format!("a whole number from {} to {}", range.start(), range.end());
                self.mistake(name, Some(text), fix);
                default
            }
        }
    }

    /// A TCP port.
    pub fn port(&mut self, variable: Variable, default: u16) -> u16 {
        let number = self.number(variable, u64::from(default), 1..=u64::from(u16::MAX));
        u16::try_from(number).unwrap_or(default)
    }

    /// Milliseconds, at most a week.
    pub fn milliseconds(&mut self, variable: Variable, default: u64) -> Duration {
        Duration::from_millis(self.number(variable, default, 1..=LONGEST_DURATION))
    }

    /// One of a closed list of words.
    pub fn choice<T: Copy>(
        &mut self,
        (name, value): Variable,
        words: &[(&str, T)],
        default: T,
    ) -> T {
        let Some(text) = value else { return default };
        match words.iter().find(|(word, _)| *word == text) {
            Some((_, choice)) => *choice,
            None => {
                let words: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
                self.mistake(name, Some(text), format!("one of {}", words.join(", ")));
                default
            }
        }
    }

    /// A version of callbacks or paths.
    pub fn version(&mut self, variable: Variable, default: ApiVersion) -> ApiVersion {
        let words = [
            ("4", ApiVersion::V4),
            ("4.0", ApiVersion::V4),
            ("5", ApiVersion::V5),
            ("5.3", ApiVersion::V5),
            ("6", ApiVersion::V6),
            ("6.0", ApiVersion::V6),
        ];
        self.choice(variable, &words, default)
    }

    /// A host name or an address.
    pub fn host(&mut self, (name, value): Variable, default: &str) -> String {
        let Some(text) = value else {
            return default.to_owned();
        };
        if let Some(host) = Address::parse_host(&text) {
            return host;
        }
        let fix = "a host name or address, without scheme, port, path or spaces";
        // `user:password@host` contains a secret.
        let shown = Some(text).filter(|text| !text.contains('@'));
        self.mistake(name, shown, fix);
        default.to_owned()
    }

    /// A file that can be read.
    pub fn file(&mut self, (name, value): Variable, purpose: &str) -> PathBuf {
        let Some(text) = value else {
            self.mistake(name, None, format!("path of {purpose}"));
            return PathBuf::new();
        };
        let path = PathBuf::from(&text);
        if let Err(problem) = readable_file(&path) {
            self.mistake(name, Some(text), format!("path of {purpose}: {problem}"));
        }
        path
    }

    /// A directory, if one is named.
    pub fn directory(&mut self, (name, value): Variable) -> Option<PathBuf> {
        let text = value?;
        let path = PathBuf::from(&text);
        if let Err(error) = std::fs::read_dir(&path) {
            self.mistake(
                name,
                Some(text),
                format!("a directory that can be read: {error}"),
            );
        }
        Some(path)
    }

    /// Key and certificate, where a flag asks for them.
    pub fn tls(&mut self, key: Variable, certificate: Variable) -> TlsFiles {
        let (key_name, certificate_name) = (key.0, certificate.0);
        let before = self.mistakes.len();
        let files = TlsFiles {
            key: self.file(key, "the private key (PEM)"),
            certificate: self.file(certificate, "the certificate chain (PEM)"),
        };
        if self.mistakes.len() == before {
            self.pair(key_name, certificate_name, &files);
        }
        files
    }

    /// Whether the files hold a certificate and its own key.
    fn pair(&mut self, key_name: &'static str, certificate_name: &'static str, files: &TlsFiles) {
        let (key, chain) = (pem::key(&files.key), pem::certificates(&files.certificate));
        let mut wrong = |name, path: &Path, fix: String| {
            self.mistake(name, Some(path.display().to_string()), fix);
        };
        match (key, chain) {
            (Ok(key), Ok(chain)) => {
                let own = chain.first().and_then(|first| first.public_key().ok());
                if own.is_some_and(|own| !own.public_eq(&key)) {
                    let fix = format!("the private key of the certificate in {certificate_name}");
                    wrong(key_name, &files.key, fix);
                }
            }
            (key, chain) => {
                if let Err(reason) = key {
                    let fix = format!("path of the private key (PEM): {reason}");
                    wrong(key_name, &files.key, fix);
                }
                if let Err(reason) = chain {
                    let fix = format!("path of the certificate chain (PEM): {reason}");
                    wrong(certificate_name, &files.certificate, fix);
                }
            }
        }
    }

    /// A directory that this process can write to; created if it is missing.
    pub fn writable(&mut self, name: &'static str, path: &Path) {
        let attempt = std::fs::create_dir_all(path).and_then(|()| {
            // Dropping it deletes it.
            tempfile::NamedTempFile::new_in(path).map(drop)
        });
        if let Err(error) = attempt {
            let fix = format!("a directory that can be written (STORE=embedded): {error}");
            self.mistake(name, Some(path.display().to_string()), fix);
        }
    }

    /// Warns of variables that were renamed or have no effect.
    pub fn outdated(&mut self, environment: &HashMap<String, String>) {
        const RENAMED: [(&str, &str); 6] = [
            (
                "PRIVATE_KEY_PATH",
                "SIGNING_PRIVATE_KEY_PATH and ENCRYPTION_PRIVATE_KEY_PATH",
            ),
            (
                "PRIVATE_KEY_PASSPHRASE",
                "SIGNING_PRIVATE_KEY_PASSPHRASE and ENCRYPTION_PRIVATE_KEY_PASSPHRASE",
            ),
            ("MASTER_PRIVATE_KEY_PATH", "SIGNING_MASTER_PRIVATE_KEY_PATH"),
            (
                "MASTER_PRIVATE_KEY_PASSPHRASE",
                "SIGNING_MASTER_PRIVATE_KEY_PASSPHRASE",
            ),
            (
                "NODE_BEHIND_PROXY_PRIVATE_KEY_DIRECTORY_PATH",
                "NODE_BEHIND_PROXY_SIGNING_PRIVATE_KEY_DIRECTORY_PATH and NODE_BEHIND_PROXY_ENCRYPTION_PRIVATE_KEY_DIRECTORY_PATH",
            ),
            (
                "NODE_BEHIND_PROXY_MASTER_PRIVATE_KEY_DIRECTORY_PATH",
                "NODE_BEHIND_PROXY_SIGNING_MASTER_PRIVATE_KEY_DIRECTORY_PATH",
            ),
        ];
        const UNREAD: [&str; 5] = [
            "CALL_TO_MASTER_RETRY_TIMEOUT_MS",
            "GRPC_EXPECTED_CLIENT_PING_INTERVAL_MS",
            "LOG_FORMAT",
            "LOG_TARGET",
            "LOG_DIRECTORY_PATH",
        ];
        let is_set = |name: &str| environment.get(name).is_some_and(|value| !value.is_empty());
        for (name, instead) in RENAMED {
            if is_set(name) {
                self.warn(format!("{name} is deprecated; use {instead}"));
            }
        }
        for name in UNREAD.into_iter().filter(|name| is_set(name)) {
            self.warn(format!("{name} has no effect"));
        }
        if environment
            .get("ENABLE_TELEMETRY_LOGGING")
            .map(String::as_str)
            == Some("true")
        {
            self.warn("ENABLE_TELEMETRY_LOGGING has no effect: telemetry is not collected");
        }
    }
}

/// Whether Kubernetes makes such values for Services (`DB_PORT` for one that is
/// called `db`).
fn is_of_a_service(value: &str) -> bool {
    ["tcp://", "udp://", "sctp://"]
        .iter()
        .any(|scheme| value.starts_with(scheme))
}

/// Why a path is not a readable file, in words.
pub(super) fn readable_file(path: &Path) -> Result<(), String> {
    let file = File::open(path).map_err(|error| error.to_string())?;
    let metadata = file.metadata().map_err(|error| error.to_string())?;
    if metadata.is_file() {
        Ok(())
    } else {
        Err("not a file".to_owned())
    }
}

/// Hides a secret from logs.
pub(super) fn secret((_, value): Variable) -> Option<SecretString> {
    value.map(SecretString::from)
}
