//! Images in: from paths to records.
//!
//! `source` finds the images in folders and files, `shard` in tar (`packed` unpacks it) and `zipped` in zip archives
//! (`seeking` reads them here and there), `foreign` in what a program reads for it; `pattern` tells which paths a
//! pattern means, `entries` and `siblings` put the entries of a shard together, `beside` the files of a folder. `header` judges each image (`sniff`
//! looks at its bytes first), `decode` turns it into 32x32 RGB within its time (`deadline`), `pipeline` runs both
//! beside the encoder and the writes over bounded queues (`gate` bounds their bytes, `pending` is a batch that a device has taken), `report` counts and names
//! what was rejected, `journal` remembers it and what is done, `store` says what is stored with
//! each record, `look` gathers it and `facts` puts it into values, `encoding` is what an encoder gives for each, `reread` finds the images of keys again. The command and training call it.
//!
//! Invariant: one bad image, entry or archive is one [`Reject`] and never stops a run; what is
//! written, and in which order, does not depend on the number of threads.

mod beside;
mod deadline;
mod decode;
mod encoding;
mod entries;
mod error;
mod facts;
mod foreign;
mod gate;
mod header;
mod journal;
mod jpeg;
mod look;
mod options;
mod packed;
mod pattern;
mod pending;
mod pipeline;
#[cfg(feature = "__internals")]
mod probe;
mod report;
mod reread;
mod seeking;
mod shard;
mod siblings;
mod sniff;
mod source;
mod store;
mod zipped;

#[cfg(test)]
mod tests;

pub use decode::{
    DecodeError, ITEM_TIMEOUT, MAX_INPUT_BYTES, MAX_PIXELS, MAX_SIDE, MAX_WORKING_BYTES,
    PIXEL_BYTES, Picture, SIDE, decode_rgb, pixels, thumbnail,
};
pub use encoding::Encoding;
pub use error::IngestError;
pub use facts::ImageFacts;
pub use foreign::{ShardEntries, ShardEntry, ShardError, ShardFormat};
pub use journal::{NotedReject, Redo, for_each_noted_reject, noted_patches, noted_rejects};
pub use options::IngestOptions;
pub use pending::Pending;
#[cfg(feature = "__internals")]
#[doc(hidden)]
pub use probe::{ProbedShard, probe_memory, probe_shard};
pub use report::{Observer, Progress, Reject, Report, Stage, write_reject};
pub use reread::{reread, reread_with};
pub use siblings::{MAX_SIBLING_BYTES, Siblings};
pub use store::{Fact, MAX_THUMBNAIL_SIDE, Store, THUMBNAIL_SIDE, UnknownFact};

use std::path::PathBuf;
use std::time::{Duration, Instant};

use journal::Journal;
use pipeline::Passed;
use source::{Label, Sources};

use crate::code::{Address, Code};
use crate::db::{Database, WriteBatch, WriteOptions};

/// Time between two syncs while batches are written.
const SYNC_INTERVAL: Duration = Duration::from_millis(500);

/// Encodes a batch of pictures, [`PIXEL_BYTES`] bytes each: an address and a code for each, in order, or an
/// [`Encoding`].
pub type EncodeBatch<'e, E = (Address, Code)> =
    dyn Fn(Vec<Vec<u8>>) -> Result<Vec<E>, IngestError> + Sync + 'e;

/// Takes a batch of pictures, [`PIXEL_BYTES`] bytes each, and gives its results when they are asked for: an
/// address and a code for each, in order, or an [`Encoding`].
pub type SubmitBatch<'e, E = (Address, Code)> =
    dyn Fn(Vec<Vec<u8>>) -> Result<Pending<'e, E>, IngestError> + Sync + 'e;

/// Refuses the paths that a run would refuse before anything starts: for who has something to begin only when it will
/// run.
///
/// # Errors
///
/// [`IngestError::Path`] if a path cannot be looked at.
pub fn check_sources(paths: &[PathBuf], options: &IngestOptions<'_>) -> Result<(), IngestError> {
    Sources::new(paths, options).check()
}

