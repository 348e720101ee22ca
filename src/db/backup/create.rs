//! Making a generation: files first, durably, then the manifest that names them, then pruning.

use std::time::{SystemTime, UNIX_EPOCH};

use crate::db::backup::folder::{Folder, Manifests};
use crate::db::backup::manifest::{Entry, FileHash, Manifest, SUPERBLOCK};
use crate::db::backup::{Backup, BackupCreated, Meter};
use crate::db::capture::{Capture, CapturedFile};
use crate::error::{Corruption, Error, Result};
use crate::storage::failpoint;
use crate::storage::fs::write_durably;
use crate::storage::superblock::DatabaseId;
use crate::storage::tree::{copy, file_bytes, is_absent, read_through};

/// Makes a generation of what `capture` returns.
pub(super) fn create(
    backup: &Backup,
    folder: &Folder<'_>,
    capture: impl FnOnce() -> Result<Capture>,
) -> Result<BackupCreated> {
    let _lock = folder.lock()?;
    let mut manifests = folder.manifests()?;
    let capture = capture()?;
    refuse_other_database(&manifests, &capture.superblock.database_id)?;
    // Before anything is written: the space of what was left over may be needed.
    folder.sweep(&manifests)?;
    failpoint::reach("backup.begin");

    let number = manifests.next_number();
    let total_bytes = capture.files.iter().map(|file| file.bytes).sum();
    let (meter, recheck) = (backup.meter(total_bytes), backup.recheck);
    let mut store = Store { folder, meter, recheck, new_files: 0, new_bytes: 0 };
    let mut entries = vec![store.superblock(&capture)?];
    for file in &capture.files {
        entries.push(store.file(file)?);
    }
    store.meter.tell();
    entries.sort_by(|a, b| a.name.cmp(&b.name));
    folder.fs.sync_dir(&folder.files())?;
    failpoint::reach("backup.files");
    let manifest = Manifest {
        number,
        database_id: capture.superblock.database_id,
        created: SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs()),
        sequence: capture.superblock.sequence,
        records: capture.superblock.record_count,
        entries,
    };
    let (new_files, new_bytes) = (store.new_files, store.new_bytes);
    // The links that hold the database's old files are no longer needed.
    drop(capture);
    write_durably(folder.fs, &folder.manifest(number), &manifest.encode())?;
    failpoint::reach("backup.manifest");
    let generation = manifest.generation();
    manifests.valid.push(manifest);
    let pruned = prune(folder, &mut manifests, backup.keep)?;
    let damaged = manifests.damaged.iter().map(|(number, _)| *number).collect();
    Ok(BackupCreated { generation, new_files, new_bytes, pruned, damaged })
}

fn refuse_other_database(manifests: &Manifests, id: &DatabaseId) -> Result<()> {
    let hex = |id: &DatabaseId| id.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    match manifests.valid.iter().find(|manifest| manifest.database_id != *id) {
        None => Ok(()),
        Some(other) => {
            let (kept, given) = (hex(&other.database_id), hex(id));
            let rule = format!("holds backups of database {kept}, not of {given}");
            Err(Error::invalid("backup folder", rule))
        }
    }
}

/// Removes the oldest generations beyond `keep`: manifests first, durably, then files.
fn prune(folder: &Folder<'_>, manifests: &mut Manifests, keep: usize) -> Result<Vec<u64>> {
    let surplus = manifests.valid.len().saturating_sub(keep);
    if surplus == 0 {
        return Ok(Vec::new());
    }
    let pruned: Vec<_> = manifests.valid.drain(..surplus).map(|manifest| manifest.number).collect();
    for number in &pruned {
        folder.fs.remove(&folder.manifest(*number))?;
    }
    failpoint::reach("backup.pruned");
    folder.fs.sync_dir(&folder.generations())?;
    folder.sweep(manifests)?;
    failpoint::reach("backup.swept");
    Ok(pruned)
}

