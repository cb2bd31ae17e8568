//! The settings that a process logs at start: everything that decides how it
//! behaves, and no secret.

use std::path::Path;

use super::{Config, KeyFile, Keys, Runtime, TlsFiles};

impl Config {
    /// The effective settings by variable. A secret only shows whether it is
    /// set.
    pub fn summary(&self) -> Vec<(&'static str, String)> {
        let mut lines = Lines::default();
        lines
            .put("NODE_ENV", format!("{:?}", self.environment).to_lowercase())
            .put("MODE", format!("{:?}", self.mode).to_lowercase())
            .put("NODE_ID", &self.node_id)
            .put("NDID_NODE", self.ndid_node)
            .put("STORE", format!("{:?}", self.store).to_lowercase())
            .put("DATA_DIRECTORY_PATH", self.data_directory.display())
            .put("SHUTDOWN_GRACE_MS", self.stop.grace.as_millis())
            .put("SHUTDOWN_DRAIN_MS", self.stop.drain.as_millis())
            .put("WORKER_RUN_CAPACITY", self.capacity.run)
            .put("WORKER_DELIVERY_CAPACITY", self.capacity.delivery)
            .put("QUEUE_LIMIT_JOBS", self.queue.jobs)
            .put("QUEUE_LIMIT_BYTES", self.queue.bytes)
            .put("QUEUE_LIMIT_DORMANT_JOBS", self.dormant.jobs)
            .put("QUEUE_LIMIT_DORMANT_BYTES", self.dormant.bytes);
        self.redis.summarise(&mut lines);
        self.summarise_links(&mut lines);
        self.summarise_api(&mut lines);
        self.summarise_keys(&mut lines);
        lines.0
    }

    fn summarise_links(&self, lines: &mut Lines) {
        lines
            .put("MASTER_SERVER_IP", self.link.masters_text())
            .put("MASTER_SERVER_PORT", self.link.port)
            .put("MASTER_WAIT_MS", self.link.wait.as_millis())
            .put("GRPC_PING_INTERVAL_MS", self.grpc.ping_interval.as_millis())
            .put("GRPC_PING_TIMEOUT_MS", self.grpc.ping_timeout.as_millis())
            .put("GRPC_CALL_TIMEOUT_MS", self.grpc.call_timeout.as_millis())
            .put("GRPC_SSL", self.grpc.tls.is_some())
            .secret("CLUSTER_TOKEN_FILE", self.cluster.token_file.is_some())
            .put("CLUSTER_PEER_NAMES", self.cluster.peer_names.join(","))
            .put("CLUSTER_INSECURE", self.cluster.insecure)
            .put("SERVER_BIND_ADDRESS", &self.listen.api)
            .put("MASTER_SERVER_BIND_ADDRESS", &self.listen.master)
            .put("PROMETHEUS_SERVER_BIND_ADDRESS", &self.listen.metrics)
            .put("TENDERMINT_IP", &self.tendermint.host)
            .put("TENDERMINT_PORT", self.tendermint.port)
            .put("TENDERMINT_WS_CONNECTIONS", self.tendermint.connections)
            .put(
                "MAX_INTERVAL_TENDERMINT_SYNC_CHECK",
                self.tendermint.max_sync_check_interval.as_millis(),
            )
            .put("MQ_CONTACT_IP", &self.mq.contact_ip)
            .put("MQ_BINDING_PORT", self.mq.binding_port)
            .put("MQ_SERVICE_SERVER_IP", &self.mq.service_host)
            .put("MQ_SERVICE_SERVER_PORT", self.mq.service_port)
            .put("REGISTER_MQ_AT_STARTUP", self.mq.register_at_startup)
            .put("COMPRESS_MQ_MESSAGE", self.mq.compress_from.is_some())
            .put("AS_DATA_COMPRESS_MIN_LENGTH", self.as_data_compress_from);
        if let Some(file) = &self.outbound.extra_authorities {
            lines.put("NODE_EXTRA_CA_CERTS", file.display());
        }
        if let Some(tls) = &self.grpc.tls {
            lines.put("GRPC_SSL_ROOT_CERT_FILE_PATH", tls.root.display());
            lines.tls(
                "GRPC_SSL_KEY_FILE_PATH",
                "GRPC_SSL_CERT_FILE_PATH",
                &tls.own,
            );
        }
        if let Some(length) = self.mq.compress_from {
            lines.put("MQ_MESSAGE_COMPRESS_MIN_LENGTH", length);
        }
    }

