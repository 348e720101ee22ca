//! Contact sheets: queries and their results as one labelled picture.
//!
//! `hashdb query --sheet` gathers what was asked and found, and the sheet is drawn in the end: a row
//! a query, its own picture at the left, its results beside it.

mod canvas;
mod noted;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use anyhow::{Result, anyhow};
use hashdb::ingest::{ImageFacts, Picture, reread_with, thumbnail};
use hashdb::{MAX_KEY_BYTES, Readable as _, Snapshot};

use self::canvas::{Canvas, Color};
use self::noted::NotedColumns;
use crate::files;
use crate::output::note;
use crate::text;

/// Longer side of a picture, in pixels.
const PICTURE: u32 = 112;
/// Width of the column of a picture, with the gap behind it.
const COLUMN: u32 = 128;
/// Height of a row: the picture, three lines of text, the gap below.
const ROW: u32 = PICTURE + 54;
/// White around everything.
const MARGIN: u32 = 16;
/// Gap between a query and its results.
const GUTTER: u32 = 24;
/// Height of the title.
const TITLE: u32 = 40;
/// Results beside a query; more begin a row below.
const ACROSS: usize = 10;
/// Rows of one sheet, so that it can be opened everywhere.
const MAX_ROWS: usize = 200;
/// Characters of 8 pixels below a picture.
const LABEL: usize = 15;

const INK: Color = Color([32, 32, 32]);
const FAINT: Color = Color([120, 120, 120]);
const ABSENT: Color = Color([224, 224, 224]);
const BAND: Color = Color([238, 243, 250]);

/// The queries of one command with their results.
#[derive(Debug, Default)]
pub(crate) struct Sheet {
    queries: Vec<Shown>,
    left_out: usize,
    rows: usize,
}

#[derive(Debug)]
struct Shown {
    name: Vec<u8>,
    results: Vec<(Vec<u8>, String)>,
}

impl Shown {
    /// Rows of the sheet that it takes.
    fn rows(&self) -> usize {
        self.results.len().div_ceil(ACROSS).max(1)
    }
}

impl Sheet {
    /// Adds a query by its name, and the keys of its results with a few words on how near each is.
    pub(crate) fn add<'a>(
        &mut self,
        name: &[u8],
        results: impl Iterator<Item = (&'a [u8], String)>,
    ) {
        let room = (MAX_ROWS - self.rows) * ACROSS;
        if room == 0 {
            self.left_out += 1;
            return;
        }
        let results = results.take(room).map(|(key, near)| (key.to_vec(), near));
        let shown = Shown { name: name.to_vec(), results: results.collect() };
        self.rows += shown.rows();
        self.queries.push(shown);
    }

    /// Draws the sheet into a PNG file. Pictures that are gone are shown by the thumbnails of their records.
    pub(crate) fn write(&self, path: &Path, snapshot: &Snapshot) -> Result<()> {
        if self.left_out > 0 {
            let (left_out, path) = (self.left_out, path.display());
            note(&format!("{path} holds {MAX_ROWS} rows; {left_out} queries are left out"));
        }
        let png = self.draw(&self.pictures(snapshot)?).png();
        let png = png.map_err(|error| anyhow!("cannot draw {}: {error}", path.display()))?;
        files::replace(path, &png)
    }

