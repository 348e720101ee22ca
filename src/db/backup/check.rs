//! Verifying a backup folder: every file that a manifest names is read once.

use std::collections::HashMap;

use crate::db::backup::Backup;
use crate::db::backup::create::read_checked;
use crate::db::backup::folder::{Folder, Manifests};
use crate::db::verify::Damage;
use crate::error::{Error, Result};

/// What [`Backup::verify`] found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct BackupReport {
    /// Generations that are whole, oldest first.
    pub whole: Vec<u64>,
    /// Generations that are damaged, oldest first.
    pub damaged: Vec<u64>,
    /// Files read.
    pub files: u64,
    /// Bytes read.
    pub bytes: u64,
    /// Every file that is not as it must be.
    pub damages: Vec<Damage>,
}

impl BackupReport {
    /// Whether all generations are whole.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.damages.is_empty()
    }
}

/// Reads everything.
pub(super) fn verify(backup: &Backup, folder: &Folder<'_>) -> Result<BackupReport> {
    Ok(examine(backup, folder, &folder.manifests()?))
}

/// Reads the files of all manifests.
pub(super) fn examine(backup: &Backup, folder: &Folder<'_>, manifests: &Manifests) -> BackupReport {
    let mut report = BackupReport::default();
    for (number, error) in &manifests.damaged {
        report.damaged.push(*number);
        report.damages.push(damage(folder, error));
    }
    // A file may be named by several manifests; each is read once, with each length that is claimed.
    let entries = manifests.valid.iter().flat_map(|manifest| &manifest.entries);
    let distinct: HashMap<_, _> =
        entries.map(|entry| ((entry.hash, entry.bytes), entry.bytes)).collect();
    let mut meter = backup.meter(distinct.values().fold(0, |sum: u64, b| sum.saturating_add(*b)));
    let mut sound: HashMap<_, bool> = HashMap::new();
    for manifest in &manifests.valid {
        let mut whole = true;
        for entry in &manifest.entries {
            whole &= *sound.entry((entry.hash, entry.bytes)).or_insert_with(|| {
                let checked = read_checked(folder, entry, |chunk| {
                    meter.add(chunk.len());
                    report.bytes += chunk.len() as u64;
                    Ok(())
                });
                report.files += 1;
                let sound = checked.is_ok();
                report.damages.extend(checked.err().map(|error| damage(folder, &error)));
                sound
            });
        }
        let list = if whole { &mut report.whole } else { &mut report.damaged };
        list.push(manifest.number);
    }
    report.damaged.sort_unstable();
    report
}

fn damage(folder: &Folder<'_>, error: &Error) -> Damage {
    let path = match error {
        Error::Io { path, .. }
        | Error::Corruption { path, .. }
        | Error::UnsupportedFormat { path, .. } => path.clone(),
        _ => folder.path.to_path_buf(),
    };
    Damage { path, description: error.to_string() }
}
