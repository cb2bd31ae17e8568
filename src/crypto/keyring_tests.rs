use std::net::SocketAddr;
use std::path::Path;

use openssl::rsa::Rsa;
use tempfile::TempDir;

use super::*;
use crate::config::KeyFile;
use crate::messaging::testing;

const SIGN: &str = "RSASSA_PKCS1_V1_5_SHA_256";
const WRAP: &str = "RSAES_OAEP_SHA_256";
const NAMES: [&str; 3] = ["signing", "master", "encryption"];

/// The key files of a node.
struct Files(TempDir);

impl Files {
    fn new() -> Self {
        let files = Self(tempfile::tempdir().unwrap());
        for name in NAMES {
            files.write(name);
        }
        files
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    /// A new RSA key in this file; its public half, as the ledger has it.
    fn write(&self, name: &str) -> String {
        let key = PKey::from_rsa(Rsa::generate(2048).unwrap()).unwrap();
        let pem = key.private_key_to_pem_pkcs8().unwrap();
        std::fs::write(self.path().join(name), pem).unwrap();
        String::from_utf8(key.public_key_to_pem().unwrap()).unwrap()
    }

    /// The public half of the key in this file.
    fn public(&self, name: &str) -> String {
        let pem = std::fs::read(self.path().join(name)).unwrap();
        let key = PKey::private_key_from_pem(&pem).unwrap();
        String::from_utf8(key.public_key_to_pem().unwrap()).unwrap()
    }

    fn config(&self) -> Config {
        let mut config = testing::config("rp1", SocketAddr::from(([127, 0, 0, 1], 1)));
        let file = |name| KeyFile {
            path: self.path().join(name),
            passphrase: None,
        };
        config.keys = Keys::Files {
            signing: file("signing"),
            signing_master: file("master"),
            encryption: file("encryption"),
            behind_proxy: Default::default(),
        };
        config
    }

    fn load(&self) -> Keyring {
        load(self.config(), &[])
    }
}

fn load(config: Config, behind: &[String]) -> Keyring {
    Keyring::load(Arc::new(config), behind).unwrap_or_else(|error| panic!("{error}"))
}

/// A key of the ledger.
fn key(public_key: &str, algorithm: &str, version: u64) -> NodeKey {
    NodeKey {
        version,
        ..NodeKey::unregistered(public_key, algorithm)
    }
}

/// Whether the keyring signs with the private half of this key.
async fn signs(
    keyring: &Keyring,
    node_id: &str,
    public_key: &str,
    version: u64,
) -> Result<bool, Error> {
    let key = key(public_key, SIGN, version);
    let signature = keyring.sign(node_id, KeyUse::Signing, &key, b"m").await?;
    Ok(signature::verify(public_key, SIGN, b"m", &signature))
}

async fn decrypts(keyring: &Keyring, public_key: &str) -> bool {
    let wrapped = encryption::encrypt(public_key, WRAP, &[7; 32]).unwrap();
    let key = key(public_key, WRAP, 2);
    let decrypted = keyring.decrypt("rp1", &key, &wrapped).await;
    decrypted.is_ok_and(|plain| plain == [7; 32])
}

#[tokio::test]
async fn the_ledger_says_which_of_the_held_keys_is_used() {
    let files = Files::new();
    let [signing, encryption] = ["signing", "encryption"].map(|name| files.public(name));
    let keyring = files.load();
    let newer = [files.write("signing"), files.write("encryption")];
    keyring
        .reload(&[])
        .unwrap_or_else(|error| panic!("{error}"));
    for public_key in [&signing, &newer[0], &signing] {
        assert!(signs(&keyring, "rp1", public_key, 2).await.unwrap());
    }
    for public_key in [&encryption, &newer[1]] {
        assert!(decrypts(&keyring, public_key).await);
    }
    assert_eq!(
        keyring.encryption_keys("rp1"),
        [newer[1].clone(), encryption]
    );
    // Reading the same files again forgets nothing, however often.
    for _ in 0..2 * GENERATIONS {
        keyring
            .reload(&[])
            .unwrap_or_else(|error| panic!("{error}"));
    }
    assert!(signs(&keyring, "rp1", &signing, 1).await.unwrap());
}

#[tokio::test]
async fn a_reload_changes_everything_or_nothing() {
    let files = Files::new();
    let keyring = files.load();
    let before = files.public("signing");
    files.write("signing");
    std::fs::write(files.path().join("encryption"), "broken").unwrap();
    let error = keyring.reload(&[]).unwrap_err();
    assert_eq!(Error::from(error).code().number, 20040);
    assert_eq!(keyring.held("rp1").len(), 1);
    assert!(signs(&keyring, "rp1", &before, 1).await.unwrap());
    std::fs::remove_file(files.path().join("encryption")).unwrap();
    let error = keyring.reload(&[]).unwrap_err();
    assert_eq!(Error::from(error).code().number, 10000);
    let short = Rsa::generate(1024).unwrap().private_key_to_pem().unwrap();
    std::fs::write(files.path().join("encryption"), short).unwrap();
    let error = keyring.reload(&[]).unwrap_err();
    assert_eq!(Error::from(error).code().number, 20044);
}

/// Nobody called this process: it looks into the files when the ledger has a key
/// that it does not hold.
#[tokio::test]
async fn new_files_take_effect_when_the_ledger_has_their_keys() {
    let files = Files::new();
    let keyring = files.load();
    let before = files.public("signing");
    let after = files.write("signing");
    assert!(signs(&keyring, "rp1", &before, 1).await.unwrap());
    assert!(signs(&keyring, "rp1", &after, 2).await.unwrap());
    assert!(signs(&keyring, "rp1", &before, 1).await.unwrap());
}

/// A process may have nothing to sign between two changes.
#[tokio::test]
async fn keys_between_two_changes_are_held_after_a_refresh() {
    let files = Files::new();
    let keyring = files.load();
    let between = files.write("master");
    keyring.refresh();
    files.write("master");
    let key = key(&between, SIGN, 2);
    let signed = keyring.sign("rp1", KeyUse::SigningMaster, &key, b"x");
    assert!(signed.await.is_ok());
}

#[tokio::test]
async fn a_key_that_is_on_its_way_is_waited_for() {
    let files = Files::new();
    let keyring = files.load();
    let elsewhere = Files::new().public("signing");
    let error = signs(&keyring, "rp1", &elsewhere, 2).await.unwrap_err();
    assert_eq!(error.code().number, 10034);
    assert!(error.is_temporary() && error.is_of_crypto_service());
    // The first key of a node is in nobody's hands but its operator's.
    assert!(!signs(&keyring, "rp1", &elsewhere, 1).await.unwrap());
    // Files are looked into once in a while, not for each message.
    let after = files.write("signing");
    assert!(signs(&keyring, "rp1", &after, 2).await.is_err());
    keyring.looked.lock().clear();
    assert!(signs(&keyring, "rp1", &after, 2).await.unwrap());
}

#[tokio::test]
async fn what_was_replaced_is_read_again_after_a_restart() {
    let files = Files::new();
    let before = NAMES.map(|name| files.public(name));
    for name in ["signing", "encryption"] {
        let path = files.path().join(name);
        std::fs::rename(&path, files.path().join(format!("{name}.previous"))).unwrap();
        files.write(name);
    }
    let keyring = files.load();
    for (public_key, version) in [(&before[0], 1), (&files.public("signing"), 2)] {
        assert!(signs(&keyring, "rp1", public_key, version).await.unwrap());
    }
    for public_key in [&before[2], &files.public("encryption")] {
        assert!(decrypts(&keyring, public_key).await);
    }
    std::fs::write(files.path().join("signing.previous"), "broken").unwrap();
    let broken = Keyring::load(Arc::new(files.config()), &[]);
    assert!(
        matches!(broken, Err(KeyFileError::Pem { path }) if path.ends_with("signing.previous"))
    );
}

#[tokio::test]
async fn a_node_that_is_put_behind_the_proxy_later_is_served_with_its_keys() {
    let files = Files::new();
    let mut config = files.config();
    let behind = Files(tempfile::tempdir().unwrap());
    if let Keys::Files { behind_proxy, .. } = &mut config.keys {
        behind_proxy.signing = Some(behind.path().to_owned());
        behind_proxy.signing_master = Some(behind.path().to_owned());
        behind_proxy.encryption = Some(behind.path().to_owned());
    }
    let missing = Keyring::load(Arc::new(config.clone()), &["idp4".to_owned()]);
    assert!(missing.is_err(), "its keys are needed at the start");
    let keyring = load(config, &[]);
    let unknown = signs(&keyring, "idp4", "", 1).await.unwrap_err();
    assert_eq!(unknown.code().number, 10034);
    assert!(!unknown.is_temporary());
    behind.write("idp4_master");
    let public_key = behind.write("idp4");
    keyring.looked.lock().clear();
    assert!(signs(&keyring, "idp4", &public_key, 1).await.unwrap());
    let served = ["idp4".to_owned()];
    keyring
        .reload(&served)
        .unwrap_or_else(|error| panic!("{error}"));
    // Its keys change as the proxy's own do.
    let after = behind.write("idp4");
    keyring.looked.lock().clear();
    assert!(signs(&keyring, "idp4", &after, 2).await.unwrap());
    assert!(signs(&keyring, "idp4", &public_key, 1).await.unwrap());
}

#[tokio::test]
async fn keys_of_unknown_nodes_are_missing() {
    let keyring = Files::new().load();
    let error = keyring
        .decrypt("idp1", &key("", WRAP, 2), &[0])
        .await
        .unwrap_err();
    assert_eq!(error.code().number, 10034);
    assert!(!error.is_temporary());
}
