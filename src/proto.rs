//! Generated protobuf types: `wire` is the outside world, `cluster` is ours.
//!
//! `proto/generate` writes them; what compiles them is not built with every node.

#[allow(clippy::all, missing_docs, nonstandard_style)]
pub mod wire {
    include!("../proto/generated/wire.rs");
}

#[allow(clippy::all, missing_docs, nonstandard_style)]
pub mod cluster {
    include!("../proto/generated/erawan.cluster.v1.rs");
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    /// The protobuf files and what was generated from them are of one time.
    #[test]
    fn the_generated_types_are_those_of_the_protobuf_files() {
        let proto = Path::new(env!("CARGO_MANIFEST_DIR")).join("proto");
        let sums = fs::read_to_string(proto.join("SHA256SUMS")).unwrap();
        let mut names = Vec::new();
        for line in sums.lines() {
            let (noted, name) = line.split_once("  ").unwrap();
            let sum = openssl::sha::sha256(&fs::read(proto.join(name)).unwrap());
            assert_eq!(
                hex::encode(sum),
                noted,
                "{name} changed: cargo run --manifest-path proto/generate/Cargo.toml"
            );
            names.push(name);
        }
        let expected = [
            "wire.proto",
            "cluster.proto",
            "generated/wire.rs",
            "generated/erawan.cluster.v1.rs",
        ];
        assert_eq!(names, expected);
    }
}
