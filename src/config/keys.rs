//! Where the private keys are (spec/process-model-and-config.md 10.1). New
//! variables win over deprecated ones. The replaced system's built-in
//! development keys are files in the data directory here.

use std::path::Path;

use super::check::{Checker, Variable, readable_file, secret, variable};
use super::variables::Secrets;
use super::{ApiVersion, BehindProxyKeys, Environment, KeyFile, Keys};

pub(super) fn keys(
    secrets: &Secrets,
    environment: Environment,
    data_directory: &Path,
    node_id: &str,
    checker: &mut Checker,
) -> Keys {
    let external = variable!(
        "USE_EXTERNAL_CRYPTO_SERVICE",
        secrets.use_external_crypto_service
    );
    if checker.flag(external, false) {
        return Keys::External;
    }
    let mut key = |path: Variable,
                   passphrase: Variable,
                   old_path: Variable,
                   old_passphrase: Variable,
                   part: &str| {
        let name = path.0;
        let given = if path.1.is_some() { path } else { old_path };
        let kept = data_directory
            .join("keys")
            .join(format!("{node_id}.{part}.pem"));
        let kept = (environment != Environment::Production && readable_file(&kept).is_ok())
            .then(|| kept.display().to_string());
        let path = if given.1.is_some() {
            given
        } else {
            (name, kept)
        };
        KeyFile {
            path: checker.file(path, &format!("the {part} private key (PEM)")),
            passphrase: secret(passphrase).or_else(|| secret(old_passphrase)),
        }
    };
    Keys::Files {
        signing: key(
            variable!("SIGNING_PRIVATE_KEY_PATH", secrets.signing_private_key_path),
            variable!(
                "SIGNING_PRIVATE_KEY_PASSPHRASE",
                secrets.signing_private_key_passphrase
            ),
            variable!("PRIVATE_KEY_PATH", secrets.private_key_path),
            variable!("PRIVATE_KEY_PASSPHRASE", secrets.private_key_passphrase),
            "signing",
        ),
        signing_master: key(
            variable!(
                "SIGNING_MASTER_PRIVATE_KEY_PATH",
                secrets.signing_master_private_key_path
            ),
            variable!(
                "SIGNING_MASTER_PRIVATE_KEY_PASSPHRASE",
                secrets.signing_master_private_key_passphrase
            ),
            variable!("MASTER_PRIVATE_KEY_PATH", secrets.master_private_key_path),
            variable!(
                "MASTER_PRIVATE_KEY_PASSPHRASE",
                secrets.master_private_key_passphrase
            ),
            "master",
        ),
        encryption: key(
            variable!(
                "ENCRYPTION_PRIVATE_KEY_PATH",
                secrets.encryption_private_key_path
            ),
            variable!(
                "ENCRYPTION_PRIVATE_KEY_PASSPHRASE",
                secrets.encryption_private_key_passphrase
            ),
            variable!("PRIVATE_KEY_PATH", secrets.private_key_path),
            variable!("PRIVATE_KEY_PASSPHRASE", secrets.private_key_passphrase),
            "encryption",
        ),
        behind_proxy: behind_proxy(secrets, checker),
    }
}

fn behind_proxy(secrets: &Secrets, checker: &mut Checker) -> BehindProxyKeys {
    let old = variable!(
        "NODE_BEHIND_PROXY_PRIVATE_KEY_DIRECTORY_PATH",
        secrets.node_behind_proxy_private_key_directory_path
    );
    let old_master = variable!(
        "NODE_BEHIND_PROXY_MASTER_PRIVATE_KEY_DIRECTORY_PATH",
        secrets.node_behind_proxy_master_private_key_directory_path
    );
    let mut either = |new: Variable, old: &Variable| {
        checker.directory(if new.1.is_some() { new } else { old.clone() })
    };
    BehindProxyKeys {
        signing: either(
            variable!(
                "NODE_BEHIND_PROXY_SIGNING_PRIVATE_KEY_DIRECTORY_PATH",
                secrets.node_behind_proxy_signing_private_key_directory_path
            ),
            &old,
        ),
        signing_master: either(
            variable!(
                "NODE_BEHIND_PROXY_SIGNING_MASTER_PRIVATE_KEY_DIRECTORY_PATH",
                secrets.node_behind_proxy_signing_master_private_key_directory_path
            ),
            &old_master,
        ),
        encryption: either(
            variable!(
                "NODE_BEHIND_PROXY_ENCRYPTION_PRIVATE_KEY_DIRECTORY_PATH",
                secrets.node_behind_proxy_encryption_private_key_directory_path
            ),
            &old,
        ),
    }
}

pub(super) fn external_crypto_version(
    secrets: &Secrets,
    callback_version: ApiVersion,
    checker: &mut Checker,
) -> ApiVersion {
    let words = [
        ("5", ApiVersion::V5),
        ("5.3", ApiVersion::V5),
        ("6", ApiVersion::V6),
        ("6.0", ApiVersion::V6),
    ];
    let variable = variable!(
        "EXTERNAL_CRYPTO_SERVICE_CALLBACK_API_VERSION",
        secrets.external_crypto_service_callback_api_version
    );
    checker.choice(variable, &words, callback_version)
}
