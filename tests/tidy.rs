//! The floors of docs/architecture.md, section 3, held by a test: a module imports only from floors
//! below its own, foreign crates stay in the rooms that own them, and unsafe code in the files
//! that announce it. Sizes are habits: what exceeds them is printed and does not fail.
#![expect(clippy::unwrap_used, reason = "a test ends at the first surprise")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// The modules of `src`, lowest floor first. Modules of one floor do not import each other.
const FLOORS: [&[&str]; 10] = [
    &["error"],
    &["bytes"],
    &["hamming"],
    &["code"],
    &["index"],
    &["storage"],
    &["db"],
    &["linear"],
    &["model"],
    &["ingest", "eval"],
];

/// `model` stands beside the engine, not on it.
const MODEL_MAY_IMPORT: [&str; 5] = ["error", "bytes", "hamming", "code", "linear"];

/// Foreign crates and the only places that may name them.
const OWNERS: [(&str, &[&str]); 14] = [
    ("fail::", &["storage/failpoint.rs"]),
    (
        "rocksdb::",
        &[
            "storage/records.rs",
            "storage/cursor.rs",
            "storage/ingest.rs",
            "storage/tables.rs",
            "storage/salvage.rs",
            "storage/blocks.rs",
        ],
    ),
    ("librocksdb_sys::", &["storage/blocks.rs", "storage/ingest.rs", "storage/tables.rs"]),
    ("rustix::", &["storage/fs.rs"]),
    ("memmap2::", &["storage/arena.rs", "storage/mmap.rs"]),
    // Decompositions need products of matrices, and no second library for them.
    ("candle_core::", &["model/", "linear/matrix.rs"]),
    ("safetensors::", &["model/"]),
    ("image::", &["ingest/"]),
    ("zune_jpeg::", &["ingest/jpeg.rs"]),
    ("fast_image_resize::", &["ingest/"]),
    ("tar::", &["ingest/"]),
    ("zip::", &["ingest/zipped.rs"]),
    ("zstd::", &["ingest/packed.rs", "ingest/tests/"]),
    ("crossbeam::", &["ingest/", "model/"]),
];

const UNSAFE_FILES: [&str; 8] = [
    "hamming/avx2.rs",
    "hamming/avx512.rs",
    "hamming/neon.rs",
    "model/cuda.rs",
    "storage/blocks.rs",
    "storage/ingest.rs",
    "storage/mmap.rs",
    "storage/tables.rs",
];

fn source_root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

/// Every source file below `src` as (path with slashes, text).
fn sources() -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut folders = vec![source_root()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|kind| kind == "rs") {
                let name = path.strip_prefix(source_root()).unwrap();
                let name = name.components().map(|part| part.as_os_str().to_str().unwrap());
                let name = name.collect::<Vec<_>>().join("/");
                found.push((name, std::fs::read_to_string(&path).unwrap()));
            }
        }
    }
    found.sort();
    found
}

/// The code of a file without comments, so that prose may name whatever it likes.
fn code_of(text: &str) -> String {
    let without = |line: &str| line.split_once("//").map_or(line, |(code, _)| code).to_owned();
    text.lines().map(without).collect::<Vec<_>>().join("\n")
}

fn module_of(file: &str) -> &str {
    file.split(['/', '.']).next().unwrap()
}

fn floor_of(module: &str) -> Option<usize> {
    FLOORS.iter().position(|floor| floor.contains(&module))
}

/// The top-level modules that a file imports: what follows `crate::`, in paths and in lists.
fn imports(code: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for (at, _) in code.match_indices("crate::") {
        let rest = &code[at + "crate::".len()..];
        if let Some(list) = rest.strip_prefix('{') {
            let list = list.split_once('}').map_or(list, |(list, _)| list);
            found.extend(list.split(',').map(|item| first_word(item.trim())));
        } else {
            found.insert(first_word(rest));
        }
    }
    found
}

fn first_word(path: &str) -> String {
    path.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect()
}

