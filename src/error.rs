//! What can go wrong, as one enum. Every variant about a file names the file, the byte, what was
//! expected and what was found; every doc line says what the caller can do.
//!
//! Readers of borrowed bytes (`code`, `index`) return a bare [`Corruption`]; the floors that know
//! the file attach its path and offset with [`Corruption::at`].

use std::io;
use std::path::{Path, PathBuf};

/// The result of every fallible operation of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// An operation of the engine failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The operating system refused a file operation. Mend the cause and try again; after a failed
    /// write the handle is [`Error::Poisoned`] and must be reopened.
    #[error("cannot {op} {}: {source}", path.display())]
    Io {
        /// The file or directory.
        path: PathBuf,
        /// What was attempted, as a verb.
        op: &'static str,
        /// What the operating system said.
        source: io::Error,
    },
    /// A file holds bytes that hashdb never wrote there. Run `hashdb check` to see all of it, then
    /// `hashdb repair` ([`Database::repair`](crate::Database::repair)), or restore a backup.
    #[error("{} is damaged at byte {offset}: {what}", path.display())]
    Corruption {
        /// The damaged file.
        path: PathBuf,
        /// Where in the file, in bytes from its start.
        offset: u64,
        /// What was expected and what was found.
        what: Corruption,
    },
    /// The file was written by a release that this one cannot read. Use that release or a newer one.
    #[error(
        "{} has format version {found}, this release reads versions {oldest} to {newest}",
        path.display()
    )]
    UnsupportedFormat {
        /// The file that carries the version.
        path: PathBuf,
        /// The version found in it.
        found: u16,
        /// The oldest version that this release reads.
        oldest: u16,
        /// The newest version that this release reads.
        newest: u16,
    },
    /// The path is no hashdb database. Check the path, or create one there.
    #[error("{} is not a hashdb database", path.display())]
    NotADatabase {
        /// The path that was opened.
        path: PathBuf,
    },
    /// The path holds no hashdb backups, or something beside them. Check the path; a new backup folder
    /// is made where nothing is.
    #[error("{} is not a folder of hashdb backups", path.display())]
    NotABackup {
        /// The path that was given.
        path: PathBuf,
    },
    /// A generation of a backup cannot be restored. Restore one that is whole.
    #[error("generation {generation} is damaged: {source}; {}", whole_generations(whole))]
    DamagedBackup {
        /// The generation that was to be restored.
        generation: u64,
        /// The generations of the folder that are whole, oldest first.
        whole: Vec<u64>,
        /// The first damage that was found.
        source: Box<Error>,
    },
    /// The path is taken. Open the database instead, or choose another path.
    #[error("{} already exists and is not empty", path.display())]
    AlreadyExists {
        /// The path that was to be created.
        path: PathBuf,
    },
    /// The code has another width than the database or the query. Use codes of one encoder.
    #[error("the code has {found} bits, expected {expected}")]
    CodeWidth {
        /// Bits of a code in this database.
        expected: u16,
        /// Bits of the code that was given.
        found: u16,
    },
    /// The address has another width than the database.
    #[error("the address has {found} bits, expected {expected}")]
    AddressWidth {
        /// Bits of an address in this database.
        expected: u8,
        /// Bits of the address that was given.
        found: u8,
    },
    /// An argument breaks a documented rule. Correct the call.
    #[error("{argument} {rule}")]
    InvalidArgument {
        /// The argument, as the caller knows it.
        argument: &'static str,
        /// The rule that it breaks, as the rest of a sentence.
        rule: String,
    },
    /// The database was filled by another encoder; their codes must not mix.
    #[error("the database holds codes of encoder {expected}, not of {found}")]
    EncoderMismatch {
        /// Fingerprint stored in the database, `none` if it has no encoder.
        expected: String,
        /// Fingerprint that was offered.
        found: String,
    },
    /// Another process has the database open for writing. Wait for it, or open read-only.
    #[error(
        "{} is locked by {}; open it read-only or wait",
        path.display(),
        owner.map_or_else(|| "another process".to_owned(), |pid| format!("process {pid}"))
    )]
    Locked {
        /// The database directory.
        path: PathBuf,
        /// Process id of the owner, where it could be read.
        owner: Option<u32>,
    },
    /// The handle was opened read-only. Open the database for writing.
    #[error("the database was opened read-only")]
    ReadOnly,
    /// An earlier write failed, so the state on disk is in doubt. Drop the handle and reopen:
    /// recovery restores every acknowledged write.
    #[error("an earlier write failed; reopen the database to recover")]
    Poisoned,
    /// The records are older than what hashdb knows to be durable: the log or the manifest of the
    /// record store was cut or replaced. Nothing was changed; restore a backup, or see what
    /// `hashdb repair` says would be lost ([`Database::repair`](crate::Database::repair)).
    #[error(
        "{} was rolled back: its records end at sequence {found}, but sequence {expected} was durable",
        path.display()
    )]
    RolledBack {
        /// The database directory.
        path: PathBuf,
        /// Sequence number that was durable.
        expected: u64,
        /// Last sequence number found.
        found: u64,
    },
    /// A repair would give up records or values that cannot be read. Nothing was changed: restore a
    /// backup, or run `hashdb repair --accept-loss`
    /// ([`RepairOptions::accept_loss`](crate::RepairOptions::accept_loss)).
    #[error(
        "repairing {} would give up at least {records} records and {values} values: {detail}",
        path.display()
    )]
    WouldLose {
        /// The database directory.
        path: PathBuf,
        /// Records that are known to be gone.
        records: u64,
        /// Values that are known to be gone.
        values: u64,
        /// What is known about it.
        detail: String,
    },
    /// A bulk load brought a key that is there already, and was not told what to do about it
    /// ([`BulkOptions::duplicates`](crate::BulkOptions::duplicates)). Nothing was loaded.
    #[error(
        "the key {} is {}",
        key.escape_ascii(),
        if *in_database { "in the database already" } else { "in the load twice" }
    )]
    DuplicateKey {
        /// The key.
        key: Vec<u8>,
        /// Whether the other record is in the database, or in the same load.
        in_database: bool,
    },
    /// The work was stopped by the flag that it was given. Nothing was changed.
    #[error("stopped before the end; nothing was changed")]
    Cancelled,
    /// The record store failed or found damage in its own files. If it is damage
    /// ([`Error::is_corruption`]), run `hashdb check`, then `hashdb repair`
    /// ([`Database::repair`](crate::Database::repair)), or restore a backup.
    #[error("{}: {source}", path.display())]
    Records {
        /// The directory of the record store.
        path: PathBuf,
        /// What it said.
        source: RecordError,
    },
}

