//! Restoring: a generation becomes a database, checked byte by byte, the superblock last.

use std::path::Path;

use crate::db::backup::check::examine;
use crate::db::backup::create::read_checked;
use crate::db::backup::folder::{Folder, Manifests};
use crate::db::backup::manifest::{Manifest, SUPERBLOCK};
use crate::db::backup::{Backup, Generation, Meter};
use crate::db::capture::FOLDERS;
use crate::db::recover::create_root;
use crate::error::{Error, Result};
use crate::storage::failpoint;
use crate::storage::fs::{Fs, write_durably};
use crate::storage::tree::{remove_tree, sync_with_parent};

/// Restores a generation, the newest if none is named.
pub(super) fn restore(
    backup: &Backup,
    folder: &Folder<'_>,
    wanted: Option<u64>,
    target: &Path,
) -> Result<Generation> {
    let mut manifests = folder.manifests()?;
    let number = choose(&manifests, wanted)?;
    if let Some(at) = manifests.damaged.iter().position(|(damaged, _)| *damaged == number) {
        let (_, error) = manifests.damaged.swap_remove(at);
        return Err(refuse(backup, folder, manifests, number, error));
    }
    let absent = || Error::invalid("generation", format!("{number} is not in the backup folder"));
    let found = manifests.valid.iter().find(|manifest| manifest.number == number);
    let manifest = found.ok_or_else(absent)?;
    // Only a root that was not there is removed again if the restore fails.
    let existed = target.exists();
    create_root(folder.fs, target)?;
    failpoint::reach("restore.begin");
    let mut meter = backup.meter(manifest.bytes());
    let Err(error) = fill(folder, manifest, target, &mut meter) else {
        return Ok(manifest.generation());
    };
    clear(folder.fs, target, existed);
    match &error {
        // Of the backup, not of the target.
        Error::Corruption { path, .. } | Error::Io { path, .. }
            if path.starts_with(folder.files()) =>
        {
            Err(refuse(backup, folder, manifests, number, error))
        }
        _ => Err(error),
    }
}

/// The generation to restore; of a folder with a damaged newest manifest that is the one.
fn choose(manifests: &Manifests, wanted: Option<u64>) -> Result<u64> {
    let valid = manifests.valid.iter().map(|manifest| manifest.number);
    let newest = valid.chain(manifests.damaged.iter().map(|(number, _)| *number)).max();
    let none = || Error::invalid("backup folder", "holds no generation");
    wanted.or(newest).ok_or_else(none)
}

/// The error about a damaged generation, with those that are whole.
fn refuse(
    backup: &Backup,
    folder: &Folder<'_>,
    mut manifests: Manifests,
    generation: u64,
    source: Error,
) -> Error {
    manifests.valid.retain(|manifest| manifest.number != generation);
    let quiet = Backup { progress: None, ..backup.clone() };
    let whole = examine(&quiet, folder, &manifests).whole;
    Error::DamagedBackup { generation, whole, source: Box::new(source) }
}

/// Writes the files, durably, and the superblock after all others.
fn fill(
    folder: &Folder<'_>,
    manifest: &Manifest,
    target: &Path,
    meter: &mut Meter<'_>,
) -> Result<()> {
    let fs = folder.fs;
    for name in FOLDERS {
        fs.create_dir(&target.join(name))?;
    }
    let mut superblock = Vec::new();
    for entry in &manifest.entries {
        if entry.name == SUPERBLOCK {
            read_checked(folder, entry, |chunk| {
                superblock.extend_from_slice(chunk);
                Ok(())
            })?;
            continue;
        }
        let mut out = fs.create(&target.join(&entry.name))?;
        read_checked(folder, entry, |chunk| {
            meter.add(chunk.len());
            out.write_all(chunk)
        })?;
        failpoint::reach("restore.file");
        out.sync()?;
    }
    for name in FOLDERS {
        fs.sync_dir(&target.join(name))?;
    }
    sync_with_parent(fs, target)?;
    failpoint::reach("restore.filled");
    write_durably(fs, &target.join(SUPERBLOCK), &superblock)?;
    failpoint::reach("restore.end");
    meter.add(superblock.len());
    Ok(())
}

/// Removes what a failed restore wrote, the superblock first. What cannot be removed is no database.
fn clear(fs: &dyn Fs, target: &Path, existed: bool) {
    let superblock = target.join(SUPERBLOCK);
    let _gone_or_never_there = fs.remove(&superblock);
    let _never_complete = fs.remove(&superblock.with_extension("tmp"));
    for name in FOLDERS {
        let _left_without_superblock = remove_tree(fs, &target.join(name));
    }
    if !existed {
        let _empty_folder = fs.remove_dir(target);
    }
}