    fn summarise_api(&self, lines: &mut Lines) {
        let runtime = &self.runtime;
        lines
            .put("SERVER_PORT", self.api.port)
            .put("HTTPS", self.api.https.is_some())
            .put("CLIENT_HTTP_ERROR_CODE", self.api.client_error_status)
            .put("SERVER_HTTP_ERROR_CODE", self.api.server_error_status)
            .put("DEFAULT_API_VERSION", self.api.default_version.as_str())
            .put("USE_API_KEY", self.api.key_hash.is_some())
            .put("ENABLE_CONFIG_HTTP_ROUTE_PATH", self.api.config_routes)
            .put("CALLBACK_API_VERSION", runtime.callback_version().as_str())
            .put(
                "CALLBACK_RETRY_TIMEOUT",
                self.callback_retry_timeout.as_secs(),
            );
        for (name, flag) in runtime.auto_close() {
            lines.put(name, Runtime::is_on(flag));
        }
        lines
            .put("VALIDATE_IDENTIFIER", self.validate_identifier)
            .put("DCONTRACT_REQUEST_TYPE", &self.dcontract.request_type)
            .put("DCONTRACT_VALIDATE", self.dcontract.validate)
            .put(
                "DCONTRACT_FETCH_TIMEOUT",
                self.dcontract.fetch_timeout.as_millis(),
            )
            .put("LOG_LEVEL", &self.log.level)
            .put("LOG_PRETTY_PRINT", self.log.pretty)
            .put("LOG_COLOR", self.log.color)
            .put("LOG_ONE_LINE", self.log.one_line)
            .put("PROMETHEUS", self.prometheus.is_some());
        if let Some(tls) = &self.api.https {
            lines.tls("HTTPS_KEY_PATH", "HTTPS_CERT_PATH", tls);
        }
        if let Some(dashboard) = &self.dashboard {
            lines
                .put("DASHBOARD_PORT", dashboard.port)
                .put("DASHBOARD_HTTPS", dashboard.https.is_some());
            if let Some(tokens) = &dashboard.tokens {
                lines.put("DASHBOARD_TOKENS_FILE", tokens.display());
            }
            if let Some(name) = &dashboard.loopback_operator {
                lines.put("DASHBOARD_LOOPBACK_OPERATOR", name);
            }
        }
        if let Some(prometheus) = &self.prometheus {
            lines
                .put("PROMETHEUS_SERVER_PORT", prometheus.port)
                .put("PROMETHEUS_HTTPS", prometheus.https.is_some());
            if let Some(tls) = &prometheus.https {
                lines.tls(
                    "PROMETHEUS_HTTPS_KEY_PATH",
                    "PROMETHEUS_HTTPS_CERT_PATH",
                    tls,
                );
            }
        }
    }

    fn summarise_keys(&self, lines: &mut Lines) {
        let external = matches!(self.keys, Keys::External);
        lines.put("USE_EXTERNAL_CRYPTO_SERVICE", external).put(
            "EXTERNAL_CRYPTO_SERVICE_CALLBACK_API_VERSION",
            self.runtime.external_crypto_version().as_str(),
        );
        let Keys::Files {
            signing,
            signing_master,
            encryption,
            behind_proxy,
        } = &self.keys
        else {
            return;
        };
        lines
            .key(
                "SIGNING_PRIVATE_KEY_PATH",
                "SIGNING_PRIVATE_KEY_PASSPHRASE",
                signing,
            )
            .key(
                "SIGNING_MASTER_PRIVATE_KEY_PATH",
                "SIGNING_MASTER_PRIVATE_KEY_PASSPHRASE",
                signing_master,
            )
            .key(
                "ENCRYPTION_PRIVATE_KEY_PATH",
                "ENCRYPTION_PRIVATE_KEY_PASSPHRASE",
                encryption,
            );
        for (name, directory) in [
            (
                "NODE_BEHIND_PROXY_SIGNING_PRIVATE_KEY_DIRECTORY_PATH",
                &behind_proxy.signing,
            ),
            (
                "NODE_BEHIND_PROXY_SIGNING_MASTER_PRIVATE_KEY_DIRECTORY_PATH",
                &behind_proxy.signing_master,
            ),
            (
                "NODE_BEHIND_PROXY_ENCRYPTION_PRIVATE_KEY_DIRECTORY_PATH",
                &behind_proxy.encryption,
            ),
        ] {
            if let Some(directory) = directory {
                lines.put(name, Path::display(directory));
            }
        }
    }
}

#[derive(Default)]
pub(super) struct Lines(Vec<(&'static str, String)>);

impl Lines {
    pub(super) fn put(&mut self, name: &'static str, value: impl ToString) -> &mut Self {
        self.0.push((name, value.to_string()));
        self
    }

    pub(super) fn secret(&mut self, name: &'static str, is_set: bool) -> &mut Self {
        self.put(name, if is_set { "(set)" } else { "(not set)" })
    }

    pub(super) fn tls(&mut self, key: &'static str, certificate: &'static str, files: &TlsFiles) {
        self.put(key, files.key.display());
        self.put(certificate, files.certificate.display());
    }

    fn key(&mut self, path: &'static str, passphrase: &'static str, key: &KeyFile) -> &mut Self {
        self.put(path, key.path.display());
        self.secret(passphrase, key.passphrase.is_some())
    }
}
