//! Some rows of a table, column by column: what readers fill and writers take.

use std::time::{Duration, Instant};

/// Rows of a batch at most.
const MAX_ROWS: usize = 20_000;
/// A batch of this many bytes takes no more rows.
const MAX_BYTES: usize = 16 << 20;

/// A batch that is this old takes no more rows.
const LONGEST_WAIT: Duration = Duration::from_secs(1);

/// Strings of bytes, one after the other.
#[derive(Debug, Default)]
pub(crate) struct Strings {
    bytes: Vec<u8>,
    ends: Vec<usize>,
}

impl Strings {
    pub(crate) fn push(&mut self, string: &[u8]) {
        self.bytes.extend_from_slice(string);
        self.ends.push(self.bytes.len());
    }

    /// Pushes `count` strings of `width` bytes each, which `append` puts behind the others all at once.
    pub(crate) fn push_all<E>(
        &mut self,
        count: usize,
        width: usize,
        append: impl FnOnce(&mut Vec<u8>) -> Result<(), E>,
    ) -> Result<(), E> {
        let before = self.bytes.len();
        append(&mut self.bytes)?;
        debug_assert_eq!(self.bytes.len(), before + count * width);
        self.ends.extend((1..=count).map(|index| before + index * width));
        Ok(())
    }

    pub(crate) fn len(&self) -> usize {
        self.ends.len()
    }

    /// The string at `index`; empty beyond the end.
    pub(crate) fn get(&self, index: usize) -> &[u8] {
        let start = index.checked_sub(1).and_then(|before| self.ends.get(before)).copied();
        let end = self.ends.get(index).copied().unwrap_or(self.bytes.len());
        self.bytes.get(start.unwrap_or(0)..end).unwrap_or_default()
    }

    fn clear(&mut self) {
        self.bytes.clear();
        self.ends.clear();
    }
}

/// One row.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Row<'a> {
    pub(crate) key: &'a [u8],
    pub(crate) code: &'a [u8],
    /// None where the table has no addresses.
    pub(crate) address: Option<u32>,
    /// Empty for none.
    pub(crate) value: &'a [u8],
    /// Little-endian; none where the table has no patch addresses.
    pub(crate) patches: &'a [[u8; 4]],
}

impl Row<'_> {
    /// The patch addresses.
    pub(crate) fn patches(&self) -> impl Iterator<Item = u32> {
        self.patches.iter().map(|patch| u32::from_le_bytes(*patch))
    }
}

/// Some rows. Keys, codes and values have an entry each; addresses too, unless the table has none.
#[derive(Debug, Default)]
pub(crate) struct Rows {
    pub(crate) keys: Strings,
    pub(crate) codes: Vec<u8>,
    pub(crate) addresses: Vec<u32>,
    pub(crate) values: Strings,
    /// The patch addresses of each row, four bytes each, little-endian; without entries where the table has none.
    pub(crate) patches: Strings,
    code_bytes: usize,
    first: u64,
    lines: Vec<u64>,
    began: Option<Instant>,
}

impl Rows {
    /// Forgets all rows; the next ones begin with row `first` of the table.
    pub(crate) fn clear(&mut self, first: u64) {
        self.keys.clear();
        self.codes.clear();
        self.addresses.clear();
        self.values.clear();
        self.patches.clear();
        self.lines.clear();
        self.first = first;
        self.began = Some(Instant::now());
    }

    /// The number of rows.
    pub(crate) fn len(&self) -> usize {
        self.keys.len()
    }

    /// Bytes of a code, 0 before the first one.
    pub(crate) fn code_bytes(&self) -> usize {
        self.code_bytes
    }

    /// How many more rows a batch takes.
    pub(crate) fn room(&self) -> usize {
        let strings = [&self.keys, &self.values, &self.patches].map(|strings| strings.bytes.len());
        let bytes = strings.iter().sum::<usize>() + self.codes.len();
        if bytes >= MAX_BYTES { 0 } else { MAX_ROWS - self.len().min(MAX_ROWS) }
    }

    /// Whether the first of these rows has waited long enough for others: they may come from a slow pipe.
    pub(crate) fn is_due(&self) -> bool {
        self.len() > 0 && self.began.is_some_and(|began| began.elapsed() > LONGEST_WAIT)
    }

    /// Appends a code, which must be of the width of those before, or says what it is instead.
    pub(crate) fn push_code(&mut self, code: &[u8]) -> Result<(), String> {
        self.expect_codes(code.len())?;
        self.codes.extend_from_slice(code);
        Ok(())
    }

    /// Says what is wrong with codes of so many bytes, if they cannot be appended.
    pub(crate) fn expect_codes(&mut self, found: usize) -> Result<(), String> {
        let expected = self.code_bytes;
        if expected != 0 && found != expected {
            return Err(format!("the code has {found} bytes, expected {expected}"));
        }
        if !(8..=128).contains(&found) || !found.is_multiple_of(8) {
            return Err(format!("the code has {found} bytes, expected 8 to 128 in steps of 8"));
        }
        self.code_bytes = found;
        Ok(())
    }

    /// Says on which line of its file the row that is pushed next stands.
    pub(crate) fn push_line(&mut self, line: u64) {
        self.lines.push(line);
    }

    /// Where a row stands in its file, for errors: lines count from 1, rows from 0.
    pub(crate) fn place(&self, index: usize) -> String {
        match self.lines.get(index) {
            Some(line) => format!("line {line}"),
            None => format!("row {}", self.first + index as u64),
        }
    }

    /// One of the rows.
    pub(crate) fn row(&self, index: usize) -> Row<'_> {
        let start = index * self.code_bytes;
        Row {
            key: self.keys.get(index),
            code: self.codes.get(start..start + self.code_bytes).unwrap_or_default(),
            address: self.addresses.get(index).copied(),
            value: self.values.get(index),
            patches: self.patches.get(index).as_chunks().0,
        }
    }

    /// All rows in their order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = Row<'_>> {
        (0..self.len()).map(|index| self.row(index))
    }
}
