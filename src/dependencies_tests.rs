//! The cheap half of `cargo deny`, in every run: licences, sources, bans and
//! duplicates of what is built, against the lists of `deny.toml`.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;

use serde_json::Value;

const REGISTRY: &str = "registry+https://github.com/rust-lang/crates.io-index";

/// Crates that are built in several versions. Each has a cost; a new one wants
/// a look at who needs it.
const SEVERAL: [&str; 14] = [
    "base64",
    "bit-set",
    "bit-vec",
    "foldhash",
    "getrandom",
    "hashbrown",
    "http",
    "prettyplease",
    "r-efi",
    "rand",
    "rand_core",
    "syn",
    "unicode-width",
    "windows-sys",
];

/// The strings of a list of `deny.toml`. The file has no other `]` in one.
fn list(name: &str) -> BTreeSet<String> {
    let text = include_str!("../deny.toml");
    let (_, after) = text.split_once(&format!("\n{name} = [")).unwrap();
    let (entries, _) = after.split_once("\n]").unwrap_or((after, ""));
    let quoted = entries.split('"').skip(1).step_by(2);
    quoted.map(str::to_owned).collect()
}

/// The packages that are built on this platform.
fn packages() -> Vec<Value> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let platform = "x86_64-unknown-linux-gnu";
    let answer = Command::new(env!("CARGO"))
        .current_dir(root)
        .args(["metadata", "--format-version", "1", "--offline", "--locked"])
        .args(["--filter-platform", platform])
        .output()
        .unwrap();
    let problem = String::from_utf8_lossy(&answer.stderr);
    assert!(answer.status.success(), "{problem}");
    let metadata: Value = serde_json::from_slice(&answer.stdout).unwrap();
    metadata["packages"].as_array().unwrap().clone()
}

/// Whether an expression of licences can be met with these. `/` is an old form
/// of `OR`.
fn is_met(expression: &str, allowed: &BTreeSet<String>) -> bool {
    let expression = expression.replace('/', " OR ");
    let alternatives = |text: &str| {
        let names = text.trim_matches(|c: char| "() ".contains(c));
        names
            .split(" OR ")
            .any(|name| allowed.contains(name.trim()))
    };
    expression.split(" AND ").all(alternatives)
}

#[test]
fn every_dependency_has_an_allowed_licence_and_source() {
    let allowed = list("allow");
    let mut wrong = Vec::new();
    let packages = packages();
    assert!(packages.len() > 100, "the packages were not read");
    for package in &packages {
        let name = package["name"].as_str().unwrap();
        let licence = package["license"].as_str().unwrap_or("none");
        if !is_met(licence, &allowed) {
            wrong.push(format!("{name}: licence {licence}"));
        }
        let source = package["source"].as_str();
        if name != env!("CARGO_PKG_NAME") && source != Some(REGISTRY) {
            wrong.push(format!("{name}: from {source:?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn no_dependency_is_banned_and_no_further_one_is_built_twice() {
    let banned = list("deny");
    let mut versions = BTreeMap::<String, BTreeSet<String>>::new();
    for package in packages() {
        let text = |member: &str| package[member].as_str().unwrap().to_owned();
        versions
            .entry(text("name"))
            .or_default()
            .insert(text("version"));
    }
    let is_banned = |name: &&String| banned.contains(*name);
    assert_eq!(versions.keys().find(is_banned), None);
    assert!(
        !versions["h2"]
            .iter()
            .any(|version| version.starts_with("0.3"))
    );
    let several = versions.iter().filter(|(_, versions)| versions.len() > 1);
    let new: Vec<_> = several
        .filter(|(name, _)| !SEVERAL.contains(&name.as_str()))
        .collect();
    assert!(new.is_empty(), "built in several versions: {new:?}");
}

#[test]
fn expressions_of_licences_are_read() {
    let allowed = BTreeSet::from(["MIT".to_owned(), "ISC".to_owned()]);
    for met in [
        "MIT",
        "GPL-3.0 OR MIT",
        "MIT/Apache-2.0",
        "ISC AND (GPL-3.0 OR MIT)",
    ] {
        assert!(is_met(met, &allowed), "{met}");
    }
    for unmet in [
        "GPL-3.0",
        "MIT AND GPL-3.0",
        "none",
        "(GPL-3.0 OR AGPL-3.0) AND MIT",
    ] {
        assert!(!is_met(unmet, &allowed), "{unmet}");
    }
}
