//! Compiles the protobuf files to Rust with protox, so that no `protoc` has to be
//! installed, and notes the SHA-256 of what it read and wrote: a test of erawan
//! (`src/proto.rs`) fails where one of them has changed without the others.
//!
//!     cargo run --manifest-path proto/generate/Cargo.toml

use std::error::Error;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use sha2::{Digest as _, Sha256};

const SOURCES: [&str; 2] = ["wire.proto", "cluster.proto"];
const GENERATED: [&str; 2] = ["wire.rs", "erawan.cluster.v1.rs"];

fn main() -> Result<(), Box<dyn Error>> {
    let proto = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let generated = proto.join("generated");
    let descriptors = protox::compile(SOURCES, [&proto])?;
    tonic_prost_build::configure()
        .bytes(".")
        .out_dir(&generated)
        .compile_fds(descriptors)?;
    // `wire.proto` has no package, as the messages of the network have none.
    fs::rename(generated.join("_.rs"), generated.join("wire.rs"))?;

    let sources = SOURCES.iter().map(|name| (*name).to_owned());
    let written = GENERATED.iter().map(|name| format!("generated/{name}"));
    let mut sums = String::new();
    for name in sources.chain(written) {
        let sum = Sha256::digest(fs::read(proto.join(&name))?);
        writeln!(sums, "{sum:x}  {name}")?;
    }
    fs::write(proto.join("SHA256SUMS"), sums)?;
    Ok(())
}
