//! Parquet shards as the ingest read them: which columns those were stands in the database's notes.

use std::fmt;
use std::path::Path;

use hashdb::ingest::{ShardEntries, ShardError, ShardFormat};
use hashdb::{Readable as _, Snapshot};
use serde::Deserialize;

use crate::table::read::ImageColumns;

/// What the name of the note of a shard begins with (storage-format.md, section 4.1).
const SOURCES: &[u8] = b"ingest/source/";

/// Reads each shard by the columns that its note names.
pub(super) struct NotedColumns<'a>(pub(super) &'a Snapshot);

impl fmt::Debug for NotedColumns<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("NotedColumns")
    }
}

/// The note of a shard, as far as it matters here.
#[derive(Deserialize)]
struct Note {
    how: Option<String>,
}

impl NotedColumns<'_> {
    /// The columns of a shard, those that are the default if nothing is noted.
    fn columns(&self, path: &Path) -> ImageColumns {
        let name = [SOURCES, path.as_os_str().as_encoded_bytes()].concat();
        let note = self.0.note(&name).ok().flatten();
        let note = note.and_then(|note| serde_json::from_slice::<Note>(&note).ok());
        let label = note.and_then(|note| note.how);
        label.and_then(|label| ImageColumns::of_label(&label)).unwrap_or_default()
    }
}

impl ShardFormat for NotedColumns<'_> {
    fn knows(&self, path: &Path) -> bool {
        ImageColumns::default().knows(path)
    }

    fn label(&self) -> String {
        "as it was noted".to_owned()
    }

    fn entries(&self, path: &Path, first: u64) -> Result<ShardEntries<'_>, ShardError> {
        // A picture needs no value.
        let columns = ImageColumns { values: Vec::new(), ..self.columns(path) };
        columns.rows(path, first)
    }
}
