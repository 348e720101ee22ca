//! What tests ask: what a tar shard is read as, without decoding a picture, and how much memory an image
//! is said to take.

use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicU64;

use super::deadline::{Clock, Deadline};
use super::decode::{DecodeError, ITEM_TIMEOUT};
use super::gate::Gate;
use super::header::Header;
use super::source::{Content, Found, Sources, Walk};

/// What a shard was read as.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ProbedShard {
    /// The key of each picture, and its bytes.
    pub images: Vec<(Vec<u8>, u64)>,
    /// The key of each reject, and its kind.
    pub rejects: Vec<(Vec<u8>, &'static str)>,
    /// Entries that do not look like pictures.
    pub skipped: u64,
}

/// Reads the file as a shard, if its name is that of one; stops at the picture after `most`.
#[must_use]
pub fn probe_shard(path: &Path, most: usize) -> ProbedShard {
    let (waiting, read) = (Gate::new(u64::MAX), AtomicU64::new(0));
    let mut shard = ProbedShard::default();
    let mut emit = |found: Found<'_>| {
        match found {
            Found::Image(label, Content::Bytes(bytes, _permit), _) => {
                shard.images.push((label.key, bytes.len() as u64));
            }
            Found::Image(label, Content::File(..), _) => shard.images.push((label.key, 0)),
            Found::Reject(reject, _) => shard.rejects.push((reject.key, reject.kind)),
            Found::Skipped => shard.skipped += 1,
            Found::Known(_) | Found::End(_) => {}
        }
        shard.images.len() <= most
    };
    let (waiting, read) = (&waiting, &read);
    let mut walk = Walk { waiting, read, planner: &(), stopped: &|| false, emit: &mut emit };
    let _to_the_end = walk.run(&Sources::given(&[PathBuf::from(path)]));
    shard
}

/// The memory that an image is said to take beside its bytes, in bytes.
///
/// # Errors
///
/// What its header alone is rejected for.
pub fn probe_memory(bytes: &[u8]) -> Result<u64, DecodeError> {
    let deadline = Deadline::new(ITEM_TIMEOUT, Clock::System);
    Header::read(bytes, &deadline).map(|header| header.working_bytes())
}
