//! An authority with two certificates that it signed, as files.

use std::path::{Path, PathBuf};

use openssl::asn1::Asn1Time;
use openssl::ec::{EcGroup, EcKey};
use openssl::hash::MessageDigest;
use openssl::nid::Nid;
use openssl::pkey::{PKey, Private};
use openssl::x509::extension::{BasicConstraints, SubjectAlternativeName};
use openssl::x509::{X509, X509Builder, X509Name};
use tempfile::TempDir;

pub struct Certificates {
    directory: TempDir,
}

impl Certificates {
    /// The server's is of this name, and of no address.
    pub fn make(server_name: &str) -> Self {
        let made = Self {
            directory: tempfile::tempdir().unwrap(),
        };
        let authority_key = new_key();
        let mut authority = builder("authority", "authority", &authority_key);
        let constraints = BasicConstraints::new().critical().ca().build().unwrap();
        authority.append_extension(constraints).unwrap();
        let authority = signed(authority, &authority_key);
        std::fs::write(made.authority(), authority.to_pem().unwrap()).unwrap();
        for name in [server_name, "client"] {
            let key = new_key();
            let mut own = builder(name, "authority", &key);
            let names = SubjectAlternativeName::new()
                .dns(name)
                .build(&own.x509v3_context(Some(&authority), None));
            own.append_extension(names.unwrap()).unwrap();
            let own = signed(own, &authority_key);
            std::fs::write(made.certificate(name), own.to_pem().unwrap()).unwrap();
            std::fs::write(made.key(name), key.private_key_to_pem_pkcs8().unwrap()).unwrap();
        }
        made
    }

    fn path(&self, name: &str) -> PathBuf {
        Path::join(self.directory.path(), name)
    }

    pub fn authority(&self) -> PathBuf {
        self.path("authority.crt")
    }

    pub fn certificate(&self, name: &str) -> PathBuf {
        self.path(&format!("{name}.crt"))
    }

    pub fn key(&self, name: &str) -> PathBuf {
        self.path(&format!("{name}.key"))
    }
}

fn new_key() -> PKey<Private> {
    let curve = EcGroup::from_curve_name(Nid::X9_62_PRIME256V1).unwrap();
    PKey::from_ec_key(EcKey::generate(&curve).unwrap()).unwrap()
}

fn named(name: &str) -> X509Name {
    let mut builder = X509Name::builder().unwrap();
    builder.append_entry_by_text("CN", name).unwrap();
    builder.build()
}

fn builder(name: &str, issuer: &str, key: &PKey<Private>) -> X509Builder {
    let mut builder = X509::builder().unwrap();
    builder.set_version(2).unwrap();
    builder.set_subject_name(&named(name)).unwrap();
    builder.set_issuer_name(&named(issuer)).unwrap();
    builder.set_pubkey(key).unwrap();
    let (now, later) = (Asn1Time::days_from_now(0), Asn1Time::days_from_now(1));
    builder.set_not_before(&now.unwrap()).unwrap();
    builder.set_not_after(&later.unwrap()).unwrap();
    builder
}

fn signed(mut builder: X509Builder, key: &PKey<Private>) -> X509 {
    builder.sign(key, MessageDigest::sha256()).unwrap();
    builder.build()
}