#[test]
fn imports_point_down_the_floors() {
    let modules: BTreeSet<_> =
        sources().iter().map(|(file, _)| module_of(file).to_owned()).collect();
    let mut wrong = Vec::new();
    for (file, text) in sources() {
        let module = module_of(&file);
        if module == "lib" {
            continue;
        }
        let Some(floor) = floor_of(module) else {
            wrong.push(format!("{file}: module {module} stands on no floor"));
            continue;
        };
        for import in imports(&code_of(&text)) {
            // What is no module is a name that lib.rs re-exports: the way up and down again.
            let allowed = if import == module {
                true
            } else if module == "model" {
                MODEL_MAY_IMPORT.contains(&import.as_str())
            } else {
                modules.contains(&import) && floor_of(&import).is_some_and(|other| other < floor)
            };
            if !allowed {
                wrong.push(format!("{file} imports crate::{import}"));
            }
        }
    }
    assert!(wrong.is_empty(), "imports against the floors:\n{}", wrong.join("\n"));
}

#[test]
fn modules_form_no_cycle() {
    let mut edges: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for (file, text) in sources() {
        let module = module_of(&file).to_owned();
        let mut targets = imports(&code_of(&text));
        targets.remove(&module);
        edges.entry(module).or_default().extend(targets);
    }
    edges.remove("lib");
    // Take away modules that import nothing that is left; what cannot be taken away is a cycle.
    loop {
        let free: Vec<_> = edges
            .iter()
            .filter(|(_, targets)| targets.iter().all(|target| !edges.contains_key(target)))
            .map(|(module, _)| module.clone())
            .collect();
        if free.is_empty() {
            break;
        }
        for module in free {
            edges.remove(&module);
        }
    }
    assert!(edges.is_empty(), "modules in a cycle: {edges:?}");
}

#[test]
fn foreign_crates_stay_in_the_rooms_that_own_them() {
    let mut wrong = Vec::new();
    for (file, text) in sources() {
        let code = code_of(&text);
        for (foreign, owners) in OWNERS {
            let named = code.match_indices(foreign).any(|(at, _)| {
                // `x::image::` and `my_image::` are other names.
                let before = code[..at].chars().next_back();
                !before.is_some_and(|c| c.is_alphanumeric() || c == '_' || c == ':')
            });
            if named && !owners.iter().any(|owner| file.starts_with(owner)) {
                wrong.push(format!("{file} names {foreign}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn unsafe_code_is_where_it_is_announced() {
    for (file, text) in sources() {
        let code = code_of(&text);
        let is_unsafe = code.contains("unsafe {") || code.contains("unsafe fn");
        assert!(
            !is_unsafe || UNSAFE_FILES.contains(&file.as_str()),
            "{file} holds unsafe code and is not on the list"
        );
    }
}

#[test]
fn every_file_opens_by_saying_what_it_holds() {
    for (file, text) in sources() {
        assert!(text.starts_with("//!"), "{file} does not begin with //!");
    }
}

#[test]
fn every_file_belongs_to_a_module() {
    let all: Vec<_> = sources();
    for (file, _) in &all {
        let path = Path::new(file);
        let stem = path.file_stem().unwrap().to_str().unwrap();
        if stem == "lib" {
            continue;
        }
        // `a/mod.rs` is declared in the folder above, `a/b.rs` in `a/mod.rs`.
        let folder = path.parent().unwrap().to_str().unwrap();
        let (name, home) = if stem == "mod" {
            let parent = Path::new(folder);
            (parent.file_name().unwrap().to_str().unwrap(), parent.parent().unwrap())
        } else {
            (stem, Path::new(folder))
        };
        let home = home.to_str().unwrap();
        let parent = if home.is_empty() { "lib.rs".into() } else { format!("{home}/mod.rs") };
        let declared = all.iter().any(|(other, text)| {
            *other == parent && code_of(text).contains(&format!("mod {name};"))
        });
        assert!(declared, "{file} is declared in no {parent}");
    }
}

#[test]
fn sizes_that_ask_for_a_look() {
    for (file, text) in sources() {
        let lines = text.lines().count();
        if lines > 400 {
            eprintln!("look again: {file} has {lines} lines");
        }
    }
}
