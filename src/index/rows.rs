//! The columns that every search reads: ids, addresses and codes, row by row.

use super::columns::check_length;
use crate::code::Code;
use crate::error::Corruption;
use crate::hamming::{self, Level};

/// Borrowed columns of equal height, at most `u32::MAX` rows.
///
/// The rows of a segment are sorted by (address, id), those of a memtable run by id.
#[derive(Debug, Clone, Copy)]
pub struct Rows<'a> {
    ids: &'a [[u8; 8]],
    addresses: &'a [u8],
    codes: &'a [u8],
    code_bytes: usize,
}

impl<'a> Rows<'a> {
    /// Takes ids (little-endian `u64`), addresses (little-endian `u32`) and codes of `code_bytes`.
    ///
    /// # Errors
    ///
    /// [`Corruption`] if the columns differ in height, end inside a row, hold more than `u32::MAX`
    /// rows, or codes cannot have this width.
    pub fn new(
        ids: &'a [u8],
        addresses: &'a [u8],
        codes: &'a [u8],
        code_bytes: usize,
    ) -> Result<Self, Corruption> {
        if !Code::is_width(code_bytes) {
            return Err(Corruption::OutOfRange { field: "code bytes", value: code_bytes as u64 });
        }
        let rows = ids.len() / 8;
        if u32::try_from(rows).is_err() {
            return Err(Corruption::OutOfRange { field: "rows", value: rows as u64 });
        }
        check_length("ids", ids, rows, 8)?;
        check_length("addresses", addresses, rows, 4)?;
        check_length("codes", codes, rows, code_bytes)?;
        Ok(Self { ids: ids.as_chunks().0, addresses, codes, code_bytes })
    }

    /// Takes columns that this program built itself, row by row, as [`Rows::new`] would have them.
    pub(crate) fn of_columns(
        ids: &'a [u8],
        addresses: &'a [u8],
        codes: &'a [u8],
        code_bytes: usize,
    ) -> Self {
        debug_assert!(Self::new(ids, addresses, codes, code_bytes).is_ok());
        Self { ids: ids.as_chunks().0, addresses, codes, code_bytes }
    }

    /// How many rows there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.ids.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ids.is_empty()
    }

    /// The id of row `row`.
    ///
    /// # Panics
    ///
    /// If there is no such row.
    #[inline]
    #[must_use]
    pub fn id(&self, row: usize) -> u64 {
        u64::from_le_bytes(self.ids[row])
    }

    /// Asks for the cache line of an id that is read soon; of a row that is not there, for nothing.
    #[inline]
    pub(super) fn prefetch_id(&self, level: Level, row: u32) {
        if let Some(id) = self.ids.get(row as usize) {
            hamming::prefetch_line(level, id);
        }
    }

    /// The address of row `row`.
    ///
    /// # Panics
    ///
    /// If there is no such row.
    #[inline]
    #[must_use]
    pub fn address(&self, row: usize) -> u32 {
        u32::from_le_bytes(self.addresses.as_chunks().0[row])
    }

    /// The code of row `row`.
    ///
    /// # Panics
    ///
    /// If there is no such row.
    #[inline]
    #[must_use]
    pub fn code(&self, row: usize) -> &'a [u8] {
        &self.codes[row * self.code_bytes..][..self.code_bytes]
    }

    /// The width of a code in bytes.
    #[must_use]
    pub fn code_bytes(&self) -> usize {
        self.code_bytes
    }

    /// All addresses, little-endian.
    #[must_use]
    pub fn addresses(&self) -> &'a [u8] {
        self.addresses
    }

    /// All codes, row by row.
    #[must_use]
    pub fn codes(&self) -> &'a [u8] {
        self.codes
    }
}
