//! What an encoder makes of a picture, as an ingest stores it.

use crate::code::{Address, Code};

/// What is stored with a picture. An encoder without patches gives a pair of address and code, which is one too.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Encoding {
    /// The short code, under which the record is filed.
    pub address: Address,
    /// The long code, by which records are ranked.
    pub code: Code,
    /// The patch addresses, as many as [`IngestOptions::patches`](super::IngestOptions::patches) says.
    pub patches: Vec<Address>,
}

impl From<(Address, Code)> for Encoding {
    fn from((address, code): (Address, Code)) -> Self {
        Self { address, code, patches: Vec::new() }
    }
}
