//! Neighbours as they are shown.

use anyhow::Result;
use hashdb::{Neighbor, Readable as _, Snapshot};
use serde::Serialize;

use crate::output::Output;
use crate::text::{self, JsonKey};

/// A neighbour, with its key where it was looked up.
#[derive(Debug, Serialize)]
pub(super) struct Hit {
    #[serde(flatten)]
    json_key: Option<JsonKey>,
    id: u64,
    pub(super) distance: u32,
    #[serde(skip)]
    pub(super) key: Vec<u8>,
}

impl Hit {
    /// A neighbour and its key.
    pub(super) fn named(neighbor: &Neighbor, snapshot: &Snapshot) -> Result<Self> {
        let record = snapshot.record(neighbor)?;
        let json_key = Some(JsonKey::new(&record.key));
        let Neighbor { id, distance, .. } = *neighbor;
        Ok(Self { json_key, id, distance, key: record.key })
    }

    /// A neighbour alone.
    pub(super) fn nameless(neighbor: &Neighbor) -> Self {
        let Neighbor { id, distance, .. } = *neighbor;
        Self { json_key: None, id, distance, key: Vec::new() }
    }
}

/// Writes neighbours as a table.
pub(super) fn show(output: &mut Output, hits: &[Hit]) -> Result<()> {
    if hits.is_empty() {
        return output.line("  no results");
    }
    let rows = hits
        .iter()
        .map(|hit| vec![hit.distance.to_string(), hit.id.to_string(), text::key(&hit.key)]);
    output.table(&[">distance", ">id", "key"], rows.collect())
}

/// The words for an answer that is complete, or is not.
pub(super) fn exactness(exact: bool) -> &'static str {
    if exact { "exact" } else { "not exact" }
}
