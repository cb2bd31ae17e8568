//! The raw environment, one struct per concern. Everything is optional text
//! here, so that reading never stops at the first mistake; `load` checks it. A
//! field's variable is its name in capitals.

use std::collections::HashMap;
use std::ffi::OsString;
use std::io;
use std::path::Path;

use envconfig::Envconfig;

use super::dotenv;

macro_rules! concerns {
    ($($(#[$doc:meta])* $concern:ident { $($field:ident),* $(,)? })*) => {
        $(
            $(#[$doc])*
            #[derive(Debug, Default, Envconfig)]
            pub(super) struct $concern { $(pub $field: Option<String>,)* }
        )*

        /// All variables, in small letters.
        #[cfg(test)]
        pub(super) const NAMES: &[&str] = &[$($(stringify!($field),)*)*];
    };
}

concerns! {
    Process {
        node_env, mode, node_id, ndid_node, store, data_directory_path, shutdown_grace_ms, shutdown_drain_ms,
        worker_run_capacity, worker_delivery_capacity, queue_limit_jobs, queue_limit_bytes,
        queue_limit_dormant_jobs, queue_limit_dormant_bytes,
    }
    /// Master, workers and the message queue service.
    Links {
        master_server_ip, master_server_port, master_wait_ms, grpc_ping_interval_ms, grpc_ping_timeout_ms,
        grpc_call_timeout_ms, grpc_ssl, grpc_ssl_root_cert_file_path, grpc_ssl_key_file_path,
        grpc_ssl_cert_file_path,
    }
    /// Who may join the node's processes.
    Cluster { cluster_token_file, cluster_peer_names, cluster_insecure }
    /// The addresses that the process listens on.
    Listeners {
        bind_address, server_bind_address, master_server_bind_address,
        prometheus_server_bind_address,
    }
    /// Calls to the servers of others.
    Outward { outbound_allow_networks, outbound_deny_networks, node_extra_ca_certs }
    /// The HTTP API.
    Http {
        server_port, https, https_key_path, https_cert_path, client_http_error_code,
        server_http_error_code, default_api_version, use_api_key, api_key_hash,
        enable_config_http_route_path,
    }
    /// Redis.
    Database {
        db_ip, db_port, db_password, db_url, db_username, db_number, db_tls, db_tls_ca_file,
        db_tls_cert_file, db_tls_key_file, db_tls_server_name, db_sentinels, db_sentinel_master,
        db_sentinel_username, db_sentinel_password, db_sentinel_tls, db_cluster_nodes,
        db_min_replicas_to_ack, db_replica_ack_timeout_ms,
    }
    Logging { log_level, log_pretty_print, log_color, log_one_line }
    /// The ledger.
    Chain {
        tendermint_ip, tendermint_port, tendermint_ws_connections,
        max_interval_tendermint_sync_check,
    }
    /// The message queue and message compression.
    Queue {
        mq_contact_ip, mq_binding_port, mq_service_server_ip, mq_service_server_port,
        register_mq_at_startup, compress_mq_message, mq_message_compress_min_length,
        as_data_compress_min_length,
    }
    /// Private keys.
    Secrets {
        use_external_crypto_service, external_crypto_service_callback_api_version,
        private_key_path, private_key_passphrase, master_private_key_path,
        master_private_key_passphrase, signing_private_key_path, signing_private_key_passphrase,
        signing_master_private_key_path, signing_master_private_key_passphrase,
        encryption_private_key_path, encryption_private_key_passphrase,
        node_behind_proxy_signing_private_key_directory_path,
        node_behind_proxy_signing_master_private_key_directory_path,
        node_behind_proxy_encryption_private_key_directory_path,
        node_behind_proxy_private_key_directory_path,
        node_behind_proxy_master_private_key_directory_path,
    }
    /// The flows of the roles.
    Flow {
        callback_api_version, callback_retry_timeout, auto_close_request_on_completed,
        auto_close_request_on_rejected, auto_close_request_on_complicated,
        auto_close_request_on_errored, validate_identifier, dcontract_request_type,
        dcontract_validate, dcontract_fetch_timeout,
    }
    /// The dashboard.
    Board {
        dashboard_port, dashboard_tokens_file, dashboard_loopback_operator, dashboard_https,
        dashboard_https_key_path, dashboard_https_cert_path,
    }
    Metrics {
        prometheus, prometheus_server_port, prometheus_https, prometheus_https_key_path,
        prometheus_https_cert_path,
    }
}

/// Reads one concern. An empty variable counts as unset.
pub(super) fn read<C: Envconfig + Default>(environment: &HashMap<String, String>) -> C {
    // Every field is `Option<String>`, which any text satisfies.
    C::init_from_hashmap(environment).unwrap_or_default()
}

/// What the environment is made of.
#[derive(Debug, Default)]
pub(super) struct Sources {
    /// The variables of the file, overridden by the process's own.
    pub variables: HashMap<String, String>,
    /// Why the file was passed over, if it is there and cannot be read.
    pub warning: Option<String>,
}

/// The variables of a file like `.env`, if it exists, overridden by the
/// process's own. A file that cannot be read is passed over, as in the replaced
/// system. Text that is not UTF-8 stays recognisable.
pub(super) fn environment(
    file: &Path,
    own: impl IntoIterator<Item = (OsString, OsString)>,
) -> Sources {
    let mut sources = Sources::default();
    match std::fs::read(file) {
        Ok(bytes) => {
            let text = String::from_utf8_lossy(&bytes);
            sources.variables.extend(dotenv::parse(&text));
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => {
            let file = file.display();
            sources.warning = Some(format!("{file} cannot be read and is passed over: {error}"));
        }
    }
    let text = |os: OsString| os.to_string_lossy().into_owned();
    sources.variables.extend(
        own.into_iter()
            .map(|(name, value)| (text(name), text(value))),
    );
    sources
}

#[cfg(test)]
mod tests {
    use super::*;

    fn own(variables: &[(&str, &str)]) -> Vec<(OsString, OsString)> {
        let owned = variables.iter();
        owned
            .map(|(name, value)| (name.into(), value.into()))
            .collect()
    }

    #[test]
    fn the_process_environment_wins_over_the_file() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join(".env");
        std::fs::write(&file, "NODE_ID=rp1\n# comment\nMODE='worker'\n").unwrap();
        let both = environment(&file, own(&[("MODE", "master"), ("DB_IP", "db")])).variables;
        assert_eq!(both["NODE_ID"], "rp1");
        assert_eq!(both["MODE"], "master");
        assert_eq!(both["DB_IP"], "db");
        let without = environment(&directory.path().join("none"), own(&[("A", "1")]));
        assert_eq!((without.variables.len(), without.warning), (1, None));
    }

    #[test]
    fn an_odd_line_spoils_nothing() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join(".env");
        std::fs::write(&file, "odd\nNODE_ID: rp1\nDB_PASSWORD='hid$den\n").unwrap();
        let read = environment(&file, own(&[])).variables;
        assert_eq!(read["NODE_ID"], "rp1");
        assert_eq!(read["DB_PASSWORD"], "'hid$den");
    }

    #[test]
    fn a_directory_of_that_name_is_passed_over() {
        let directory = tempfile::tempdir().unwrap();
        let read = environment(directory.path(), own(&[("A", "1")]));
        assert_eq!(read.variables.len(), 1);
        assert!(read.warning.unwrap().contains("passed over"));
    }
}