/// Files on their way into the folder.
struct Store<'a> {
    folder: &'a Folder<'a>,
    meter: Meter<'a>,
    /// Stored files are read again.
    recheck: bool,
    new_files: u64,
    new_bytes: u64,
}

impl Store<'_> {
    /// Stores a file, unless the folder has it.
    fn file(&mut self, file: &CapturedFile) -> Result<Entry> {
        let (fs, meter) = (self.folder.fs, &mut self.meter);
        let mut hasher = blake3::Hasher::new();
        let bytes = read_through(fs, &file.path, u64::MAX, |chunk| {
            hasher.update(chunk);
            meter.add(chunk.len());
            Ok(())
        })?;
        let entry = Entry { name: file.name.clone(), bytes, hash: hasher.finalize() };
        if !self.has(&entry)? {
            let mut copied = blake3::Hasher::new();
            let draft = self.folder.file_draft();
            let length = copy(fs, &file.path, &draft, u64::MAX, |chunk| {
                copied.update(chunk);
            })?;
            if copied.finalize() != entry.hash {
                // Read twice with two results: a disk that lies.
                let what = Corruption::Mismatch { field: "length", expected: bytes, found: length };
                return Err(what.at(&file.path, 0));
            }
            failpoint::reach("backup.copied");
            fs.rename(&draft, &self.folder.file(&entry.hash))?;
            failpoint::reach("backup.stored");
            self.count(bytes);
        }
        Ok(entry)
    }

    /// Stores the superblock, which is no file yet.
    fn superblock(&mut self, capture: &Capture) -> Result<Entry> {
        let content = capture.superblock.file_bytes();
        let (bytes, hash) = (content.len() as u64, blake3::hash(&content));
        let entry = Entry { name: SUPERBLOCK.to_owned(), bytes, hash };
        if !self.has(&entry)? {
            write_durably(self.folder.fs, &self.folder.file(&hash), &content)?;
            self.count(bytes);
        }
        Ok(entry)
    }

    /// Whether the folder has the file in its whole length, and with the right bytes if that is asked for.
    fn has(&self, entry: &Entry) -> Result<bool> {
        match file_bytes(self.folder.fs, &self.folder.file(&entry.hash)) {
            Ok(bytes) if bytes != entry.bytes || !self.recheck => Ok(bytes == entry.bytes),
            Ok(_) => match read_checked(self.folder, entry, |_| Ok(())) {
                Err(error) if !error.is_corruption() => Err(error),
                checked => Ok(checked.is_ok()),
            },
            Err(error) if is_absent(&error) => Ok(false),
            Err(error) => Err(error),
        }
    }

    fn count(&mut self, bytes: u64) {
        self.new_files += 1;
        self.new_bytes += bytes;
    }
}

/// Reads a stored file and holds it against its entry, showing the bytes to `see`.
pub(super) fn read_checked(
    folder: &Folder<'_>,
    entry: &Entry,
    mut see: impl FnMut(&[u8]) -> Result<()>,
) -> Result<()> {
    let path = folder.file(&entry.hash);
    let mut hasher = blake3::Hasher::new();
    // One byte more than there must be tells that there are more.
    let read = read_through(folder.fs, &path, entry.bytes.saturating_add(1), |chunk| {
        hasher.update(chunk);
        see(chunk)
    });
    let bytes = match read {
        Err(error) if is_absent(&error) => {
            return Err(Corruption::Missing { what: "the file" }.at(&path, 0));
        }
        read => read?,
    };
    if bytes != entry.bytes {
        let (expected, found) = (entry.bytes, bytes);
        return Err(Corruption::Mismatch { field: "file length", expected, found }.at(&path, 0));
    }
    let found = hasher.finalize();
    if found != entry.hash {
        let (expected, found) = (head(&entry.hash), head(&found));
        return Err(Corruption::Checksum { expected, found }.at(&path, 0));
    }
    Ok(())
}

/// The first four bytes of a hash, for messages.
fn head(hash: &FileHash) -> u32 {
    hash.as_bytes().iter().take(4).fold(0, |head, byte| head << 8 | u32::from(*byte))
}
