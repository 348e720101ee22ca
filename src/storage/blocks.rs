//! Every block of every table of the record store against its checksum, index, filter and
//! property blocks too: the one call of RocksDB that its binding lacks.
#![expect(unsafe_code, reason = "the one call into RocksDB's C interface")]

use std::ffi::CStr;
use std::ptr;

use rocksdb::AsRawPtr as _;

use crate::error::{Error, RecordError, Result};
use crate::storage::records::Records;

impl Records {
    /// Reads every block of every table and compares its checksum. Blob files have no part in it:
    /// their checksums are compared where a value is read.
    pub(crate) fn verify_tables(&self) -> Result<()> {
        let mut message = ptr::null_mut();
        // SAFETY: the handle is open and stays so while `self` is borrowed; `message` is null or
        // becomes a string of RocksDB's, terminated by zero, that is ours to free.
        let text = unsafe {
            librocksdb_sys::rocksdb_verify_checksum(self.db.as_raw_ptr(), &raw mut message);
            if message.is_null() {
                return Ok(());
            }
            let text = CStr::from_ptr(message).to_string_lossy().into_owned();
            librocksdb_sys::rocksdb_free(message.cast());
            text
        };
        let corruption = text.starts_with("Corruption");
        let source = RecordError { message: text, corruption };
        Err(Error::Records { path: self.path.clone(), source })
    }
}
