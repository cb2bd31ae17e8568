//! Keys of a network, made once for all networks of a test program: to make them
//! anew costs more than a second of a processor for each network.

use std::fs;
use std::path::Path;
use std::sync::LazyLock;

use erawan::devnet::genesis::NDID;
use erawan::devnet::keys::{GeneratedKeys, SigningKeys};

/// The nodes of nearly every network; others make their own.
const NODES: [&str; 4] = [NDID, "rp1", "idp1", "as1"];

/// Names and contents of files.
static FILES: LazyLock<Vec<(String, Vec<u8>)>> = LazyLock::new(|| {
    let folder = tempfile::tempdir().unwrap();
    std::thread::scope(|threads| {
        for node_id in NODES {
            let keys = GeneratedKeys::at(folder.path(), node_id);
            threads.spawn(move || keys.ensure(SigningKeys::Rsa).unwrap());
        }
    });
    let entries = fs::read_dir(folder.path()).unwrap();
    let paths = entries.map(|entry| entry.unwrap().path());
    let files = paths.map(|path| {
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        (name, fs::read(&path).unwrap())
    });
    files.collect()
});

/// Puts them where a network in this folder looks for its keys.
pub fn put_into(network: &Path) {
    let folder = network.join("keys");
    fs::create_dir_all(&folder).unwrap();
    for (name, content) in FILES.iter() {
        fs::write(folder.join(name), content).unwrap();
    }
}
