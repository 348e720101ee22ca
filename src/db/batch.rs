//! Changes that happen together or not at all.

use crate::code::{Address, Code};
use crate::db::notes::NoteChange;
use crate::db::options::{MAX_BATCH_BYTES, MAX_KEY_BYTES, MAX_VALUE_BYTES};
use crate::error::{Error, Result};
use crate::index::MAX_PATCHES;
use crate::storage::manifest::Schema;

/// An ordered list of puts and deletes, detached from any database;
/// [`Database::write`](crate::Database::write) applies all of it or nothing. A later change to a
/// key wins over an earlier one.
#[derive(Debug, Clone, Default)]
pub struct WriteBatch {
    pub(crate) operations: Vec<Operation>,
    pub(crate) notes: Vec<NoteChange>,
}

#[derive(Debug, Clone)]
pub(crate) enum Operation {
    Put { key: Vec<u8>, address: Address, code: Code, value: Vec<u8>, patches: Vec<Address> },
    Delete { key: Vec<u8> },
}

impl WriteBatch {
    /// An empty batch.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Inserts a record, or replaces the one with this key. A record that is replaced gets a new
    /// id.
    pub fn put(&mut self, key: &[u8], address: Address, code: Code, value: &[u8]) {
        self.put_with_patches(key, address, code, value, &[]);
    }

    /// The same for a record with patch addresses, 0 to 256 of the database's width, the same one more than
    /// once if it is so: what [`Query::patches`](crate::Query::patches) searches. They belong to the record: one
    /// that is replaced loses them.
    pub fn put_with_patches(
        &mut self,
        key: &[u8],
        address: Address,
        code: Code,
        value: &[u8],
        patches: &[Address],
    ) {
        let (key, value, patches) = (key.to_vec(), value.to_vec(), patches.to_vec());
        self.operations.push(Operation::Put { key, address, code, value, patches });
    }

    /// Deletes the record with this key, if there is one.
    pub fn delete(&mut self, key: &[u8]) {
        self.operations.push(Operation::Delete { key: key.to_vec() });
    }

    /// Writes a note: a small named value of the program's own, beside the records. What was noted under
    /// the name is replaced. Names have 1 to 4160 bytes; see [`MAX_NOTE_BYTES`](crate::MAX_NOTE_BYTES).
    pub fn put_note(&mut self, name: &[u8], text: &[u8]) {
        self.notes.push(NoteChange { name: name.to_vec(), text: Some(text.to_vec()) });
    }

    /// Deletes a note, if there is one.
    pub fn delete_note(&mut self, name: &[u8]) {
        self.notes.push(NoteChange { name: name.to_vec(), text: None });
    }

    /// The number of changes, to records and to notes.
    #[must_use]
    pub fn len(&self) -> usize {
        self.operations.len() + self.notes.len()
    }

    /// Whether there is nothing to do.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.operations.is_empty() && self.notes.is_empty()
    }

    /// Forgets all changes.
    pub fn clear(&mut self) {
        self.operations.clear();
        self.notes.clear();
    }

    /// Checks every change against the limits and the widths of a database.
    pub(crate) fn validate(&self, schema: &Schema) -> Result<()> {
        let mut bytes = 0;
        for operation in &self.operations {
            bytes += operation.validate(schema)?;
        }
        for note in &self.notes {
            bytes += note.validate()?;
        }
        if bytes > MAX_BATCH_BYTES {
            let rule = format!("must hold at most {MAX_BATCH_BYTES} bytes, not {bytes}");
            return Err(Error::invalid("write batch", rule));
        }
        Ok(())
    }
}

impl Operation {
    /// Checks the change and returns its size in bytes.
    fn validate(&self, schema: &Schema) -> Result<usize> {
        match self {
            Self::Delete { key } => validate_key(key).map(|()| key.len()),
            Self::Put { key, address, code, value, patches } => {
                validate_key(key)?;
                validate_code(code, schema)?;
                validate_address(*address, schema)?;
                validate_value(value)?;
                validate_patches(patches, schema)?;
                Ok(key.len() + code.as_bytes().len() + value.len() + 4 * patches.len())
            }
        }
    }
}

/// Checks the length of a key.
pub(crate) fn validate_key(key: &[u8]) -> Result<()> {
    if (1..=MAX_KEY_BYTES).contains(&key.len()) {
        return Ok(());
    }
    let rule = format!("must have 1 to {MAX_KEY_BYTES} bytes, not {}", key.len());
    Err(Error::invalid("key", rule))
}

/// Checks the length of a value.
pub(crate) fn validate_value(value: &[u8]) -> Result<()> {
    if value.len() <= MAX_VALUE_BYTES {
        return Ok(());
    }
    let rule = format!("must have at most {MAX_VALUE_BYTES} bytes, not {}", value.len());
    Err(Error::invalid("value", rule))
}

/// Checks that a code has the width of the database.
pub(crate) fn validate_code(code: &Code, schema: &Schema) -> Result<()> {
    if code.bits() == schema.code_bits {
        return Ok(());
    }
    Err(Error::CodeWidth { expected: schema.code_bits, found: code.bits() })
}

/// Checks that an address has the width of the database.
pub(crate) fn validate_address(address: Address, schema: &Schema) -> Result<()> {
    if address.bits() == schema.address_bits {
        return Ok(());
    }
    Err(Error::AddressWidth { expected: schema.address_bits, found: address.bits() })
}

/// Checks the number of patch addresses and that each has the width of the database.
pub(crate) fn validate_patches(patches: &[Address], schema: &Schema) -> Result<()> {
    if patches.len() > MAX_PATCHES {
        let rule = format!("must be at most {MAX_PATCHES}, not {}", patches.len());
        return Err(Error::invalid("patch addresses", rule));
    }
    patches.iter().try_for_each(|patch| validate_address(*patch, schema))
}