fn whole_generations(whole: &[u64]) -> String {
    let numbers: Vec<_> = whole.iter().map(u64::to_string).collect();
    match whole.len() {
        0 => "no other generation is whole".to_owned(),
        1 => format!("generation {} is whole", numbers.join("")),
        _ => format!("generations {} are whole", numbers.join(", ")),
    }
}

/// What the record store (RocksDB) said; its type stays private to the storage floor.
#[derive(Debug, thiserror::Error)]
#[error("record store: {message}")]
pub struct RecordError {
    /// The message, as given.
    pub(crate) message: String,
    /// Whether it reports damaged bytes rather than a failed operation.
    pub(crate) corruption: bool,
}

impl RecordError {
    /// Whether the record store found damage, rather than failing an operation.
    #[must_use]
    pub fn is_corruption(&self) -> bool {
        self.corruption
    }
}

/// How bytes differ from what the format prescribes.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Corruption {
    /// The file does not begin as its kind must.
    #[error("the magic bytes are wrong")]
    Magic,
    /// A checksum does not match its bytes.
    #[error("checksum is {found:08x}, expected {expected:08x}")]
    Checksum {
        /// The checksum that is stored.
        expected: u32,
        /// The checksum of the bytes as they are.
        found: u32,
    },
    /// A record of the write-ahead log is not what was written: its checksum, its length or its type is wrong.
    #[error("a record of the log is not what was written")]
    LogRecord,
    /// The bytes end too early.
    #[error("{missing} bytes are missing")]
    Truncated {
        /// How many bytes are missing.
        missing: u64,
    },
    /// A field holds a value that the format does not allow.
    #[error("{field} is {value}, out of range")]
    OutOfRange {
        /// The field, as named in storage-format.md.
        field: &'static str,
        /// The value found.
        value: u64,
    },
    /// Values that must rise do not.
    #[error("{field} is not sorted")]
    Unsorted {
        /// The column, as named in storage-format.md.
        field: &'static str,
    },
    /// Two places that must agree do not.
    #[error("{field} is {found}, expected {expected}")]
    Mismatch {
        /// The field, as named in storage-format.md.
        field: &'static str,
        /// The value that the other place holds.
        expected: u64,
        /// The value found.
        found: u64,
    },
    /// Something that must be there is not.
    #[error("{what} is missing")]
    Missing {
        /// What is missing, as named in storage-format.md.
        what: &'static str,
    },
}

impl Corruption {
    /// Names the file and the byte.
    #[must_use]
    pub fn at(self, path: &Path, offset: u64) -> Error {
        Error::Corruption { path: path.to_path_buf(), offset, what: self }
    }
}

impl Error {
    /// An argument that breaks a documented rule.
    pub(crate) fn invalid(argument: &'static str, rule: impl Into<String>) -> Self {
        Self::InvalidArgument { argument, rule: rule.into() }
    }

    /// Whether the disk is full. Reading works on; [`Database::recover_space`] makes room to write.
    ///
    /// [`Database::recover_space`]: crate::Database::recover_space
    #[must_use]
    pub fn is_disk_full(&self) -> bool {
        match self {
            Self::Io { source, .. } => source.kind() == io::ErrorKind::StorageFull,
            Self::Records { source, .. } => source.message.contains("No space left on device"),
            _ => false,
        }
    }

    /// Whether the error reports damaged files, rather than a failed operation or a wrong call.
    #[must_use]
    pub fn is_corruption(&self) -> bool {
        match self {
            Self::Corruption { .. }
            | Self::RolledBack { .. }
            | Self::WouldLose { .. }
            | Self::DamagedBackup { .. } => true,
            Self::Records { source, .. } => source.corruption,
            _ => false,
        }
    }
}
