//! Images in: from paths to records.
//!
//! `source` finds the images in folders, files and tar shards, `decode` turns each into 32x32 RGB,
//! `pipeline` runs both beside the encoder and the writes over bounded queues, `report` counts and
//! names what was rejected. The command and training call it.
//!
//! Invariant: one bad image, entry or archive is one reject and never stops a run; what is
//! written, and in which order, does not depend on the number of threads.

pub mod decode;
mod sniff;
