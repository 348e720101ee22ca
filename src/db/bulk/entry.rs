//! One record on its way through a load, and the orders in which records are needed.
//!
//! In memory and in spilled runs an entry is: u64 id, u32 address, u16 length of the key, u8 flags (bit 0
//! has a value, bit 1 has patches), u8 number of patches less one, the code, the patches, the key.

use std::cmp::Ordering;

/// Bytes before the code.
const HEAD_BYTES: usize = 16;
const HAS_VALUE: u8 = 1;
const HAS_PATCHES: u8 = 2;

/// A record without its value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Entry<'a> {
    pub(super) id: u64,
    pub(super) address: u32,
    pub(super) has_value: bool,
    pub(super) code: &'a [u8],
    /// Little-endian; there where the code is.
    pub(super) patches: &'a [[u8; 4]],
    pub(super) key: &'a [u8],
}

/// Appends an entry.
pub(super) fn write(out: &mut Vec<u8>, entry: &Entry<'_>) {
    // Keys have at most 4096 bytes: the caller looked.
    let length = u16::try_from(entry.key.len()).unwrap_or(u16::MAX);
    let mut head = [0; HEAD_BYTES];
    head[..8].copy_from_slice(&entry.id.to_le_bytes());
    head[8..12].copy_from_slice(&entry.address.to_le_bytes());
    head[12..14].copy_from_slice(&length.to_le_bytes());
    head[14] = u8::from(entry.has_value);
    if let Some(count) = entry.patches.len().checked_sub(1) {
        // At most 256 of them: the caller looked.
        head[14] |= HAS_PATCHES;
        head[15] = u8::try_from(count).unwrap_or(u8::MAX);
    }
    out.extend_from_slice(&head);
    out.extend_from_slice(entry.code);
    out.extend_from_slice(entry.patches.as_flattened());
    out.extend_from_slice(entry.key);
}

impl<'a> Entry<'a> {
    /// The entry at the start of `bytes`, and its length; none if it ends too early.
    pub(super) fn read(bytes: &'a [u8], code_bytes: usize) -> Option<(Self, usize)> {
        let (head, rest) = bytes.split_first_chunk::<HEAD_BYTES>()?;
        let [i0, i1, i2, i3, i4, i5, i6, i7, a0, a1, a2, a3, k0, k1, flags, count] = *head;
        let length = usize::from(u16::from_le_bytes([k0, k1]));
        let patched = flags & HAS_PATCHES != 0;
        let patch_bytes = if patched { 4 * (usize::from(count) + 1) } else { 0 };
        let key = code_bytes + patch_bytes;
        let entry = Self {
            id: u64::from_le_bytes([i0, i1, i2, i3, i4, i5, i6, i7]),
            address: u32::from_le_bytes([a0, a1, a2, a3]),
            has_value: flags & HAS_VALUE != 0,
            code: rest.get(..code_bytes)?,
            patches: rest.get(code_bytes..key)?.as_chunks().0,
            key: rest.get(key..key + length)?,
        };
        Some((entry, HEAD_BYTES + key + length))
    }
}

/// An order of records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Order {
    /// By key, then by id: what the family `keys` needs, and what shows keys that come twice.
    Key,
    /// By address, then by id: what segments and the family `records` need.
    Row,
    /// By id: what values and tombstones of records that go need.
    Id,
}

impl Order {
    /// Whether whoever reads records in this order looks at their codes and patches.
    pub(super) fn needs_codes(self) -> bool {
        self == Self::Row
    }

    pub(super) fn compare(self, left: &Entry<'_>, right: &Entry<'_>) -> Ordering {
        match self {
            Self::Key => left.key.cmp(right.key).then(left.id.cmp(&right.id)),
            Self::Row => (left.address, left.id).cmp(&(right.address, right.id)),
            Self::Id => left.id.cmp(&right.id),
        }
    }

    /// Where a range begins or ends. Records of one key never stand in two ranges.
    pub(super) fn bound(self, entry: &Entry<'_>) -> Bound {
        match self {
            Self::Key => Bound::Key(entry.key.to_vec()),
            Self::Row => Bound::Row(entry.address, entry.id),
            Self::Id => Bound::Id(entry.id),
        }
    }
}

/// The first record of a range, or the first behind it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Bound {
    Key(Vec<u8>),
    Row(u32, u64),
    Id(u64),
}

impl Bound {
    /// Bytes of memory that it takes.
    pub(super) fn memory(&self) -> usize {
        size_of::<Self>() + if let Self::Key(key) = self { key.len() } else { 0 }
    }

    /// Whether an entry stands before it.
    pub(super) fn is_behind(&self, entry: &Entry<'_>) -> bool {
        match self {
            Self::Key(key) => entry.key < key.as_slice(),
            Self::Row(address, id) => (entry.address, entry.id) < (*address, *id),
            Self::Id(id) => entry.id < *id,
        }
    }
}

/// Records from one bound up to, but without, another.
#[derive(Debug, Clone, Default)]
pub(super) struct Range {
    pub(super) from: Option<Bound>,
    pub(super) to: Option<Bound>,
}
