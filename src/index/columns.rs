//! Checks of stored columns, shared by every structure that opens them.

use crate::error::Corruption;

/// Checks that a column of `rows` rows has as many bytes as it must.
pub(super) fn check_length(
    field: &'static str,
    column: &[u8],
    rows: usize,
    row_bytes: usize,
) -> Result<(), Corruption> {
    let (found, expected) = (column.len() as u64, rows as u64 * row_bytes as u64);
    if found == expected { Ok(()) } else { Err(Corruption::Mismatch { field, expected, found }) }
}

/// Checks that offsets (little-endian `u32`) rise from 0 to `rows`.
pub(super) fn check_offsets(
    field: &'static str,
    offsets: &[[u8; 4]],
    rows: u32,
) -> Result<(), Corruption> {
    if !offsets.is_sorted_by_key(|offset| u32::from_le_bytes(*offset)) {
        return Err(Corruption::Unsorted { field });
    }
    let at = |offset: Option<&[u8; 4]>| offset.map_or(0, |offset| u32::from_le_bytes(*offset));
    for (found, expected) in [(at(offsets.first()), 0), (at(offsets.last()), rows)] {
        if found != expected {
            let (found, expected) = (found.into(), expected.into());
            return Err(Corruption::Mismatch { field, expected, found });
        }
    }
    Ok(())
}

/// Checks that every value (little-endian `u32`) is a row.
pub(super) fn check_rows(
    field: &'static str,
    column: &[[u8; 4]],
    rows: u32,
) -> Result<(), Corruption> {
    let largest = column.iter().map(|row| u32::from_le_bytes(*row)).max();
    match largest.filter(|largest| *largest >= rows) {
        Some(value) => Err(Corruption::OutOfRange { field, value: value.into() }),
        None => Ok(()),
    }
}
