//! How a database is created, opened and written to.

use std::fmt;
use std::sync::Arc;

use crate::error::{Corruption, Error, Result};
use crate::storage::fs::{Fs, OsFs};

/// Longest key in bytes; the shortest has one byte.
pub const MAX_KEY_BYTES: usize = 4096;
/// Largest value in bytes.
pub const MAX_VALUE_BYTES: usize = 64 << 20;
/// Largest note in bytes.
pub const MAX_NOTE_BYTES: usize = 1 << 20;
/// Most bytes of keys, codes, values and patch addresses in one [`WriteBatch`](crate::WriteBatch).
pub const MAX_BATCH_BYTES: usize = 1 << 30;

/// How a database is created or opened. Every default is written beside its setter.
#[derive(Debug, Clone)]
pub struct Options {
    pub(crate) code_bits: u16,
    pub(crate) address_bits: u8,
    pub(crate) index: IndexOptions,
    pub(crate) encoder: Option<EncoderModel>,
    pub(crate) memtable_records: usize,
    pub(crate) segment_records: u64,
    pub(crate) background: bool,
    pub(crate) mmap: bool,
    pub(crate) cache_bytes: usize,
    pub(crate) ballast_bytes: u64,
    pub(crate) fs: Arc<dyn Fs>,
}

/// The encoder that fills a database: its fingerprint and its weight file. The engine keeps both
/// and compares fingerprints; it never looks into the weights.
#[derive(Debug, Clone)]
pub struct EncoderModel {
    /// The fingerprint in hexadecimal, 1 to 64 digits.
    pub fingerprint: String,
    /// The content of the weight file.
    pub weights: Vec<u8>,
}

/// Which indexes over codes a database's segments carry, beside the pair table over addresses. Each
/// costs room on disk and time when segments are merged, and none of them changes an exact answer.
/// Small segments do without, and so does a freshly sealed one, until it is merged: after a load,
/// [`Database::compact`](crate::Database::compact) builds them for everything. Figures are for codes of 256 bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IndexOptions {
    pub(crate) multi: bool,
    pub(crate) clusters: bool,
    pub(crate) prefix: bool,
    /// Segments carry what is wanted however small they are; not kept in the database.
    pub(crate) however_small: bool,
}

impl Default for IndexOptions {
    fn default() -> Self {
        Self { multi: true, clusters: true, ..Self::none() }
    }
}

impl fmt::Display for IndexOptions {
    /// A list such as `multi,clusters`, or `none`.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { multi, clusters, prefix, .. } = *self;
        let all = [("multi", multi), ("clusters", clusters), ("prefix", prefix)];
        let names: Vec<_> = all.into_iter().filter(|(_, on)| *on).map(|(name, _)| name).collect();
        formatter.pad(&if names.is_empty() { "none".to_owned() } else { names.join(",") })
    }
}

impl IndexOptions {
    /// No index: every search over codes is a scan.
    #[must_use]
    pub fn none() -> Self {
        Self { multi: false, clusters: false, prefix: false, however_small: false }
    }

    /// As the family `meta` keeps it (storage-format.md, section 4.1).
    pub(crate) fn encode(self) -> Vec<u8> {
        vec![u8::from(self.multi) | u8::from(self.clusters) << 1 | u8::from(self.prefix) << 2]
    }

    /// Reads what [`IndexOptions::encode`] wrote; a database without the entry carries none.
    pub(crate) fn decode(entry: Option<&[u8]>) -> Result<Self, Corruption> {
        let flags = match entry {
            None => 0,
            Some(&[flags]) if flags < 8 => flags,
            Some(other) => {
                let value = other.first().map_or(0, |flags| u64::from(*flags));
                return Err(Corruption::OutOfRange { field: "index options", value });
            }
        };
        let (multi, clusters, prefix) = (flags & 1 != 0, flags & 2 != 0, flags & 4 != 0);
        Ok(Self { multi, clusters, prefix, ..Self::none() })
    }

    /// Has segments carry their indexes however small they are, while this handle is open: a fixture
    /// with every kind of section stays small.
    #[cfg(feature = "__internals")]
    #[doc(hidden)]
    #[must_use]
    pub fn however_small(mut self) -> Self {
        self.however_small = true;
        self
    }

    /// The pair multi-index, default true: exact range search within small radii, near-duplicates,
    /// in microseconds. 96 bytes a record.
    #[must_use]
    pub fn multi_index(mut self, enabled: bool) -> Self {
        self.multi = enabled;
        self
    }

    /// Cluster lists, default true: approximate k-NN, and exact k-NN by pruning on data that has
    /// clusters. 38 bytes a record.
    #[must_use]
    pub fn clusters(mut self, enabled: bool) -> Self {
        self.clusters = enabled;
        self
    }

    /// The first 128 bits of every code in an array of their own, default false: halves a range
    /// search that no other index carries. 16 bytes a record.
    #[must_use]
    pub fn prefix(mut self, enabled: bool) -> Self {
        self.prefix = enabled;
        self
    }
}

