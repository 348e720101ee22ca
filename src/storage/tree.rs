//! Whole files and folders: copying, linking and removing them through [`Fs`], for checkpoints and
//! backups.

use std::io::{ErrorKind, Read as _};
use std::path::Path;

use crate::error::{Error, Result};
use crate::storage::fs::Fs;

/// What one read takes.
const CHUNK_BYTES: usize = 1 << 20;

/// Reads a file to its end, or up to `limit` bytes, and shows them to `see`; returns how many.
pub(crate) fn read_through(
    fs: &dyn Fs,
    path: &Path,
    limit: u64,
    mut see: impl FnMut(&[u8]) -> Result<()>,
) -> Result<u64> {
    let mut file = fs.open_read(path)?.take(limit);
    let mut chunk = vec![0; CHUNK_BYTES];
    let mut total = 0;
    loop {
        match file.read(&mut chunk) {
            Ok(0) => return Ok(total),
            Ok(count) => {
                see(&chunk[..count])?;
                total += count as u64;
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(source) => return Err(Error::Io { path: path.to_path_buf(), op: "read", source }),
        }
    }
}

/// Refuses a path that lies in a folder, or would: what is put there is foreign to what the folder holds.
pub(crate) fn refuse_inside(path: &Path, folder: &Path, argument: &'static str) -> Result<()> {
    let (Ok(folder), Ok(path)) = (folder.canonicalize(), std::path::absolute(path)) else {
        return Ok(());
    };
    // What is not there yet would lie in the innermost folder that is.
    let there = path.ancestors().find_map(|above| above.canonicalize().ok());
    if there.is_some_and(|there| there.starts_with(&folder)) {
        return Err(Error::invalid(argument, format!("must not lie in {}", folder.display())));
    }
    Ok(())
}

/// Copies a file, or its first `limit` bytes, durably but for its name, and shows the bytes to `see`;
/// returns how many there were.
pub(crate) fn copy(
    fs: &dyn Fs,
    from: &Path,
    to: &Path,
    limit: u64,
    mut see: impl FnMut(&[u8]),
) -> Result<u64> {
    let mut out = fs.create(to)?;
    let total = read_through(fs, from, limit, |bytes| {
        see(bytes);
        out.write_all(bytes)
    })?;
    out.sync()?;
    Ok(total)
}

/// Gives a file that never changes a second name, or copies it where the file system cannot do
/// that; says whether it was linked.
pub(crate) fn link_or_copy(fs: &dyn Fs, from: &Path, to: &Path) -> Result<bool> {
    match fs.hard_link(from, to) {
        Ok(()) => Ok(true),
        Err(Error::Io { source, .. })
            if matches!(
                source.kind(),
                ErrorKind::CrossesDevices
                    | ErrorKind::TooManyLinks
                    | ErrorKind::Unsupported
                    | ErrorKind::PermissionDenied
            ) =>
        {
            copy(fs, from, to, u64::MAX, |_| ()).map(|_| false)
        }
        Err(error) => Err(error),
    }
}

/// The length of a file.
pub(crate) fn file_bytes(fs: &dyn Fs, path: &Path) -> Result<u64> {
    let metadata = fs.open_read(path)?.metadata();
    let io = |source| Error::Io { path: path.to_path_buf(), op: "inspect", source };
    metadata.map(|metadata| metadata.len()).map_err(io)
}

/// Removes a folder with everything in it; one that is absent is fine.
pub(crate) fn remove_tree(fs: &dyn Fs, path: &Path) -> Result<()> {
    let entries = match fs.list(path) {
        Err(error) if is_absent(&error) => return Ok(()),
        entries => entries?,
    };
    for entry in entries {
        // A link to a folder is a name to remove, not a folder to go into.
        let is_folder = entry.symlink_metadata().is_ok_and(|metadata| metadata.is_dir());
        if is_folder { remove_tree(fs, &entry)? } else { fs.remove(&entry)? }
    }
    fs.remove_dir(path)
}

/// Creates a directory that may be there.
pub(crate) fn ensure_dir(fs: &dyn Fs, path: &Path) -> Result<()> {
    match fs.create_dir(path) {
        Err(Error::Io { source, .. }) if source.kind() == ErrorKind::AlreadyExists => Ok(()),
        Ok(()) => path.parent().map_or(Ok(()), |parent| fs.sync_dir(parent)),
        other => other,
    }
}

/// Makes the names in a folder and in its parent durable.
pub(crate) fn sync_with_parent(fs: &dyn Fs, path: &Path) -> Result<()> {
    fs.sync_dir(path)?;
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => fs.sync_dir(parent),
        _ => fs.sync_dir(Path::new(".")),
    }
}

/// Whether an error says that the path is not there.
pub(crate) fn is_absent(error: &Error) -> bool {
    matches!(error, Error::Io { source, .. } if source.kind() == ErrorKind::NotFound)
}
