//! The rooms of `src/` stand on floors: a room imports only what stands lower
//! (docs/architecture.md draws them). So no folder is in a circle.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use syn::visit::{self, Visit};

/// From the ground up. A new folder or file of `src/` is added to the lowest
/// floor on which it can stand.
const FLOORS: &[&[&str]] = &[
    &[
        "config", "error", "heavy", "job", "json", "labelled", "listener", "mistake", "output",
        "parent", "proto", "pulse", "reread", "tick",
    ],
    &[
        "access",
        "descriptors",
        "http_client",
        "logging",
        "tables",
        "tls",
    ],
    &["protocol"],
    &["mq", "store"],
    &["admission", "dispatch", "ledger"],
    &["crypto", "invariants"],
    &["actors", "context"],
    &["api", "delivery", "simulation"],
    &["devnet", "messaging", "operator"],
    &["cluster", "flows", "http"],
    &["bench", "dashboard", "ingest"],
    &["node"],
];

/// What a file of `src/` imports: rooms named in `crate::` paths of code that is
/// built without `cfg(test)`.
#[derive(Default)]
struct Imports(BTreeSet<String>);

impl Imports {
    fn of_use(&mut self, tree: &syn::UseTree) {
        match tree {
            syn::UseTree::Path(path) => drop(self.0.insert(path.ident.to_string())),
            syn::UseTree::Name(name) => drop(self.0.insert(name.ident.to_string())),
            syn::UseTree::Rename(name) => drop(self.0.insert(name.ident.to_string())),
            syn::UseTree::Group(group) => group.items.iter().for_each(|tree| self.of_use(tree)),
            syn::UseTree::Glob(_) => {}
        }
    }
}

fn is_test(attributes: &[syn::Attribute]) -> bool {
    attributes.iter().any(|attribute| match &attribute.meta {
        syn::Meta::List(list) => list.path.is_ident("cfg") && list.tokens.to_string() == "test",
        meta => meta.path().is_ident("test"),
    })
}

impl<'ast> Visit<'ast> for Imports {
    fn visit_item(&mut self, item: &'ast syn::Item) {
        let attributes = match item {
            syn::Item::Fn(item) => &item.attrs,
            syn::Item::Impl(item) => &item.attrs,
            syn::Item::Mod(item) => &item.attrs,
            syn::Item::Use(item) => &item.attrs,
            _ => return visit::visit_item(self, item),
        };
        if !is_test(attributes) {
            visit::visit_item(self, item);
        }
    }

    fn visit_impl_item_fn(&mut self, function: &'ast syn::ImplItemFn) {
        if !is_test(&function.attrs) {
            visit::visit_impl_item_fn(self, function);
        }
    }

    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        if let syn::UseTree::Path(path) = &item.tree
            && path.ident == "crate"
        {
            self.of_use(&path.tree);
        }
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        let mut names = path.segments.iter().map(|segment| &segment.ident);
        if names.next().is_some_and(|name| name == "crate")
            && let Some(room) = names.next()
        {
            self.0.insert(room.to_string());
        }
        visit::visit_path(self, path);
    }

    fn visit_macro(&mut self, call: &'ast syn::Macro) {
        let text = call.tokens.to_string();
        for after in text.split("crate ::").skip(1) {
            let name = after.trim_start();
            let end = name.find(|c: char| !c.is_alphanumeric() && c != '_');
            self.0.insert(name[..end.unwrap_or(name.len())].to_owned());
        }
        visit::visit_macro(self, call);
    }
}

fn files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

/// A file whose module is declared under `cfg(test)`.
fn is_test_file(path: &Path) -> bool {
    let name = path.file_stem().unwrap().to_string_lossy();
    let folder = path.parent().unwrap().file_name().unwrap();
    let is_test = |name: &str| name.ends_with("tests") || name == "testing" || name == "fake";
    is_test(&name) || is_test(&folder.to_string_lossy()) || name == "test_key"
}

/// What is wrong with these files (path below `src/`, text), and how many arrows
/// there are.
fn arrows_up<'a>(files: impl IntoIterator<Item = (&'a str, &'a str)>) -> (Vec<String>, usize) {
    let floors = FLOORS.iter().enumerate();
    let floor_of: BTreeMap<&str, usize> = floors
        .flat_map(|(floor, rooms)| rooms.iter().map(move |room| (*room, floor)))
        .collect();
    let mut wrong = Vec::new();
    let mut arrows = 0;
    for (file, text) in files {
        let first = file.split('/').next().unwrap_or(file);
        let room = first.strip_suffix(".rs").unwrap_or(first);
        if matches!(room, "lib" | "main") {
            continue;
        }
        let Some(floor) = floor_of.get(room) else {
            wrong.push(format!("{room} has no floor"));
            continue;
        };
        let mut imports = Imports::default();
        imports.visit_file(&syn::parse_file(text).unwrap());
        for other in imports.0.iter().filter(|other| *other != room) {
            // A macro of the crate has no room.
            let Some(other_floor) = floor_of.get(other.as_str()) else {
                continue;
            };
            arrows += 1;
            if other_floor >= floor {
                wrong.push(format!(
                    "{file}: {room} (floor {floor}) -> {other} (floor {other_floor})"
                ));
            }
        }
    }
    (wrong, arrows)
}

#[test]
fn every_room_imports_only_from_lower_floors() {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut found = Vec::new();
    files(&source, &mut found);
    let texts: Vec<(String, String)> = found
        .iter()
        .filter(|path| !is_test_file(path))
        .map(|path| {
            let file = path.strip_prefix(&source).unwrap().to_str().unwrap();
            (file.to_owned(), fs::read_to_string(path).unwrap())
        })
        .collect();
    let (wrong, arrows) = arrows_up(texts.iter().map(|(file, text)| (&**file, &**text)));
    assert!(
        wrong.is_empty(),
        "imports that do not go down:\n{}",
        wrong.join("\n")
    );
    assert!(arrows > 500, "the imports were not read: {arrows}");
}

#[test]
fn an_arrow_that_goes_up_is_named() {
    let of_store = |text| arrows_up([("store/mod.rs", text)]).0;
    for text in [
        "use crate::node::Stop;",
        "use crate::{job::Job, node};",
        "fn f() { crate::node::run() }",
        "fn f() { log!(\"{}\", crate::node::run()) }",
    ] {
        assert_eq!(
            of_store(text),
            ["store/mod.rs: store (floor 3) -> node (floor 11)"],
            "{text}"
        );
    }
    assert_eq!(of_store("use crate::mq::gzip;").len(), 1, "same floor");
    for text in [
        "use crate::job::Job;",
        "/// [`crate::node`]\nfn f() {}",
        "#[cfg(test)]\nmod tests { use crate::node; }",
    ] {
        assert!(of_store(text).is_empty(), "{text}");
    }
    assert_eq!(arrows_up([("new.rs", "")]).0, ["new has no floor"]);
}
