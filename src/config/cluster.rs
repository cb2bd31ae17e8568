//! Who may join the node's processes, and from where.

use std::path::PathBuf;

use super::Mode;
use super::check::{Checker, variable};
use super::listen::Listen;
use super::variables::Cluster as Variables;

/// `CLUSTER_*`.
#[derive(Debug, Clone, Default)]
pub struct ClusterAccess {
    /// `CLUSTER_TOKEN_FILE`: a secret that all processes of the node know.
    pub token_file: Option<PathBuf>,
    /// `CLUSTER_PEER_NAMES`: names in certificates of the node's processes that
    /// do not name the node.
    pub peer_names: Vec<String>,
    /// `CLUSTER_INSECURE`: a master without certificates and token listens for
    /// other machines too.
    pub insecure: bool,
}

pub(super) fn cluster(
    variables: &Variables,
    mode: Mode,
    has_certificates: bool,
    listen: &mut Listen,
    checker: &mut Checker,
) -> ClusterAccess {
    let file = variable!("CLUSTER_TOKEN_FILE", variables.cluster_token_file);
    let token_file = file.1.is_some().then(|| {
        checker.file(
            file,
            "the file with the token that all processes of the node share",
        )
    });
    let names = variable!("CLUSTER_PEER_NAMES", variables.cluster_peer_names).1;
    let names = names.unwrap_or_default();
    let names = names.split(',').map(str::trim);
    let cluster = ClusterAccess {
        insecure: checker.flag(
            variable!("CLUSTER_INSECURE", variables.cluster_insecure),
            false,
        ),
        peer_names: names
            .filter(|name| !name.is_empty())
            .map(str::to_owned)
            .collect(),
        token_file,
    };
    if has_certificates && cluster.token_file.is_some() {
        checker.warn(
            "CLUSTER_TOKEN_FILE has no effect: the cluster link is secured by certificates \
             (GRPC_SSL)",
        );
    }
    if mode == Mode::Master && !has_certificates && cluster.token_file.is_none() {
        without_a_lock(&cluster, listen, checker);
    }
    cluster
}

/// A master that believes everybody.
fn without_a_lock(cluster: &ClusterAccess, listen: &mut Listen, checker: &mut Checker) {
    if cluster.insecure {
        checker.warn(
            "CLUSTER_INSECURE=true: whoever reaches MASTER_SERVER_PORT may take jobs, read the \
             store and decide about jobs; set CLUSTER_TOKEN_FILE or GRPC_SSL instead",
        );
        return;
    }
    if listen.master_is_set && !listen.master.is_loopback() {
        checker.mistake(
            "MASTER_SERVER_BIND_ADDRESS",
            None,
            "a loopback address while neither GRPC_SSL nor CLUSTER_TOKEN_FILE secures the \
             cluster link (erawan certs makes both; CLUSTER_INSECURE=true allows it without)",
        );
        return;
    }
    if !listen.master_is_set {
        listen.master = super::listen::Bind::loopback();
    }
    checker.warn(
        "the cluster link has neither certificates (GRPC_SSL) nor a token (CLUSTER_TOKEN_FILE): \
         this master listens for workers of its own machine only",
    );
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use crate::config::{Bind, Config, ConfigMistakes, load_from};

    fn load(variables: &[(&str, &str)]) -> Result<Config, ConfigMistakes> {
        let own = [
            ("NODE_ENV", "test"),
            ("NODE_ID", "rp1"),
            ("MODE", "master"),
            ("USE_EXTERNAL_CRYPTO_SERVICE", "true"),
        ];
        let all = own.iter().chain(variables);
        let all = all.map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        load_from(&all.collect::<HashMap<_, _>>())
    }

    fn warns(config: &Config, word: &str) -> bool {
        config.warnings.iter().any(|warning| warning.contains(word))
    }

    #[test]
    fn a_master_that_believes_everybody_is_reached_from_its_own_machine_only() {
        let config = load(&[]).unwrap();
        assert_eq!(config.listen.master, Bind::loopback());
        assert!(warns(&config, "its own machine only"));
        let all = load(&[("BIND_ADDRESS", "0.0.0.0")]).unwrap();
        assert!(all.listen.master.is_loopback());
        assert!(!all.listen.metrics.is_loopback());
        let mistakes = load(&[("MASTER_SERVER_BIND_ADDRESS", "10.0.0.1")]).unwrap_err();
        assert_eq!(mistakes.0[0].variable, "MASTER_SERVER_BIND_ADDRESS");
        assert!(mistakes.to_string().contains("CLUSTER_TOKEN_FILE"));
        let own = load(&[("MASTER_SERVER_BIND_ADDRESS", "127.0.0.7")]).unwrap();
        assert_eq!(
            own.listen.master.at(7000),
            ["127.0.0.7:7000".parse().unwrap()]
        );
    }

    #[test]
    fn a_token_or_the_word_of_an_operator_opens_the_masters_port() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let file = file.path().to_str().unwrap();
        let config = load(&[("CLUSTER_TOKEN_FILE", file)]).unwrap();
        assert_eq!(config.listen.master, Bind::everywhere());
        assert!(!warns(&config, "CLUSTER"));
        let config = load(&[("CLUSTER_INSECURE", "true")]).unwrap();
        assert_eq!(config.listen.master, Bind::everywhere());
        assert!(warns(&config, "CLUSTER_INSECURE=true"));
        let missing = load(&[("CLUSTER_TOKEN_FILE", "/nowhere")]).unwrap_err();
        assert_eq!(missing.0[0].variable, "CLUSTER_TOKEN_FILE");
    }

    #[test]
    fn addresses_are_ipv6_in_every_variable() {
        let config = load(&[
            ("DB_IP", "[::1]"),
            ("TENDERMINT_IP", "::1"),
            ("MQ_SERVICE_SERVER_IP", "[::1]"),
            ("MASTER_SERVER_IP", "[::1]:7001,::2"),
            ("SERVER_BIND_ADDRESS", "[::1], 127.0.0.1"),
        ])
        .unwrap();
        assert_eq!(config.redis.host, "::1");
        assert_eq!(config.tendermint.host, "::1");
        assert_eq!(config.mq.service_host, "::1");
        assert_eq!(config.link.masters[0].host, "::1");
        let listens: Vec<String> = config
            .listen
            .api
            .at(80)
            .iter()
            .map(ToString::to_string)
            .collect();
        assert_eq!(listens, ["[::1]:80", "127.0.0.1:80"]);
        let wrong = load(&[
            ("SERVER_BIND_ADDRESS", "localhost"),
            ("DB_IP", "[::1]:6379"),
        ]);
        assert_eq!(wrong.unwrap_err().0.len(), 2);
    }
}