/// Brings every image of `paths` into a database, under the key that its place gives it: the path as given,
/// or for a shard's entry the path of the shard, `/`, and the entry's name. A key that is there already is
/// replaced, its patch addresses too. Values are empty, or made of the image's [`Siblings`] and of facts about it
/// ([`Store`]).
///
/// Images are found, decoded, encoded and written at the same time. Each batch is written whole, with a
/// note of how far each file and shard was read; a dying process loses none that is written, and a power
/// cut those of the last half second of writing, the last ones first. When the call returns all are
/// durable. So a run that was stopped, in whatever way, is gone on with by the same call: what was done or
/// rejected is passed over ([`Redo`] says what is not), and in the end the database is what an uninterrupted
/// run makes.
///
/// # Errors
///
/// [`IngestError::Path`], [`IngestError::Patches`] and [`IngestError::Threads`] before anything starts, [`IngestError::Encoder`] and
/// [`IngestError::Database`] at the first batch that fails; what was written before stays. A bad image
/// is no error but a [`Reject`].
pub fn ingest_with<E: Into<Encoding> + Send>(
    db: &Database,
    paths: &[PathBuf],
    options: &IngestOptions<'_>,
    encode: &EncodeBatch<'_, E>,
    observer: &mut dyn Observer,
) -> Result<Report, IngestError> {
    let submit = |pictures| encode(pictures).map(Pending::ready);
    ingest_in_flight(db, paths, options, &submit, observer)
}

/// [`ingest_with`] for an encoder that takes the next batch while it computes the last one, as
/// [`Autoencoder::submit`](crate::model::Autoencoder::submit) does: up to four batches are on their way.
/// They are written in the order of the sources.
///
/// # Errors
///
/// Those of [`ingest_with`].
pub fn ingest_in_flight<E: Into<Encoding> + Send>(
    db: &Database,
    paths: &[PathBuf],
    options: &IngestOptions<'_>,
    submit: &SubmitBatch<'_, E>,
    observer: &mut dyn Observer,
) -> Result<Report, IngestError> {
    let expected = options.patches;
    if let Some(noted) = noted_patches(db)?.filter(|noted| expected > 0 && *noted != expected) {
        return Err(IngestError::Patches { expected: noted, found: expected });
    }
    let journal = Journal::new(db, paths, options)?;
    let mut replaced = 0;
    let mut synced = Instant::now();
    let mut sink = |items: Vec<(Label, E)>, passed: &Passed| {
        let mut batch = WriteBatch::new();
        let done = items.iter().map(|(label, _)| label.key.as_slice());
        journal.note(&mut batch, &passed.marks, &passed.rejects, done)?;
        for (label, encoding) in items {
            let Encoding { address, code, patches } = encoding.into();
            let found = patches.len();
            if found != expected {
                return Err(IngestError::Patches { expected, found });
            }
            batch.put_with_patches(&label.key, address, code, &label.value, &patches);
        }
        let sync = synced.elapsed() >= SYNC_INTERVAL;
        replaced += db.write(batch, WriteOptions { sync })?.replaced;
        if sync {
            synced = Instant::now();
        }
        Ok(())
    };
    let ended = pipeline::run_in_flight(paths, options, &journal, submit, &mut sink, observer);
    let durable = db.sync();
    let mut report = ended?;
    durable?;
    if let Some(error) = journal.take_failure() {
        return Err(error);
    }
    report.replaced = replaced;
    report.stored_otherwise = journal.stored_otherwise();
    if !report.cancelled {
        journal.forget_rejects(paths, options.listed)?;
        let (deleted, finished) = journal.delete_missing(paths)?;
        (report.deleted, report.cancelled) = (deleted, !finished);
        if finished {
            journal.end_round()?;
        }
    }
    Ok(report)
}

/// Decoded pictures in the order of their sources.
#[derive(Debug, Clone, Default)]
pub struct Pictures {
    /// The key that each would have as a record.
    pub keys: Vec<Vec<u8>>,
    /// The pixels of each, [`PIXEL_BYTES`] bytes, one picture after the other.
    pub pixels: Vec<u8>,
}

/// Decodes every image of `paths` and gathers keys and pixels in the order of the sources.
///
/// # Errors
///
/// [`IngestError::Path`] if a path cannot be looked at, and whatever the observer returns.
pub fn collect_pictures(
    paths: &[PathBuf],
    options: &IngestOptions<'_>,
    observer: &mut dyn Observer,
) -> Result<(Pictures, Report), IngestError> {
    let mut gathered = Pictures::default();
    let mut sink = |items: Vec<(Label, Vec<u8>)>, _passed: &Passed| {
        for (label, pixels) in items {
            gathered.keys.push(label.key);
            gathered.pixels.extend(pixels);
        }
        Ok(())
    };
    let report = pipeline::run(paths, options, &(), &Ok, &mut sink, observer)?;
    Ok((gathered, report))
}

/// Decodes every image of `paths` and gathers the pixels in the order of the sources,
/// [`PIXEL_BYTES`] bytes each: what training takes.
///
/// # Errors
///
/// Those of [`collect_pictures`].
pub fn collect_pixels(
    paths: &[PathBuf],
    options: &IngestOptions<'_>,
    observer: &mut dyn Observer,
) -> Result<(Vec<u8>, Report), IngestError> {
    let (pictures, report) = collect_pictures(paths, options, observer)?;
    Ok((pictures.pixels, report))
}
