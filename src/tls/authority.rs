//! A small authority, for trying TLS and for small operators (`erawan certs`).

use std::fs;
use std::io;
use std::path::Path;

use openssl::asn1::Asn1Time;
use openssl::bn::{BigNum, MsbOption};
use openssl::ec::{EcGroup, EcKey};
use openssl::error::ErrorStack;
use openssl::hash::MessageDigest;
use openssl::nid::Nid;
use openssl::pkey::{PKey, Private};
use openssl::x509::extension::{
    AuthorityKeyIdentifier, BasicConstraints, ExtendedKeyUsage, KeyUsage, SubjectAlternativeName,
    SubjectKeyIdentifier,
};
use openssl::x509::{X509, X509Builder, X509Name, X509NameBuilder};

use super::certificates::read_chain;
use super::identity::node_uri;

/// An authority: whoever has its key can make certificates that all processes
/// of the node trust.
pub struct Authority {
    certificate: X509,
    key: PKey<Private>,
}

/// What a certificate says about its owner.
#[derive(Debug, Clone, Default)]
pub struct Names {
    /// The node whose process the owner is.
    pub node_id: Option<String>,
    /// Host names and addresses that it is reached by.
    pub hosts: Vec<String>,
}

/// A certificate and its key, as PEM.
pub struct Issued {
    pub certificate: Vec<u8>,
    pub key: Vec<u8>,
}

impl Authority {
    /// A new one.
    ///
    /// # Errors
    /// Those of OpenSSL.
    pub fn new(name: &str, days: u32) -> Result<Self, ErrorStack> {
        let key = new_key()?;
        let subject = common_name(name)?;
        let mut builder = builder(&subject, &subject, &key, days)?;
        builder.append_extension(BasicConstraints::new().critical().ca().build()?)?;
        let usage = KeyUsage::new()
            .critical()
            .key_cert_sign()
            .crl_sign()
            .build()?;
        builder.append_extension(usage)?;
        let own = SubjectKeyIdentifier::new().build(&builder.x509v3_context(None, None))?;
        builder.append_extension(own)?;
        builder.sign(&key, MessageDigest::sha256())?;
        let certificate = builder.build();
        Ok(Self { certificate, key })
    }

    /// One that was kept in files.
    ///
    /// # Errors
    /// The files cannot be used.
    pub fn load(certificate: &Path, key: &Path) -> io::Result<Self> {
        let pem = fs::read(key)?;
        Ok(Self {
            certificate: read_chain(certificate)?.swap_remove(0),
            key: PKey::private_key_from_pem_passphrase(&pem, b"")?,
        })
    }

    /// To be kept.
    ///
    /// # Errors
    /// Those of OpenSSL.
    pub fn to_pem(&self) -> Result<Issued, ErrorStack> {
        Ok(Issued {
            certificate: self.certificate.to_pem()?,
            key: self.key.private_key_to_pem_pkcs8()?,
        })
    }

    /// Makes a certificate that serves both ends of a connection.
    ///
    /// # Errors
    /// Those of OpenSSL, for example about a host that is none.
    pub fn issue(&self, names: &Names, days: u32) -> Result<Issued, ErrorStack> {
        let key = new_key()?;
        let title = names.node_id.as_ref().or(names.hosts.first());
        let subject = common_name(title.map_or("erawan", String::as_str))?;
        let mut builder = builder(&subject, self.certificate.subject_name(), &key, days)?;
        builder.append_extension(BasicConstraints::new().critical().build()?)?;
        let usage = KeyUsage::new().critical().digital_signature().build()?;
        builder.append_extension(usage)?;
        let both = ExtendedKeyUsage::new()
            .server_auth()
            .client_auth()
            .build()?;
        builder.append_extension(both)?;
        let mut alternatives = SubjectAlternativeName::new();
        if let Some(node_id) = &names.node_id {
            alternatives.uri(&node_uri(node_id));
        }
        for host in &names.hosts {
            match host.parse::<std::net::IpAddr>() {
                Ok(address) => alternatives.ip(&address.to_string()),
                Err(_) => alternatives.dns(host),
            };
        }
        let context = builder.x509v3_context(Some(&self.certificate), None);
        let is_named = names.node_id.is_some() || !names.hosts.is_empty();
        let alternatives = is_named.then(|| alternatives.build(&context)).transpose()?;
        let own = SubjectKeyIdentifier::new().build(&context)?;
        let issuer = AuthorityKeyIdentifier::new().keyid(true).build(&context)?;
        for extension in alternatives.into_iter().chain([own, issuer]) {
            builder.append_extension(extension)?;
        }
        builder.sign(&self.key, MessageDigest::sha256())?;
        Ok(Issued {
            certificate: builder.build().to_pem()?,
            key: key.private_key_to_pem_pkcs8()?,
        })
    }
}

fn new_key() -> Result<PKey<Private>, ErrorStack> {
    let group = EcGroup::from_curve_name(Nid::X9_62_PRIME256V1)?;
    PKey::from_ec_key(EcKey::generate(&group)?)
}

fn common_name(name: &str) -> Result<X509Name, ErrorStack> {
    // X.520 allows 64 characters.
    let short: String = name.chars().take(64).collect();
    let mut subject = X509NameBuilder::new()?;
    subject.append_entry_by_text("CN", &short)?;
    Ok(subject.build())
}

fn builder(
    subject: &openssl::x509::X509NameRef,
    issuer: &openssl::x509::X509NameRef,
    key: &PKey<Private>,
    days: u32,
) -> Result<X509Builder, ErrorStack> {
    let mut serial = BigNum::new()?;
    serial.rand(127, MsbOption::MAYBE_ZERO, false)?;
    let mut builder = X509::builder()?;
    // Counted from zero: version 3.
    builder.set_version(2)?;
    let serial = serial.to_asn1_integer()?;
    builder.set_serial_number(&serial)?;
    builder.set_subject_name(subject)?;
    builder.set_issuer_name(issuer)?;
    builder.set_pubkey(key)?;
    let (begin, end) = (Asn1Time::days_from_now(0)?, Asn1Time::days_from_now(days)?);
    builder.set_not_before(&begin)?;
    builder.set_not_after(&end)?;
    Ok(builder)
}
