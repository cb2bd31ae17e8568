//! Settings that have no effect in this process, because what they are for is
//! switched off or does not exist here. `GET /config` shows them all the same, as
//! operators know it (spec/http-api.md 3.10).

use std::collections::HashMap;

use serde_json::Value;

/// Files, by their names in `GET /config`.
const PATHS: [(&str, &str); 10] = [
    ("httpsKeyPath", "HTTPS_KEY_PATH"),
    ("httpsCertPath", "HTTPS_CERT_PATH"),
    ("grpcSslRootCertFilePath", "GRPC_SSL_ROOT_CERT_FILE_PATH"),
    ("grpcSslKeyFilePath", "GRPC_SSL_KEY_FILE_PATH"),
    ("grpcSslCertFilePath", "GRPC_SSL_CERT_FILE_PATH"),
    ("prometheusHttpsKeyPath", "PROMETHEUS_HTTPS_KEY_PATH"),
    ("prometheusHttpsCertPath", "PROMETHEUS_HTTPS_CERT_PATH"),
    (
        "nodeBehindProxySigningPrivateKeyDirectoryPath",
        "NODE_BEHIND_PROXY_SIGNING_PRIVATE_KEY_DIRECTORY_PATH",
    ),
    (
        "nodeBehindProxySigningMasterPrivateKeyDirectoryPath",
        "NODE_BEHIND_PROXY_SIGNING_MASTER_PRIVATE_KEY_DIRECTORY_PATH",
    ),
    (
        "nodeBehindProxyEncryptionPrivateKeyDirectoryPath",
        "NODE_BEHIND_PROXY_ENCRYPTION_PRIVATE_KEY_DIRECTORY_PATH",
    ),
];

/// Numbers, their variables and what counts without.
const NUMBERS: [(&str, &str, u64); 4] = [
    (
        "callToMasterRetryTimeout",
        "CALL_TO_MASTER_RETRY_TIMEOUT_MS",
        120_000,
    ),
    (
        "mqMessageCompressMinLength",
        "MQ_MESSAGE_COMPRESS_MIN_LENGTH",
        1000,
    ),
    ("prometheusServerPort", "PROMETHEUS_SERVER_PORT", 8888),
    (
        "telemetryTokenGenerationIntervalSec",
        "TELEMETRY_TOKEN_TIMEOUT",
        21_600,
    ),
];

/// See the module. By the name that is shown.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Idle(pub Vec<(&'static str, Value)>);

impl Idle {
    /// From the environment. Nothing in it can be wrong: nothing comes of it.
    pub(super) fn read(environment: &HashMap<String, String>) -> Self {
        let set = |variable: &str| environment.get(variable).filter(|value| !value.is_empty());
        let mut shown = Vec::new();
        for (name, variable) in PATHS {
            if let Some(path) = set(variable) {
                shown.push((name, path.as_str().into()));
            }
        }
        for (name, variable, default) in NUMBERS {
            let number = set(variable).and_then(|text| text.parse().ok());
            shown.push((name, number.unwrap_or(default).into()));
        }
        let first = |variables: &[&str], default: &str| {
            let found = variables.iter().find_map(|variable| set(variable));
            found.map_or(default, String::as_str).to_owned()
        };
        let host = first(
            &["TELEMETRY_DB_HOST", "TELEMETRY_DB_IP", "DB_IP"],
            "localhost",
        );
        shown.push(("telemetryDbHost", host.into()));
        let port = first(&["TELEMETRY_DB_PORT", "DB_PORT"], "6379");
        let number: Option<u64> = port.parse().ok();
        shown.push(("telemetryDbPort", number.map_or(port.into(), Value::from)));
        Self(shown)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_set_is_as_the_replaced_system_has_it() {
        let read = |variables: &[(&str, &str)]| {
            let variables = variables.iter();
            let owned = variables.map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
            Idle::read(&owned.collect()).0
        };
        let shown = read(&[("DB_IP", "redis"), ("HTTPS_KEY_PATH", "")]);
        let expected: [(&str, Value); 6] = [
            ("callToMasterRetryTimeout", 120_000.into()),
            ("mqMessageCompressMinLength", 1000.into()),
            ("prometheusServerPort", 8888.into()),
            ("telemetryTokenGenerationIntervalSec", 21_600.into()),
            ("telemetryDbHost", "redis".into()),
            ("telemetryDbPort", 6379.into()),
        ];
        assert_eq!(shown, expected);
        let shown = read(&[("TELEMETRY_DB_IP", "other"), ("TELEMETRY_DB_PORT", "x")]);
        assert!(shown.contains(&("telemetryDbHost", "other".into())));
        assert!(shown.contains(&("telemetryDbPort", "x".into())));
    }
}
