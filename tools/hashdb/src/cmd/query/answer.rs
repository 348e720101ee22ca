//! Neighbours as they are shown.

use anyhow::Result;
use hashdb::ingest::ImageFacts;
use hashdb::{Neighbor, Readable as _, Snapshot};
use serde::Serialize;
use serde_json::Value;

use crate::output::Output;
use crate::stored;
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
    /// What is stored about the picture, if it was asked for and is there.
    #[serde(rename = "image", skip_serializing_if = "Option::is_none")]
    stored: Option<Value>,
    #[serde(skip)]
    facts: Option<ImageFacts>,
}

impl Hit {
    /// A neighbour and its key, and what is stored about its picture if that is wanted.
    pub(super) fn named(neighbor: &Neighbor, snapshot: &Snapshot, stored: bool) -> Result<Self> {
        let record = snapshot.record(neighbor)?;
        let value = if stored { snapshot.value(&record)? } else { Vec::new() };
        let (stored, facts) = (stored::member(&value), ImageFacts::decode(&value));
        let json_key = Some(JsonKey::new(&record.key));
        let Neighbor { id, distance, .. } = *neighbor;
        Ok(Self { json_key, id, distance, key: record.key, stored, facts })
    }

    /// A neighbour alone.
    pub(super) fn nameless(neighbor: &Neighbor) -> Self {
        let Neighbor { id, distance, .. } = *neighbor;
        Self { json_key: None, id, distance, key: Vec::new(), stored: None, facts: None }
    }
}

/// Writes neighbours as a table.
pub(super) fn show(output: &mut Output, hits: &[Hit]) -> Result<()> {
    if hits.is_empty() {
        return output.line("  no results");
    }
    let mut rows: Vec<_> = hits
        .iter()
        .map(|hit| vec![hit.distance.to_string(), hit.id.to_string(), text::key(&hit.key)])
        .collect();
    if hits.iter().all(|hit| hit.facts.is_none()) {
        return output.table(&[">distance", ">id", "key"], rows);
    }
    for (row, hit) in rows.iter_mut().zip(hits) {
        let facts = hit.facts.clone().unwrap_or_default();
        let number = |number: Option<u32>| number.map(|number| number.to_string());
        let stored = [facts.size.map(text::bytes), number(facts.width), number(facts.height)];
        row.splice(2..2, stored.map(Option::unwrap_or_default));
    }
    output.table(&[">distance", ">id", ">size", ">width", ">height", "key"], rows)
}

/// The words for an answer that is complete, or is not.
pub(super) fn exactness(exact: bool) -> &'static str {
    if exact { "exact" } else { "not exact" }
}
