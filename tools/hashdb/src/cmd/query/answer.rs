//! Neighbours as they are shown.

use anyhow::Result;
use hashdb::ingest::ImageFacts;
use hashdb::{Neighbor, PatchMatch, Readable as _, Snapshot};
use serde::Serialize;
use serde_json::Value;

use crate::output::Output;
use crate::stored;
use crate::text::{self, JsonKey};

/// A record that was found, with its key where it was looked up.
#[derive(Debug, Serialize)]
pub(super) struct Hit {
    #[serde(flatten)]
    json_key: Option<JsonKey>,
    id: u64,
    /// Of codes or addresses, unless the search was by patches alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    distance: Option<u32>,
    /// Of a search by patches.
    #[serde(skip_serializing_if = "Option::is_none")]
    score: Option<u32>,
    /// Of a search by patches and codes.
    #[serde(skip_serializing_if = "Option::is_none")]
    rank_sum: Option<f64>,
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
        let (distance, score, rank_sum) = (Some(distance), None, None);
        Ok(Self { json_key, id, distance, score, rank_sum, key: record.key, stored, facts })
    }

    /// The same of what a search by patches found.
    pub(super) fn matched(found: &PatchMatch, snapshot: &Snapshot, stored: bool) -> Result<Self> {
        let hit = Self::named(&found.neighbor(), snapshot, stored)?;
        let (distance, rank_sum) = found.joined.unzip();
        Ok(Self { distance, score: Some(found.score), rank_sum, ..hit })
    }

    /// A neighbour alone.
    pub(super) fn nameless(neighbor: &Neighbor) -> Self {
        let Neighbor { id, distance, .. } = *neighbor;
        let (distance, score, rank_sum) = (Some(distance), None, None);
        let (json_key, key, stored, facts) = (None, Vec::new(), None, None);
        Self { json_key, id, distance, score, rank_sum, key, stored, facts }
    }

    /// How near it is, in a few letters.
    pub(super) fn label(&self) -> String {
        match (self.score, self.distance) {
            (Some(score), Some(bits)) => format!("{score}, {bits} bits"),
            (Some(score), None) => format!("score {score}"),
            (None, distance) => format!("{} bits", distance.unwrap_or(0)),
        }
    }
}

/// Writes what was found as a table.
pub(super) fn show(output: &mut Output, hits: &[Hit]) -> Result<()> {
    if hits.is_empty() {
        return output.line("  no results");
    }
    let number = |number: Option<u32>| number.map(|number| number.to_string());
    let rounded = |sum: f64| ((sum * 1e6).round() / 1e6).to_string();
    type Cell<'a> = Box<dyn Fn(&Hit) -> Option<String> + 'a>;
    let columns: [(&str, Cell<'_>); 8] = [
        (">rank sum", Box::new(|hit| hit.rank_sum.map(rounded))),
        (">score", Box::new(|hit| number(hit.score))),
        (">distance", Box::new(|hit| number(hit.distance))),
        (">id", Box::new(|hit| Some(hit.id.to_string()))),
        (">size", Box::new(|hit| hit.facts.as_ref()?.size.map(text::bytes))),
        (">width", Box::new(|hit| number(hit.facts.as_ref()?.width))),
        (">height", Box::new(|hit| number(hit.facts.as_ref()?.height))),
        ("key", Box::new(|hit| Some(text::key(&hit.key)))),
    ];
    // A column that no result fills is not shown.
    let mut header = Vec::new();
    let mut rows = vec![Vec::new(); hits.len()];
    for (title, cell) in &columns {
        let cells: Vec<_> = hits.iter().map(cell).collect();
        if cells.iter().any(Option::is_some) {
            header.push(*title);
            let cells = cells.into_iter().map(Option::unwrap_or_default);
            rows.iter_mut().zip(cells).for_each(|(row, cell)| row.push(cell));
        }
    }
    output.table(&header, rows)
}

/// The words for an answer that is complete, or is not.
pub(super) fn exactness(exact: bool) -> &'static str {
    if exact { "exact" } else { "not exact" }
}
