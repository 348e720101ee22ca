//! `hashdb get`: one record by its key.

use std::ffi::OsString;
use std::path::PathBuf;

use anyhow::Result;
use hashdb::ingest::ImageFacts;
use hashdb::{Readable as _, Record};
use serde::Serialize;

use crate::exit::Exit;
use crate::output::{Output, note};
use crate::stored;
use crate::text::{self, JsonKey};

/// Show the record with a key, or its value
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The database directory
    db: PathBuf,
    /// The record's key
    key: OsString,
    /// Print the value: its bytes as they are, or a field of the JSON object
    #[arg(long)]
    value: bool,
    /// Print the thumbnail that an ingest stored, a JPEG file
    #[arg(long, conflicts_with_all = ["value", "json"])]
    thumbnail: bool,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// The record in JSON.
#[derive(Debug, Serialize)]
struct Found {
    #[serde(flatten)]
    key: JsonKey,
    id: u64,
    address: String,
    code: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    patches: Vec<String>,
    value_bytes: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    image: Option<serde_json::Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    value: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    value_hex: Option<String>,
}

/// Prints the record, or says that there is none.
pub(crate) fn run(args: &Args) -> Result<Exit> {
    let snapshot = super::open_read_only(&args.db)?.snapshot();
    let key = args.key.as_encoded_bytes();
    let Some(record) = snapshot.get(key)? else {
        let (key, db) = (text::key(key), args.db.display());
        note(&format!("there is no record with key {key} in {db}"));
        return Ok(Exit::Failed);
    };
    let value = snapshot.value(&record)?;
    let facts = ImageFacts::decode(&value);
    let mut output = Output::new();
    if args.thumbnail {
        let Some(jpeg) = facts.and_then(|facts| facts.thumbnail) else {
            let key = text::key(key);
            note(&format!(
                "no thumbnail is stored with {key}; hashdb ingest --store thumbnail does so"
            ));
            return Ok(Exit::Failed);
        };
        output.bytes(&jpeg)?;
        output.finish()?;
        return Ok(Exit::Done);
    }
    if args.json {
        output.json(&found(&record, &value, args.value))?;
    } else if args.value {
        output.bytes(&value)?;
    } else {
        let mut rows = vec![
            ("key", text::key(&record.key)),
            ("id", record.id.to_string()),
            ("address", record.address.to_string()),
            ("code", record.code.to_string()),
            ("value", text::bytes(value.len() as u64)),
        ];
        if !record.patches.is_empty() {
            rows.push(("patches", text::count(record.patches.len() as u64)));
        }
        rows.extend(facts.iter().flat_map(stored::rows));
        output.facts(&rows)?;
    }
    output.finish()?;
    Ok(Exit::Done)
}

fn found(record: &Record, value: &[u8], with_value: bool) -> Found {
    let value_text = std::str::from_utf8(value).ok();
    Found {
        key: JsonKey::new(&record.key),
        id: record.id,
        address: record.address.to_string(),
        code: record.code.to_string(),
        patches: record.patches.iter().map(ToString::to_string).collect(),
        value_bytes: value.len(),
        image: stored::member_in_short(value),
        value: value_text.filter(|_| with_value).map(str::to_owned),
        value_hex: (with_value && value_text.is_none()).then(|| text::hex(value)),
    }
}
