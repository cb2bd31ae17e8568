//! `erawan certs`: a small authority, certificates for the processes of a node,
//! or a token that they share.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Subcommand};
use rand::RngCore;

use crate::output;
use crate::tls::{Authority, Issued, Names};

const AUTHORITY: (&str, &str) = ("authority.pem", "authority.key");

/// Make certificates or a token for the processes of a node.
#[derive(Debug, Args)]
pub struct Certs {
    #[command(subcommand)]
    wanted: Wanted,
}

#[derive(Debug, Subcommand)]
enum Wanted {
    /// Make a certificate and key; the authority too, if the folder has none.
    Node(NodeArguments),
    /// Make a token for CLUSTER_TOKEN_FILE.
    Token {
        /// The file to write; it must not exist.
        file: PathBuf,
    },
}

#[derive(Debug, Args)]
struct NodeArguments {
    /// The node whose processes may use it (NODE_ID).
    #[arg(long)]
    node_id: String,
    /// Where authority and certificates are kept.
    #[arg(long, default_value = "certificates")]
    directory: PathBuf,
    /// A host name or address that clients use; for HTTPS and the message queue
    /// service. Workers find the node's name enough.
    #[arg(long = "host")]
    hosts: Vec<String>,
    /// Name of the files.
    #[arg(long, default_value = "node")]
    name: String,
    /// Days that the certificate is valid.
    #[arg(long, default_value_t = 365)]
    days: u32,
    /// Replace files that exist: a running process takes the new ones.
    #[arg(long)]
    renew: bool,
}

/// Runs the command.
/// # Errors
/// A file cannot be read or written, or exists already.
pub fn run(certs: Certs) -> io::Result<ExitCode> {
    match certs.wanted {
        Wanted::Node(arguments) => node(&arguments)?,
        Wanted::Token { file } => {
            let mut secret = [0; 32];
            rand::rng().fill_bytes(&mut secret);
            write(
                &file,
                format!("{}\n", hex::encode(secret)).as_bytes(),
                0o600,
                false,
            )?;
            output::say(format_args!("CLUSTER_TOKEN_FILE={}", file.display()))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn node(arguments: &NodeArguments) -> io::Result<()> {
    let directory = &arguments.directory;
    fs::create_dir_all(directory)?;
    let authority = authority(directory, &arguments.node_id)?;
    let names = Names {
        node_id: Some(arguments.node_id.clone()),
        hosts: arguments.hosts.clone(),
    };
    let issued = authority.issue(&names, arguments.days)?;
    let name = &arguments.name;
    let (certificate, key) = (
        directory.join(format!("{name}.pem")),
        directory.join(format!("{name}.key")),
    );
    keep(&issued, &certificate, &key, arguments.renew)?;
    let root = directory.join(AUTHORITY.0);
    for (variable, file) in [
        ("GRPC_SSL_ROOT_CERT_FILE_PATH", &root),
        ("GRPC_SSL_CERT_FILE_PATH", &certificate),
        ("GRPC_SSL_KEY_FILE_PATH", &key),
    ] {
        output::say(format_args!("{variable}={}", file.display()))?;
    }
    output::say("GRPC_SSL=true")
}

/// The authority of the folder, made if there is none.
fn authority(directory: &Path, node_id: &str) -> io::Result<Authority> {
    const TEN_YEARS: u32 = 3650;
    let (certificate, key) = (directory.join(AUTHORITY.0), directory.join(AUTHORITY.1));
    if certificate.exists() {
        let loaded = Authority::load(&certificate, &key);
        return loaded.map_err(|error| {
            let text = format!("the authority in {}: {error}", directory.display());
            io::Error::new(error.kind(), text)
        });
    }
    let made = Authority::new(&format!("erawan authority of {node_id}"), TEN_YEARS)?;
    keep(&made.to_pem()?, &certificate, &key, false)?;
    Ok(made)
}

fn keep(issued: &Issued, certificate: &Path, key: &Path, renew: bool) -> io::Result<()> {
    write(key, &issued.key, 0o600, renew)?;
    write(certificate, &issued.certificate, 0o644, renew)
}

/// Writes a file as a whole. A process that reads it sees the old or the new.
fn write(file: &Path, content: &[u8], mode: u32, renew: bool) -> io::Result<()> {
    if !renew && file.exists() {
        let text = format!("{} exists; --renew replaces it", file.display());
        return Err(io::Error::new(io::ErrorKind::AlreadyExists, text));
    }
    let mut name = file.as_os_str().to_owned();
    name.push(".new");
    let new = PathBuf::from(name);
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true).mode(mode);
    let named =
        |error: io::Error| io::Error::new(error.kind(), format!("{}: {error}", file.display()));
    let mut opened = options.open(&new).map_err(named)?;
    opened.write_all(content).map_err(named)?;
    opened.sync_all().map_err(named)?;
    fs::rename(&new, file).map_err(named)
}
