//! Rows in memory, column by column, in the byte order of a segment.

use crate::index::{PatchLists, Rows};

/// Ids, addresses and codes of some records.
#[derive(Debug, Clone, Default)]
pub(crate) struct Columns {
    pub(crate) ids: Vec<u8>,
    pub(crate) addresses: Vec<u8>,
    pub(crate) codes: Vec<u8>,
    pub(crate) patches: PatchLists,
    code_bytes: usize,
}

impl Columns {
    pub(crate) fn new(code_bytes: usize) -> Self {
        Self { code_bytes, ..Self::default() }
    }

    pub(crate) fn with_capacity(code_bytes: usize, rows: usize) -> Self {
        Self {
            ids: Vec::with_capacity(rows * 8),
            addresses: Vec::with_capacity(rows * 4),
            codes: Vec::with_capacity(rows * code_bytes),
            patches: PatchLists::default(),
            code_bytes,
        }
    }

    /// Adds a row with patch addresses.
    pub(crate) fn push_patched(
        &mut self,
        id: u64,
        address: u32,
        code: &[u8],
        patches: impl IntoIterator<Item = u32>,
    ) {
        self.patches.push(self.len(), patches);
        self.push(id, address, code);
    }

    pub(crate) fn push(&mut self, id: u64, address: u32, code: &[u8]) {
        debug_assert_eq!(code.len(), self.code_bytes);
        self.ids.extend_from_slice(&id.to_le_bytes());
        self.addresses.extend_from_slice(&address.to_le_bytes());
        self.codes.extend_from_slice(code);
    }

    /// Forgets all rows and keeps their room.
    pub(crate) fn clear(&mut self) {
        self.ids.clear();
        self.addresses.clear();
        self.codes.clear();
        self.patches.clear();
    }

    pub(crate) fn extend(&mut self, other: &Self) {
        self.patches.extend(self.len(), &other.patches);
        self.ids.extend_from_slice(&other.ids);
        self.addresses.extend_from_slice(&other.addresses);
        self.codes.extend_from_slice(&other.codes);
    }

    pub(crate) fn len(&self) -> usize {
        self.ids.len() / 8
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.rows().is_empty()
    }

    /// The rows to search.
    pub(crate) fn rows(&self) -> Rows<'_> {
        Rows::of_columns(&self.ids, &self.addresses, &self.codes, self.code_bytes)
    }

    /// The first row whose id is at least `id`, where ids rise.
    pub(crate) fn lower_bound(&self, id: u64) -> usize {
        let rows = self.rows();
        let (mut low, mut high) = (0, rows.len());
        while low < high {
            let middle = usize::midpoint(low, high);
            if rows.id(middle) < id {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        low
    }

    /// The rows from `row` on.
    pub(crate) fn tail(&self, row: usize) -> Self {
        Self {
            ids: self.ids[row * 8..].to_vec(),
            addresses: self.addresses[row * 4..].to_vec(),
            codes: self.codes[row * self.code_bytes..].to_vec(),
            patches: self.patches.tail(row),
            code_bytes: self.code_bytes,
        }
    }
}
