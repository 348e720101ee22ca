//! What an ingest stores with each record on request, as arguments and as it is shown.

use anyhow::Result;
use hashdb::ingest::{Fact, ImageFacts, MAX_THUMBNAIL_SIDE, Store, decode_rgb};
use serde_json::{Value, json};

use crate::exit::Usage;
use crate::text;

/// What stands for all facts.
const ALL: &str = "all";
/// The member of a value that holds the facts.
const MEMBER: &str = "image";

/// The arguments that choose what is stored.
#[derive(Debug, clap::Args)]
pub(crate) struct Stored {
    /// Store facts about the picture in the record's value, in its member image: path, size, width, height, hash,
    /// thumbnail, or all. Records that are there already keep what they hold, unless --again reads them
    #[arg(long, value_name = "FACTS", value_delimiter = ',', value_parser = facts)]
    store: Vec<Facts>,
    /// The longest side of the thumbnail in pixels, at most 512 [default: 64]
    #[arg(long, value_name = "PIXELS", requires = "store",
          value_parser = clap::value_parser!(u32).range(1..=i64::from(MAX_THUMBNAIL_SIDE)))]
    thumbnail: Option<u32>,
}

/// What one word chooses.
type Facts = Vec<Fact>;

fn facts(word: &str) -> Result<Facts, String> {
    match word {
        ALL => Ok(Fact::ALL.to_vec()),
        word => word.parse().map(|fact| vec![fact]).map_err(|_| {
            "it takes path, size, width, height, hash, thumbnail and all, with commas between them"
                .to_owned()
        }),
    }
}

impl Stored {
    /// What is stored, if it goes together with the columns that become values.
    pub(crate) fn store(&self, columns: &[String]) -> Result<Store> {
        let store = Store::only(self.store.iter().flatten().copied());
        if !self.store.is_empty() && columns.iter().any(|column| column == MEMBER) {
            let sentence =
                "--store puts its facts where --value-columns image would be; rename the column";
            return Err(Usage(sentence.into()).into());
        }
        match self.thumbnail {
            Some(_) if !store.takes(Fact::Thumbnail) => {
                let sentence = "--thumbnail is the size of what --store thumbnail stores";
                Err(Usage(sentence.into()).into())
            }
            Some(side) => Ok(store.thumbnail_side(side)),
            None => Ok(store),
        }
    }
}

/// The facts as names and what belongs to them.
pub(crate) fn rows(facts: &ImageFacts) -> Vec<(&'static str, String)> {
    let ImageFacts { path, entry, size, width, height, hash, thumbnail, .. } = facts;
    let mut rows = Vec::new();
    let mut row = |name, text: Option<String>| rows.extend(text.map(|text| (name, text)));
    row("path", path.as_deref().map(text::key));
    row("entry", entry.as_deref().map(text::key));
    row("size", size.map(text::bytes));
    row("width", width.map(|width| format!("{width} pixels")));
    row("height", height.map(|height| format!("{height} pixels")));
    row("hash", hash.as_ref().map(|hash| text::hex(hash)));
    row(
        "thumbnail",
        thumbnail.as_deref().map(|jpeg| {
            let bytes = text::bytes(jpeg.len() as u64);
            match decode_rgb(jpeg) {
                Ok(small) => format!("{} x {} pixels, {bytes}", small.width, small.height),
                Err(error) => format!("{bytes}; {error}"),
            }
        }),
    );
    rows
}

/// The facts in JSON, as the value has them; `None` if it holds none.
pub(crate) fn member(value: &[u8]) -> Option<Value> {
    ImageFacts::decode(value)?;
    let mut value: Value = serde_json::from_slice(value).ok()?;
    value.get_mut(MEMBER).map(Value::take)
}

/// The same without the picture, of which the bytes are told.
pub(crate) fn member_in_short(value: &[u8]) -> Option<Value> {
    let facts = ImageFacts::decode(value)?;
    let mut member = member(value)?;
    if let Some(jpeg) = facts.thumbnail {
        member["thumbnail"] = json!({ "bytes": jpeg.len() });
    }
    Some(member)
}
