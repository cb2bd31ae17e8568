use super::*;

use std::fs;

#[test]
fn certificates_are_not_verified_in_development_only() {
    assert!(!Environment::Development.verifies_certificates());
    assert!(Environment::Test.verifies_certificates());
    assert!(Environment::Production.verifies_certificates());
}

/// An environment without mistakes, with key files in a directory of its own.
struct Fixture {
    directory: tempfile::TempDir,
    environment: HashMap<String, String>,
}

impl Fixture {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let keys = directory.path().join("keys");
        fs::create_dir(&keys).unwrap();
        for part in ["signing", "master", "encryption"] {
            fs::write(keys.join(format!("rp1.{part}.pem")), "PEM").unwrap();
        }
        let mut fixture = Self {
            environment: HashMap::new(),
            directory,
        };
        let data = fixture.path("");
        fixture.set(&[("NODE_ID", "rp1"), ("DATA_DIRECTORY_PATH", &data)]);
        fixture
    }

    fn with(variables: &[(&str, &str)]) -> Self {
        let mut fixture = Self::new();
        fixture.set(variables);
        fixture
    }

    fn set(&mut self, variables: &[(&str, &str)]) {
        for (name, value) in variables {
            self.environment
                .insert((*name).to_owned(), (*value).to_owned());
        }
    }

    fn path(&self, name: &str) -> String {
        self.directory.path().join(name).display().to_string()
    }

    fn load(&self) -> Config {
        load_from(&self.environment).unwrap_or_else(|mistakes| panic!("{mistakes}"))
    }

    fn mistakes(&self) -> Vec<ConfigMistake> {
        load_from(&self.environment).expect_err("mistakes").0
    }

    fn wrong(&self) -> Vec<&'static str> {
        self.mistakes()
            .iter()
            .map(|mistake| mistake.variable)
            .collect()
    }
}

#[test]
fn defaults_are_those_of_the_replaced_system() {
    let config = Fixture::new().load();
    assert_eq!(config.environment, Environment::Development);
    assert_eq!(config.mode, Mode::Standalone);
    assert_eq!(config.store, StoreChoice::Redis);
    assert_eq!((config.api.port, config.link.port), (8080, 7000));
    assert_eq!(
        (config.redis.host.as_str(), config.redis.port),
        ("localhost", 6379)
    );
    assert_eq!(config.tendermint.port, 45000);
    assert_eq!(config.tendermint.connections, 10);
    assert_eq!(
        (config.mq.binding_port, config.mq.service_port),
        (5555, 50051)
    );
    assert_eq!(config.mq.compress_from, None);
    assert_eq!(config.as_data_compress_from, 1000);
    assert_eq!(
        (
            config.api.client_error_status,
            config.api.server_error_status
        ),
        (400, 500)
    );
    assert_eq!(config.callback_retry_timeout, Duration::from_secs(600));
    assert_eq!(config.grpc.ping_interval, Duration::from_secs(60));
    assert_eq!(config.grpc.ping_timeout, Duration::from_secs(20));
    assert_eq!(config.dcontract.request_type, "dsign.dcontract");
    assert!(config.validate_identifier && config.dcontract.validate);
    assert!(config.mq.register_at_startup);
    assert!(config.prometheus.is_none() && config.grpc.tls.is_none() && config.api.https.is_none());
    assert_eq!(config.stop.grace, Duration::from_secs(25));
    assert_eq!((config.capacity.run, config.capacity.delivery), (64, 512));
    assert_eq!(config.queue.jobs, 500_000);
    assert_eq!(config.queue.bytes, 268_435_456);
    assert_eq!(config.dormant.jobs, 2_000_000);
    assert_eq!(config.dormant.bytes, 1_073_741_824);
    assert_eq!(config.runtime.callback_version(), ApiVersion::V6);
    assert!(Runtime::is_on(&config.runtime.auto_close_completed));
    assert!(!Runtime::is_on(&config.runtime.auto_close_rejected));
    assert!(!Runtime::is_on(&config.runtime.auto_close_complicated));
    assert!(Runtime::is_on(&config.runtime.auto_close_errored));
    assert_eq!(config.log.level, "debug");
    assert!(config.log.pretty && config.log.color && !config.log.one_line);
}

#[test]
fn a_master_is_not_told_the_address_its_workers_register() {
    for (mode, is_told) in [("standalone", true), ("worker", true), ("master", false)] {
        let config = Fixture::with(&[("MODE", mode)]).load();
        assert_eq!(config.has_mq_address(), is_told, "{mode}");
    }
}

