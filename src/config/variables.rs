//! The raw environment, one struct per concern. Everything is optional text
//! here, so that reading never stops at the first mistake; `load` judges it.
//! A field's variable is its name in capitals.

use std::collections::HashMap;

use envconfig::Envconfig;

macro_rules! concerns {
    ($($(#[$doc:meta])* $concern:ident { $($field:ident),* $(,)? })*) => {
        $(
            $(#[$doc])*
            #[derive(Debug, Default, Envconfig)]
            pub(super) struct $concern { $(pub $field: Option<String>,)* }
        )*
    };
}

concerns! {
    /// What this process is.
    Process {
        node_env, mode, node_id, ndid_node, store, data_directory_path, shutdown_grace_ms,
        worker_run_capacity, worker_delivery_capacity,
    }
    /// Master, workers and the message queue service.
    Links {
        master_server_ip, master_server_port, grpc_ping_interval_ms, grpc_ping_timeout_ms,
        grpc_call_timeout_ms, grpc_ssl, grpc_ssl_root_cert_file_path, grpc_ssl_key_file_path,
        grpc_ssl_cert_file_path,
    }
    /// The HTTP API.
    Http {
        server_port, https, https_key_path, https_cert_path, client_http_error_code,
        server_http_error_code, default_api_version, use_api_key, api_key_hash,
        enable_config_http_route_path,
    }
    /// Redis.
    Database { db_ip, db_port, db_password }
    /// Logging.
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
    /// What the roles do.
    Flow {
        callback_api_version, callback_retry_timeout, auto_close_request_on_completed,
        auto_close_request_on_rejected, auto_close_request_on_complicated,
        auto_close_request_on_errored, validate_identifier, dcontract_request_type,
        dcontract_validate, dcontract_fetch_timeout,
    }
    /// Metrics.
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

/// The file `.env` of the working directory under the process's own
/// environment, which wins. Text that is not UTF-8 is kept recognisable.
pub(super) fn environment() -> Result<HashMap<String, String>, dotenvy::Error> {
    let mut environment = HashMap::new();
    match dotenvy::from_path_iter(".env") {
        Ok(lines) => {
            for line in lines {
                let (name, value) = line?;
                environment.insert(name, value);
            }
        }
        Err(error) if error.not_found() => {}
        Err(error) => return Err(error),
    }
    let own = std::env::vars_os().map(|(name, value)| {
        let text = |os: std::ffi::OsString| os.to_string_lossy().into_owned();
        (text(name), text(value))
    });
    environment.extend(own);
    Ok(environment)
}
