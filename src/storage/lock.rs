//! One writer a database: an advisory lock on the file LOCK, which also names the owner.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read as _, Seek as _, Write as _};
use std::path::Path;

use crate::error::{Error, Result};

/// Held while a database is open for writing; released by the operating system when the process
/// ends, however it ends.
#[derive(Debug)]
pub(crate) struct Lock {
    file: File,
}

impl Drop for Lock {
    fn drop(&mut self) {
        // Closing would not do: a child process that another thread is about to start holds a
        // copy of the descriptor until it runs its program, and the lock with it.
        let _released_by_the_end_of_the_process = self.file.unlock();
    }
}

impl Lock {
    /// Whether a writer holds the lock. For a moment the question itself keeps a writer out.
    pub(crate) fn is_held(path: &Path) -> bool {
        #[expect(clippy::disallowed_methods, reason = "a lock needs the file itself")]
        let file = File::open(path);
        file.is_ok_and(|file| matches!(file.try_lock_shared(), Err(TryLockError::WouldBlock)))
    }

    /// Who holds the lock, or held it last.
    pub(crate) fn owner(path: &Path) -> Option<u32> {
        let mut owner = String::new();
        #[expect(clippy::disallowed_methods, reason = "a lock needs the file itself")]
        let read = File::open(path).and_then(|mut file| file.read_to_string(&mut owner));
        read.ok().and(owner.trim().parse().ok())
    }

    /// Keeps the owner of the lock out while reading, where the lock's file is there.
    pub(crate) fn share(path: &Path, root: &Path) -> Result<Option<Self>> {
        #[expect(clippy::disallowed_methods, reason = "a lock needs the file itself")]
        let Ok(file) = File::open(path) else {
            return Ok(None);
        };
        match file.try_lock_shared() {
            Ok(()) => Ok(Some(Self { file })),
            Err(TryLockError::WouldBlock) => {
                Err(Error::Locked { path: root.to_path_buf(), owner: Self::owner(path) })
            }
            // A medium without locks has no writer either.
            Err(TryLockError::Error(_)) => Ok(None),
        }
    }

    /// Takes the lock of the database in `root`, or says who has it.
    pub(crate) fn acquire(path: &Path, root: &Path) -> Result<Self> {
        let io = |op| move |source| Error::Io { path: path.to_path_buf(), op, source };
        #[expect(clippy::disallowed_methods, reason = "a lock needs the file itself")]
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(path)
            .map_err(io("open"))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut owner = String::new();
                let owner = file.read_to_string(&mut owner).ok().and(owner.trim().parse().ok());
                return Err(Error::Locked { path: root.to_path_buf(), owner });
            }
            Err(TryLockError::Error(source)) => return Err(io("lock")(source)),
        }
        // The name of the owner is a courtesy to whoever is refused: a full disk, on which it
        // cannot be written, must not keep anybody from opening the database.
        let _courtesy = file
            .set_len(0)
            .and_then(|()| file.rewind())
            .and_then(|()| write!(file, "{}", std::process::id()));
        Ok(Self { file })
    }
}