#[test]
fn an_empty_least_length_switches_compression_of_messages_off() {
    let mut fixture = Fixture::with(&[
        ("COMPRESS_MQ_MESSAGE", "true"),
        ("MQ_MESSAGE_COMPRESS_MIN_LENGTH", ""),
    ]);
    let config = fixture.load();
    assert_eq!(config.mq.compress_from, None);
    let says_so = |warning: &String| warning.contains("MQ_MESSAGE_COMPRESS_MIN_LENGTH");
    assert!(config.warnings.iter().any(says_so));
    fixture.set(&[("MQ_MESSAGE_COMPRESS_MIN_LENGTH", "5")]);
    assert_eq!(fixture.load().mq.compress_from, Some(5));
}

#[test]
fn production_logs_less_and_plainer() {
    let mut fixture = Fixture::with(&[("NODE_ENV", "production")]);
    let key = fixture.path("keys/rp1.signing.pem");
    fixture.set(&[
        ("PRIVATE_KEY_PATH", &key),
        ("MASTER_PRIVATE_KEY_PATH", &key),
    ]);
    let log = fixture.load().log;
    assert_eq!(
        (log.level.as_str(), log.pretty, log.color),
        ("info", false, false)
    );
}

#[test]
fn every_mistake_is_listed_at_once() {
    let fixture = Fixture::with(&[
        ("NODE_ENV", "prod"),
        ("MODE", "Master"),
        ("NODE_ID", ""),
        ("STORE", "mysql"),
        ("SERVER_PORT", "8080a"),
        ("DB_PORT", "70000"),
        ("TENDERMINT_IP", "ws://here"),
        ("TENDERMINT_WS_CONNECTIONS", "0"),
        ("CLIENT_HTTP_ERROR_CODE", "42"),
        ("LOG_LEVEL", "verbose"),
        ("DEFAULT_API_VERSION", "7"),
        ("CALLBACK_API_VERSION", "x"),
        ("EXTERNAL_CRYPTO_SERVICE_CALLBACK_API_VERSION", "4.0"),
        ("USE_API_KEY", "true"),
        ("HTTPS", "true"),
        ("GRPC_SSL", "true"),
        ("PROMETHEUS", "true"),
        ("PROMETHEUS_HTTPS", "true"),
        ("SIGNING_PRIVATE_KEY_PATH", "/nowhere/key.pem"),
        ("NODE_BEHIND_PROXY_PRIVATE_KEY_DIRECTORY_PATH", "/nowhere"),
        ("CALLBACK_RETRY_TIMEOUT", "-1"),
        ("SHUTDOWN_GRACE_MS", "soon"),
        ("WORKER_RUN_CAPACITY", "0"),
    ]);
    let mut wrong = fixture.wrong();
    wrong.sort_unstable();
    let mut expected = vec![
        "NODE_ENV",
        "MODE",
        "NODE_ID",
        "STORE",
        "SERVER_PORT",
        "DB_PORT",
        "TENDERMINT_IP",
        "TENDERMINT_WS_CONNECTIONS",
        "CLIENT_HTTP_ERROR_CODE",
        "LOG_LEVEL",
        "DEFAULT_API_VERSION",
        "CALLBACK_API_VERSION",
        "EXTERNAL_CRYPTO_SERVICE_CALLBACK_API_VERSION",
        "API_KEY_HASH",
        "HTTPS_KEY_PATH",
        "HTTPS_CERT_PATH",
        "GRPC_SSL_ROOT_CERT_FILE_PATH",
        "GRPC_SSL_KEY_FILE_PATH",
        "GRPC_SSL_CERT_FILE_PATH",
        "PROMETHEUS_HTTPS_KEY_PATH",
        "PROMETHEUS_HTTPS_CERT_PATH",
        "SIGNING_PRIVATE_KEY_PATH",
        // Their keys are searched by node id, which is missing.
        "SIGNING_MASTER_PRIVATE_KEY_PATH",
        "ENCRYPTION_PRIVATE_KEY_PATH",
        "NODE_BEHIND_PROXY_PRIVATE_KEY_DIRECTORY_PATH",
        "CALLBACK_RETRY_TIMEOUT",
        "SHUTDOWN_GRACE_MS",
        "WORKER_RUN_CAPACITY",
    ];
    expected.sort_unstable();
    assert_eq!(wrong, expected);
}

