//! Tables: records in files of other programs, read and written a batch of rows at a time, so that
//! memory does not grow with the file. One file a format in `read` and in `write`.
//!
//! A table has the columns `key`, `code`, `address` and `value`, and `patches`, lists of patch addresses, if any
//! record has some. A table without addresses takes the first bits of each code; a value that is null, or empty, is
//! none.

mod format;
pub(crate) mod read;
mod rows;
mod text;
pub(crate) mod write;

pub(crate) use format::Format;
pub(crate) use rows::{Rows, Strings};

/// The column names.
const KEY: &str = "key";
const CODE: &str = "code";
const ADDRESS: &str = "address";
const VALUE: &str = "value";
const PATCHES: &str = "patches";
/// Columns of text tables for what is no UTF-8.
const KEY_BASE64: &str = "key_base64";
const VALUE_BASE64: &str = "value_base64";
/// The column of text tables for the bits of addresses that their digits do not tell.
const ADDRESS_BITS_COLUMN: &str = "address_bits";
/// Where a table of a format that has room for it keeps the bits of its addresses.
const ADDRESS_BITS: &str = "hashdb.address_bits";

/// What a table tells about the database that it suits, before its rows are read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Widths {
    /// Bits of a code; without it the first row tells.
    pub(crate) code_bits: Option<u16>,
    /// Bits of an address.
    pub(crate) address_bits: Option<u8>,
    /// Whether the table has addresses.
    pub(crate) has_addresses: bool,
    /// Whether rows are named by their numbers, since the table has no keys.
    pub(crate) is_numbered: bool,
}