    fn draw(&self, pictures: &BTreeMap<Vec<u8>, Picture>) -> Canvas {
        let across = self.queries.iter().map(|query| query.results.len().min(ACROSS)).max();
        let across = u32::try_from(across.unwrap_or(0).max(1)).unwrap_or(1);
        let rows = u32::try_from(self.rows).unwrap_or(0);
        let width = 2 * MARGIN + GUTTER + COLUMN * (1 + across) - (COLUMN - PICTURE);
        let mut canvas = Canvas::new(width, TITLE + 2 * MARGIN + ROW * rows);
        canvas.fill((MARGIN / 2, TITLE + MARGIN / 2), (COLUMN, ROW * rows + MARGIN / 2), BAND);
        canvas.text((MARGIN, MARGIN), 2, "query", INK);
        canvas.text((MARGIN + COLUMN + GUTTER, MARGIN), 2, "nearest first", INK);
        let mut top = TITLE + MARGIN;
        for query in &self.queries {
            canvas.tile((MARGIN, top), pictures.get(&query.name));
            label(&mut canvas, (MARGIN, top + PICTURE), &[&tail(&query.name, 2 * LABEL)]);
            for (index, (key, near)) in query.results.iter().enumerate() {
                let column = u32::try_from(index % ACROSS).unwrap_or(0);
                let row = u32::try_from(index / ACROSS).unwrap_or(0);
                let left = MARGIN + GUTTER + COLUMN * (1 + column);
                let place = (left, top + ROW * row);
                canvas.tile(place, pictures.get(key));
                let name = tail(key, 2 * LABEL);
                label(&mut canvas, (left, place.1 + PICTURE), &[near, &name]);
            }
            top += ROW * u32::try_from(query.rows()).unwrap_or(1);
        }
        canvas
    }

    /// Every picture that can still be read, small, or of which the record has a thumbnail.
    fn pictures(&self, snapshot: &Snapshot) -> Result<BTreeMap<Vec<u8>, Picture>> {
        let names = self.queries.iter().map(|query| &query.name);
        let keys = self.queries.iter().flat_map(|query| query.results.iter().map(|(key, _)| key));
        let wanted: BTreeSet<Vec<u8>> = names.chain(keys).cloned().collect();
        let mut pictures = BTreeMap::new();
        reread_with(&wanted, Some(&NotedColumns(snapshot)), &mut |key, bytes| {
            if let Ok(picture) = thumbnail(&bytes, PICTURE) {
                pictures.insert(key.to_vec(), picture);
            }
        });
        for key in wanted {
            if pictures.contains_key(&key) || key.is_empty() || key.len() > MAX_KEY_BYTES {
                continue;
            }
            let Some(record) = snapshot.get(&key)? else { continue };
            let facts = ImageFacts::decode(&snapshot.value(&record)?);
            if let Some(jpeg) = facts.and_then(|facts| facts.thumbnail)
                && let Ok(picture) = thumbnail(&jpeg, PICTURE)
            {
                pictures.insert(key, picture);
            }
        }
        Ok(pictures)
    }
}

/// Writes lines below a picture, the first in ink; a line that is too long goes on below.
fn label(canvas: &mut Canvas, (left, top): (u32, u32), lines: &[&str]) {
    let mut top = top + 6;
    for (index, line) in lines.iter().enumerate() {
        let color = if index == 0 { INK } else { FAINT };
        let characters: Vec<char> = line.chars().collect();
        for part in characters.chunks(LABEL) {
            canvas.text((left, top), 1, &part.iter().collect::<String>(), color);
            top += 12;
        }
    }
}

/// A key in at most `room` characters: whole, or its last part, or the end of that, since the names
/// of pictures differ there.
fn tail(key: &[u8], room: usize) -> String {
    let whole = text::key(key);
    let name = if whole.chars().count() <= room {
        whole.as_str()
    } else {
        whole.rsplit('/').next().unwrap_or(&whole)
    };
    let count = name.chars().count();
    if count <= room {
        return name.to_owned();
    }
    let end: String = name.chars().skip(count - (room - 2)).collect();
    format!("..{end}")
}

#[cfg(test)]
mod tests {
    use super::{ACROSS, MAX_ROWS, Sheet, tail};

    #[test]
    fn long_names_keep_their_end() {
        assert_eq!(tail(b"photos/2024/cat.jpg", 14), "cat.jpg");
        assert_eq!(tail(b"photos/2024-02-03-rome.jpg", 14), "..-03-rome.jpg");
        assert_eq!(tail(b"cat.jpg", 14), "cat.jpg");
    }

    #[test]
    fn a_sheet_is_bounded() {
        let mut sheet = Sheet::default();
        let results = vec![(b"k".as_slice(), String::new()); ACROSS + 1];
        for _ in 0..MAX_ROWS {
            sheet.add(b"query", results.iter().cloned());
        }
        assert!(sheet.rows <= MAX_ROWS + 1 && sheet.left_out > 0, "{}", sheet.rows);
    }
}
