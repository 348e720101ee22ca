//! Taking what can be read from a record store that is damaged. Everything here works on copies of
//! its files; the original is never changed.

use std::path::Path;

use rocksdb::{DB, DBRawIterator, FlushOptions};

use super::records::{Access, Family, Records, RecordsSnapshot, scan_options, store_options};
use crate::error::Result;
use crate::storage::failpoint;
use crate::storage::fs::Fs;
use crate::storage::log;
use crate::storage::tree::{copy, ensure_dir, link_or_copy, remove_tree};

/// A stretch of a family that could not be read.
#[derive(Debug, Clone)]
pub(crate) struct Gap {
    /// Nothing of the family can be read.
    pub(crate) whole: bool,
    /// What the store said.
    pub(crate) error: String,
}

/// Copies a store so that it may be changed: tables and blob files never change, so a second name
/// will do for them.
pub(crate) fn copy_store(fs: &dyn Fs, from: &Path, to: &Path) -> Result<()> {
    remove_tree(fs, to)?;
    ensure_dir(fs, to)?;
    for file in fs.list(from)? {
        let Some(name) = file.file_name() else { continue };
        // The lock is of one folder, the mark of one manifest. What is left is RocksDB's.
        let is_ours = name == "LOCK" || name == "WATERMARK" || name == "SUPERBLOCK.new";
        if file.is_dir() || is_ours {
            continue;
        }
        let fixed = file.extension().is_some_and(|kind| kind == "sst" || kind == "blob");
        let target = to.join(name);
        if fixed {
            link_or_copy(fs, &file, &target)?;
        } else {
            copy(fs, &file, &target, log::readable_bytes(fs, &file)?, |_| ())?;
        }
    }
    fs.sync_dir(to)
}

/// The tables in the folder of a store, whether its manifest names them or not.
pub(crate) fn tables_on_disk(fs: &dyn Fs, path: &Path) -> Result<Vec<String>> {
    let tables = fs
        .list(path)?
        .into_iter()
        .filter(|file| file.extension().is_some_and(|kind| kind == "sst"));
    Ok(tables.filter_map(|file| Some(file.file_name()?.to_str()?.to_owned())).collect())
}

/// Writes a manifest anew from the tables and logs that are there. The last resort: deleted entries
/// may come back from tables that were about to be removed, and large values are out of reach, since
/// only the lost manifest knew their files.
pub(crate) fn rebuild_manifest(fs: &dyn Fs, path: &Path, scratch: &Path) -> Result<()> {
    // A family of which no table says that it exists would be taken for none, and its part of the
    // log dropped: each gets a table that deletes a key nobody has.
    remove_tree(fs, scratch)?;
    let skeleton = Records::open(scratch, Access::Create, 0, None)?;
    for family in Family::ALL {
        let handle = skeleton.family(family)?;
        skeleton.db.delete_cf(handle, b"").map_err(|error| skeleton.fail(&error))?;
        skeleton
            .db
            .flush_cf_opt(handle, &FlushOptions::default())
            .map_err(|error| skeleton.fail(&error))?;
    }
    let tables = skeleton.live_tables()?;
    drop(skeleton);
    for (number, table) in (SKELETON_NUMBER..).zip(tables) {
        let target = path.join(format!("{number:06}.sst"));
        copy(fs, &scratch.join(table), &target, u64::MAX, |_| ())?;
    }
    remove_tree(fs, scratch)?;
    failpoint::reach("salvage.skeleton");
    DB::repair(&store_options(Access::Lenient), path)
        .map_err(|error| super::records::failure(path, &error))
}

/// Beyond the numbers of a store's own files.
const SKELETON_NUMBER: u64 = 900_000_000;

impl RecordsSnapshot {
    /// Visits what can be read of a family in key order, and says what could not be.
    pub(crate) fn scan_sound(
        &self,
        family: Family,
        mut visit: impl FnMut(&[u8], &[u8]) -> Result<()>,
    ) -> Result<Vec<Gap>> {
        let handle = self.records().family(family)?;
        let mut entries = self.frozen().raw_iterator_cf_opt(handle, scan_options());
        let mut gaps = Vec::new();
        let mut last: Option<u128> = None;
        entries.seek_to_first();
        loop {
            while let Some((key, value)) = entries.item() {
                last = Some(as_number(key));
                visit(key, value)?;
                entries.next();
            }
            let Err(error) = entries.status() else { return Ok(gaps) };
            let from = last.map_or(0, |last| last.saturating_add(1));
            let skipped = skip(&mut entries, from);
            gaps.push(Gap { whole: last.is_none() && skipped.is_none(), error: error.to_string() });
            let Some(next) = skipped else { return Ok(gaps) };
            last = Some(next);
        }
    }
}

/// Puts the iterator behind a stretch that cannot be read, at the first key that can be found; steps
/// grow until one is found and halve on the way back. `None` if nothing follows that can be read.
fn skip(entries: &mut DBRawIterator<'_>, from: u128) -> Option<u128> {
    let mut bad = from;
    let mut good = None;
    for power in 0..128 {
        let Some(to) = from.checked_add(1 << power) else { break };
        if readable(entries, to) {
            good = Some(to);
            break;
        }
        bad = to;
    }
    let mut good = match good {
        Some(good) => good,
        None if readable(entries, u128::MAX) => u128::MAX,
        None => return None,
    };
    while good - bad > 1 {
        let middle = bad + (good - bad) / 2;
        if readable(entries, middle) {
            good = middle;
        } else {
            bad = middle;
        }
    }
    readable(entries, good).then_some(good)
}

fn readable(entries: &mut DBRawIterator<'_>, from: u128) -> bool {
    entries.seek(from.to_be_bytes());
    entries.valid() || entries.status().is_ok()
}

/// The first sixteen bytes of a key as a number of the same order: all of it but for users' keys.
fn as_number(key: &[u8]) -> u128 {
    let mut bytes = [0; 16];
    let length = key.len().min(16);
    bytes[..length].copy_from_slice(&key[..length]);
    u128::from_be_bytes(bytes)
}
