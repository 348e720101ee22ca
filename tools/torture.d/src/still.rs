//! A closed database that has files of every kind, to be damaged.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};
use hashdb::Database;

use crate::model::Model;
use crate::plan::{Flavour, Plan};
use crate::rows::kill::create;

/// How often the database is opened and written to.
const LEAST_PARTS: u32 = 3;
const MOST_PARTS: u32 = 20;

/// Makes one at `path` and returns what it holds: tables, blobs and a log in the record store, three
/// segments or more, deleted rows, rows in the memtable, and an encoder unless it is loaded.
pub(crate) fn make(seed: u64, flavour: Flavour, path: &Path) -> Result<Model> {
    let plan = Plan::new(seed, flavour);
    let mut model = create(&plan, path)?;
    let weights = (flavour == Flavour::Still).then_some("weights");
    let kinds: Vec<_> = ["log", "sst", "blob", "seg"].into_iter().chain(weights).collect();
    for part in 0.. {
        // Whether the few large values are still there by then is a matter of luck.
        if part >= LEAST_PARTS {
            let files = files(path)?;
            let is_there = |kind: &&str| files.iter().any(|file| kind_of(file) == *kind);
            let Some(absent) = kinds.iter().find(|kind| !is_there(kind)) else { break };
            ensure!(part < MOST_PARTS, "the database has no {absent} file: this would show little");
        }
        let db = Database::open(path, plan.options().background(false)).context("open")?;
        if part == 0 && flavour == Flavour::Loaded {
            db.compact().context("compact")?;
        } else {
            db.seal().context("seal")?;
        }
        for _ in 0..40 {
            let step = model.advance();
            step.apply(&db).context("write")?;
        }
    }
    Ok(model)
}

/// Every file below a folder, sorted.
pub(crate) fn files(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).context("list a folder")? {
        let path = entry.context("list a folder")?.path();
        if path.is_dir() {
            found.extend(files(&path)?);
        } else {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

/// What a file is, by its name.
pub(crate) fn kind_of(file: &Path) -> &'static str {
    let name = file.file_name().map_or(String::new(), |name| name.to_string_lossy().into_owned());
    let ending = file.extension().and_then(|ending| ending.to_str());
    match (name.as_str(), ending) {
        (_, Some("log")) => "log",
        (_, Some("sst")) => "sst",
        (_, Some("blob")) => "blob",
        (_, Some("seg")) => "seg",
        (_, Some("safetensors")) => "weights",
        ("SUPERBLOCK", _) => "superblock",
        ("CURRENT", _) => "current",
        ("WATERMARK", _) => "watermark",
        ("IDENTITY", _) => "identity",
        (name, _) if name.starts_with("MANIFEST") => "manifest",
        (name, _) if name.starts_with("OPTIONS") => "options",
        _ => "messages",
    }
}

/// Copies a folder with everything in it.
pub(crate) fn copy(from: &Path, to: &Path) -> Result<()> {
    std::fs::create_dir_all(to).context("make a folder")?;
    for entry in std::fs::read_dir(from).context("list a folder")? {
        let path = entry.context("list a folder")?.path();
        let target = to.join(path.file_name().context("a name")?);
        if path.is_dir() {
            copy(&path, &target)?;
        } else {
            std::fs::copy(&path, &target).context("copy a file")?;
        }
    }
    Ok(())
}

/// The same, in place of what is there.
pub(crate) fn replace(from: &Path, to: &Path) -> Result<()> {
    if to.exists() {
        std::fs::remove_dir_all(to).context("remove a copy")?;
    }
    copy(from, to)
}
