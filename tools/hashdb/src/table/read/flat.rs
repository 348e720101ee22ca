//! Strings of any length in two arrays of numpy: their elements one after the other, and their lengths.

use std::path::Path;

use anyhow::{Result, bail};

use super::npy::{LENGTHS, STEP_BYTES, STEP_ROWS};
use crate::npy::{Kind, Npy};
use crate::table::Strings;

/// Strings one after the other, and their lengths.
pub(super) struct Flat {
    elements: Npy,
    lengths: Npy,
    row: usize,
    next: usize,
}

impl Flat {
    /// Opens the array of bytes, or of another kind of one dimension, and the one of lengths beside it, for so many
    /// rows, at row `from`. No row has more than `most` elements.
    pub(super) fn open(
        path: &Path,
        kind: Kind,
        (rows, from): (usize, usize),
        what: &str,
        most: usize,
    ) -> Result<Self> {
        let elements = Npy::open(path, &[kind])?;
        let lengths = Npy::open(&path.with_extension(LENGTHS), &[Kind::Addresses])?;
        let (shown, found) = (lengths.path().display().to_string(), lengths.rows());
        if found != rows {
            bail!("{shown} holds {found} lengths of {what}, expected {rows}, one a code");
        }
        let (mut total, mut next) = (0_usize, 0);
        for start in (0..rows).step_by(STEP_ROWS) {
            let step = lengths.read_u32(start..rows.min(start + STEP_ROWS))?;
            for (index, length) in step.into_iter().enumerate() {
                let row = start + index;
                if row == from {
                    next = total;
                }
                if row >= from && length as usize > most {
                    bail!("{shown}, row {row}: a length of {length}, expected {most} at most");
                }
                total += length as usize;
            }
        }
        if total != elements.rows() {
            let (path, found) = (path.display(), elements.rows());
            let unit = if kind == Kind::Bytes { "bytes" } else { what };
            bail!("{path} holds {found} {unit}, expected {total} as {shown} counts");
        }
        Ok(Self { elements, lengths, row: from, next })
    }

    /// Appends the strings up to row `end`, fewer where they are long; says where they end.
    pub(super) fn read(&mut self, end: usize, out: &mut Strings) -> Result<usize> {
        let lengths = self.lengths.read_u32(self.row..end)?;
        let mut total = 0;
        let fit = lengths.iter().take_while(|length| {
            let fits = total == 0 || total + **length as usize <= STEP_BYTES;
            total += **length as usize;
            fits
        });
        let count = fit.count();
        let lengths = &lengths[..count];
        let sum = lengths.iter().map(|&length| length as usize).sum::<usize>();
        if self.next + sum > self.elements.rows() {
            let lengths = self.lengths.path().display();
            bail!("{lengths} was changed while it was read: it counts more than there is");
        }
        let mut bytes = Vec::new();
        self.elements.read(self.next..self.next + sum, &mut bytes)?;
        let (mut rest, width) = (&bytes[..], self.elements.kind().element_bytes());
        for &length in lengths {
            let (string, after) = rest.split_at(length as usize * width);
            out.push(string);
            rest = after;
        }
        self.next += sum;
        self.row += count;
        Ok(self.row)
    }
}