impl Default for Options {
    fn default() -> Self {
        Self {
            code_bits: 256,
            address_bits: 28,
            index: IndexOptions::default(),
            encoder: None,
            memtable_records: 100_000,
            segment_records: 1 << 24,
            background: true,
            mmap: true,
            cache_bytes: 64 << 20,
            ballast_bytes: 64 << 20,
            fs: Arc::new(OsFs),
        }
    }
}

impl Options {
    /// The defaults.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Bits of a code: 64 to 1024 in steps of 64, default 256. Used by
    /// [`create`](crate::Database::create); an existing database knows its own.
    #[must_use]
    pub fn code_bits(mut self, bits: u16) -> Self {
        self.code_bits = bits;
        self
    }

    /// Bits of an address: 8 to 32, default 28. Used by [`create`](crate::Database::create).
    #[must_use]
    pub fn address_bits(mut self, bits: u8) -> Self {
        self.address_bits = bits;
        self
    }

    /// The indexes over codes that segments carry, default all but the prefixes. Used by
    /// [`create`](crate::Database::create); see [`Database::set_index`](crate::Database::set_index)
    /// for an existing database.
    #[must_use]
    pub fn index(mut self, index: IndexOptions) -> Self {
        self.index = index;
        self
    }

    /// The encoder whose codes the database will hold, default none. Used by
    /// [`create`](crate::Database::create).
    #[must_use]
    pub fn encoder(mut self, model: EncoderModel) -> Self {
        self.encoder = Some(model);
        self
    }

    /// Records that the memtable holds before it is sealed into a segment, default 100,000. Each
    /// costs its code, 12 bytes of memory and 4 for each of its patch addresses. At least 1.
    #[must_use]
    pub fn memtable_records(mut self, count: usize) -> Self {
        self.memtable_records = count.max(1);
        self
    }

    /// Records of the largest segment that the background makes by merging, default 2^24, at least 1. A
    /// merge takes the memory of its records, up to 160 bytes each with codes of 256 bits, so this
    /// bounds it; more segments cost a search a little each.
    #[must_use]
    pub fn segment_records(mut self, count: u64) -> Self {
        self.segment_records = count.max(1);
        self
    }

    /// Whether two threads seal and merge in the background, default true. Without it the
    /// program calls [`seal`](crate::Database::seal) and [`compact`](crate::Database::compact);
    /// a writer that finds the memtable four times over its size seals it itself.
    #[must_use]
    pub fn background(mut self, enabled: bool) -> Self {
        self.background = enabled;
        self
    }

    /// Whether segments are memory-mapped, default true. A mapped file that another program cuts
    /// short kills the process with SIGBUS; where that is a risk, turn it off and segments are
    /// read into memory when they are opened.
    #[must_use]
    pub fn mmap(mut self, enabled: bool) -> Self {
        self.mmap = enabled;
        self
    }

    /// Bytes of uncompressed blocks that the record store keeps in memory, default 64 MiB.
    #[must_use]
    pub fn cache_bytes(mut self, bytes: usize) -> Self {
        self.cache_bytes = bytes;
        self
    }

    /// Bytes on the disk that are kept back in the file BALLAST, default 64 MiB, 0 for none. A disk that
    /// has run full leaves no room to open a database for writing; [`Database::recover_space`] gives this
    /// room back. It is taken after a seal or a compaction, once the database itself is as large and
    /// the disk has four times as much left, so that a small database stays small. Recovery writes what
    /// the record store's log holds, mostly below 64 MiB and at most 256 MiB: a larger reserve is
    /// for those who write large values.
    ///
    /// [`Database::recover_space`]: crate::Database::recover_space
    #[must_use]
    pub fn ballast_bytes(mut self, bytes: u64) -> Self {
        self.ballast_bytes = bytes;
        self
    }

    pub(crate) fn validate(&self) -> Result<()> {
        validate_widths(self.code_bits, self.address_bits)?;
        if self.encoder.as_ref().is_some_and(|model| !is_fingerprint(&model.fingerprint)) {
            return Err(Error::invalid("encoder fingerprint", "must be 1 to 64 hex digits"));
        }
        Ok(())
    }
}

/// Whether a text can be a fingerprint: it names a file.
pub(crate) fn is_fingerprint(text: &str) -> bool {
    (1..=64).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// Checks the widths of codes and addresses.
pub(crate) fn validate_widths(code_bits: u16, address_bits: u8) -> Result<()> {
    if !(64..=1024).contains(&code_bits) || !code_bits.is_multiple_of(64) {
        let rule = format!("must be 64 to 1024 in steps of 64, not {code_bits}");
        return Err(Error::invalid("code bits", rule));
    }
    if !(8..=32).contains(&address_bits) {
        return Err(Error::invalid("address bits", format!("must be 8 to 32, not {address_bits}")));
    }
    Ok(())
}

/// How durable a write is when it returns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WriteOptions {
    /// Whether the write has reached the disk when the call returns, default true. Without it a
    /// write survives the death of the process but not that of the machine; writes are lost from
    /// the newest backwards, never from the middle.
    pub sync: bool,
}

impl Default for WriteOptions {
    fn default() -> Self {
        Self { sync: true }
    }
}