#[test]
fn the_list_has_one_line_per_mistake_with_variable_value_and_fix() {
    let fixture = Fixture::with(&[("DB_PORT", "70000"), ("MODE", "Master")]);
    let text = load_from(&fixture.environment).unwrap_err().to_string();
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.len(), 2);
    assert!(lines.contains(&r#"DB_PORT="70000": must be a whole number from 1 to 65535"#));
    assert!(lines.contains(&r#"MODE="Master": must be one of standalone, master, worker"#));
}

#[test]
fn secrets_are_shown_nowhere() {
    let mut fixture = Fixture::with(&[
        ("DB_PASSWORD", "hidden-1"),
        ("SIGNING_PRIVATE_KEY_PASSPHRASE", "hidden-2"),
        ("PRIVATE_KEY_PASSPHRASE", "hidden-3"),
        ("MASTER_PRIVATE_KEY_PASSPHRASE", "hidden-4"),
        ("TELEMETRY_DB_PASSWORD", "hidden-5"),
        ("USE_API_KEY", "true"),
        ("API_KEY_HASH", &"ab".repeat(32)),
    ]);
    let config = fixture.load();
    let shown = format!("{config:?} {:?} {:?}", config.summary(), config.warnings);
    assert!(!shown.contains("hidden"), "{shown}");
    let summary = config.summary();
    assert!(summary.contains(&("DB_PASSWORD", "(set)".to_owned())));
    assert!(!format!("{summary:?}").contains("abab"));

    fixture.set(&[
        ("API_KEY_HASH", "hidden-6"),
        ("MODE", "wrong"),
        ("DB_IP", "redis://:hidden-7@db"),
    ]);
    let mistakes = load_from(&fixture.environment).unwrap_err();
    assert_eq!(mistakes.0.len(), 3);
    assert!(!format!("{mistakes} {mistakes:?}").contains("hidden"));
}

fn key_paths(config: &Config) -> [String; 3] {
    let Keys::Files {
        signing,
        signing_master,
        encryption,
        ..
    } = &config.keys
    else {
        panic!("keys in files");
    };
    [signing, signing_master, encryption].map(|key| key.path.display().to_string())
}

#[test]
fn development_finds_keys_in_the_data_directory_and_production_does_not() {
    let mut fixture = Fixture::new();
    let kept = ["signing", "master", "encryption"]
        .map(|part| fixture.path(&format!("keys/rp1.{part}.pem")));
    assert_eq!(key_paths(&fixture.load()), kept);
    fixture.set(&[("NODE_ENV", "production")]);
    assert_eq!(
        fixture.wrong(),
        [
            "SIGNING_PRIVATE_KEY_PATH",
            "SIGNING_MASTER_PRIVATE_KEY_PATH",
            "ENCRYPTION_PRIVATE_KEY_PATH"
        ]
    );
}

#[test]
fn production_takes_new_and_deprecated_key_variables() {
    let mut fixture = Fixture::with(&[("NODE_ENV", "production")]);
    let [signing, master, encryption] = ["signing", "master", "encryption"]
        .map(|part| fixture.path(&format!("keys/rp1.{part}.pem")));
    fixture.set(&[
        ("PRIVATE_KEY_PATH", &signing),
        ("MASTER_PRIVATE_KEY_PATH", &master),
    ]);
    let config = fixture.load();
    assert_eq!(
        key_paths(&config),
        [signing.clone(), master.clone(), signing.clone()]
    );
    let deprecated = |name: &str| {
        let warnings = config.warnings.iter();
        warnings
            .filter(|text| text.starts_with(&format!("{name} is deprecated")))
            .count()
    };
    assert_eq!(deprecated("PRIVATE_KEY_PATH"), 1);
    assert_eq!(deprecated("MASTER_PRIVATE_KEY_PATH"), 1);

    fixture.environment.remove("PRIVATE_KEY_PATH");
    fixture.environment.remove("MASTER_PRIVATE_KEY_PATH");
    fixture.set(&[
        ("SIGNING_PRIVATE_KEY_PATH", &signing),
        ("SIGNING_MASTER_PRIVATE_KEY_PATH", &master),
        ("ENCRYPTION_PRIVATE_KEY_PATH", &encryption),
    ]);
    assert_eq!(key_paths(&fixture.load()), [signing, master, encryption]);
}

#[test]
fn the_passphrase_of_the_encryption_key_counts_without_any_other_variable() {
    use secrecy::ExposeSecret;
    let fixture = Fixture::with(&[
        ("PRIVATE_KEY_PASSPHRASE", "old"),
        ("ENCRYPTION_PRIVATE_KEY_PASSPHRASE", "new"),
    ]);
    let Keys::Files {
        signing,
        encryption,
        ..
    } = fixture.load().keys
    else {
        panic!("keys in files");
    };
    assert_eq!(signing.passphrase.unwrap().expose_secret(), "old");
    assert_eq!(encryption.passphrase.unwrap().expose_secret(), "new");
}

#[test]
fn an_external_crypto_service_needs_no_keys() {
    let fixture = Fixture::with(&[
        ("NODE_ENV", "production"),
        ("USE_EXTERNAL_CRYPTO_SERVICE", "true"),
        ("CALLBACK_API_VERSION", "5"),
    ]);
    let config = fixture.load();
    assert!(matches!(config.keys, Keys::External));
    assert_eq!(config.runtime.external_crypto_version(), ApiVersion::V5);
    for (text, version) in [("5.3", ApiVersion::V5), ("6.0", ApiVersion::V6)] {
        let mut environment = fixture.environment.clone();
        let name = "EXTERNAL_CRYPTO_SERVICE_CALLBACK_API_VERSION".to_owned();
        environment.insert(name, text.to_owned());
        assert_eq!(
            load_from(&environment)
                .unwrap()
                .runtime
                .external_crypto_version(),
            version
        );
    }
}

#[test]
fn flags_are_true_only_by_that_very_word() {
    let fixture = Fixture::with(&[
        ("REGISTER_MQ_AT_STARTUP", "TRUE"),
        ("AUTO_CLOSE_REQUEST_ON_REJECTED", "true"),
        ("VALIDATE_IDENTIFIER", "FALSE"),
        ("DCONTRACT_VALIDATE", "no"),
        ("COMPRESS_MQ_MESSAGE", "true"),
    ]);
    let config = fixture.load();
    assert!(!config.mq.register_at_startup);
    assert!(Runtime::is_on(&config.runtime.auto_close_rejected));
    assert!(!config.validate_identifier);
    assert!(config.dcontract.validate);
    assert_eq!(config.mq.compress_from, Some(1000));
    assert!(
        config
            .warnings
            .iter()
            .any(|text| text.contains("REGISTER_MQ_AT_STARTUP=TRUE"))
    );
}

#[test]
fn what_is_not_set_but_should_be_is_warned_about() {
    let warnings = Fixture::new().load().warnings;
    for name in ["NODE_ENV", "TENDERMINT_IP", "MQ_CONTACT_IP"] {
        assert!(warnings.iter().any(|text| text.starts_with(name)), "{name}");
    }
    let fixture = Fixture::with(&[
        ("NODE_ENV", "test"),
        ("TENDERMINT_IP", "ledger"),
        ("MQ_CONTACT_IP", "10.0.0.1"),
    ]);
    assert_eq!(fixture.load().warnings, [] as [String; 0]);
}

#[test]
fn the_embedded_store_needs_a_directory_to_write_to_but_not_for_a_worker() {
    let mut fixture = Fixture::with(&[("STORE", "embedded")]);
    let file = fixture.path("keys/rp1.signing.pem");
    assert_eq!(fixture.load().store, StoreChoice::Embedded);
    fixture.set(&[
        ("DATA_DIRECTORY_PATH", &file),
        ("USE_EXTERNAL_CRYPTO_SERVICE", "true"),
    ]);
    assert_eq!(fixture.wrong(), ["DATA_DIRECTORY_PATH"]);
    fixture.set(&[("MODE", "worker")]);
    assert_eq!(fixture.load().mode, Mode::Worker);
}

#[test]
fn the_master_needs_no_certificate_for_an_api_it_does_not_serve() {
    let fixture = Fixture::with(&[("HTTPS", "true"), ("MODE", "master")]);
    assert!(fixture.load().api.https.is_none());
}

#[test]
fn several_masters_are_separated_by_commas() {
    let fixture = Fixture::with(&[
        ("MASTER_SERVER_IP", "master-a, 10.0.0.2:7001,::1,[::2]:7002"),
        ("MASTER_SERVER_PORT", "7100"),
    ]);
    let link = fixture.load().link;
    let masters = [
        MasterAddress::new("master-a", 7100),
        MasterAddress::new("10.0.0.2", 7001),
        MasterAddress::new("::1", 7100),
        MasterAddress::new("::2", 7002),
    ];
    assert_eq!(link.masters, masters);
    let text = "master-a,10.0.0.2:7001,::1,[::2]:7002";
    assert_eq!(link.masters_text(), text);
}

#[test]
fn a_wrong_address_of_a_master_is_named_with_the_fix() {
    for wrong in [
        "a:b",
        "a:0",
        "a:70000",
        "a,,b",
        "http://a",
        "a b",
        "[x]:1",
        ":7000",
        "[::1]7000",
    ] {
        let fixture = Fixture::with(&[("MASTER_SERVER_IP", wrong)]);
        let mistakes = fixture.mistakes();
        let [mistake] = &mistakes[..] else {
            panic!("{wrong}: {mistakes:?}");
        };
        assert_eq!(mistake.variable, "MASTER_SERVER_IP");
        assert_eq!(mistake.value.as_deref(), Some(wrong));
        assert!(mistake.fix.contains("host"), "{mistake}");
    }
}

#[test]
fn the_configuration_for_tests_can_be_made() {
    let config = Config::for_test("idp1");
    assert_eq!(
        (config.node_id.as_str(), config.store),
        ("idp1", StoreChoice::Embedded)
    );
}

#[test]
fn operators_need_no_keys_and_nothing_else_that_they_do_not_use() {
    let environment = |pairs: &[(&str, &str)]| -> HashMap<String, String> {
        let owned = pairs.iter();
        owned
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect()
    };
    let bastion = environment(&[
        ("NODE_ENV", "production"),
        ("NODE_ID", "rp1"),
        ("MODE", "worker"),
        ("MASTER_SERVER_IP", "master-a"),
        ("HTTPS", "true"),
        ("SIGNING_PRIVATE_KEY_PATH", "/not/here"),
    ]);
    assert!(load_from(&bastion).is_err());
    let config = load_for_operators_from(&bastion).unwrap();
    assert_eq!(config.link.masters[0].host, "master-a");
    let wrong = environment(&[("NODE_ENV", "production"), ("DB_PORT", "many")]);
    let mistakes = load_for_operators_from(&wrong).unwrap_err().0;
    let named: Vec<&str> = mistakes.iter().map(|mistake| mistake.variable).collect();
    assert_eq!(named, ["NODE_ID", "DB_PORT"]);
}

#[test]
fn the_dashboard_is_off_unless_it_has_a_port() {
    let environment = |pairs: &[(&str, &str)]| -> HashMap<String, String> {
        let own = [
            ("NODE_ENV", "test"),
            ("NODE_ID", "rp1"),
            ("USE_EXTERNAL_CRYPTO_SERVICE", "true"),
        ];
        let all = own.iter().chain(pairs);
        all.map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect()
    };
    assert!(load_from(&environment(&[])).unwrap().dashboard.is_none());
    let on = load_from(&environment(&[("DASHBOARD_PORT", "9090")])).unwrap();
    let on = on.dashboard.unwrap();
    assert_eq!((on.port, on.tokens), (9090, None));
    let tokens = ("DASHBOARD_TOKENS_FILE", "/not/here");
    let wrong = load_from(&environment(&[("DASHBOARD_PORT", "9090"), tokens])).unwrap_err();
    assert_eq!(wrong.0[0].variable, "DASHBOARD_TOKENS_FILE");
}

#[test]
fn a_value_that_kubernetes_made_for_a_service_is_named_for_what_it_is() {
    let fixture = Fixture::with(&[
        ("DB_PORT", "tcp://10.43.0.7:6379"),
        ("SERVER_PORT", "tcp://10.43.0.8:80"),
        ("MASTER_SERVER_PORT", "tcp://10.43.0.9:7000"),
        ("MQ_SERVICE_SERVER_PORT", "tcp://10.43.0.9:50051"),
        ("TENDERMINT_PORT", "wrong"),
    ]);
    for mistake in fixture.mistakes() {
        let is_of_a_service = mistake.variable != "TENDERMINT_PORT";
        assert_eq!(
            mistake.fix.contains("enableServiceLinks"),
            is_of_a_service,
            "{mistake}"
        );
    }
    assert_eq!(fixture.mistakes().len(), 5);
}

#[test]
fn certificates_that_are_none_are_named_with_their_variable() {
    let fixture = Fixture::new();
    let file = fixture.path("keys/rp1.signing.pem");
    let mut fixture = fixture;
    fixture.set(&[
        ("HTTPS", "true"),
        ("HTTPS_KEY_PATH", &file),
        ("HTTPS_CERT_PATH", &file),
    ]);
    let mistakes = fixture.mistakes();
    let told: Vec<&str> = mistakes.iter().map(|mistake| mistake.variable).collect();
    assert_eq!(told, ["HTTPS_KEY_PATH", "HTTPS_CERT_PATH"]);
    assert!(
        mistakes[0].fix.contains("PEM private key"),
        "{}",
        mistakes[0]
    );
}
