//! hashdb: an embedded, persistent key-value engine keyed by short binary codes.
#![cfg_attr(docsrs, feature(doc_cfg))]

mod error;

pub use error::{Corruption, Error, RecordError, Result};
