//! How many altered copies found their originals.

use std::io::Write as _;
use std::path::Path;

use anyhow::{Context as _, Result};
use comfy_table::presets::NOTHING;
use comfy_table::{CellAlignment, Table};
use serde_json::Value;

use crate::{ALTERATIONS, ORIGINALS, read};

/// What became of the copies of one alteration.
#[derive(Debug, Default)]
struct Score {
    copies: usize,
    first: usize,
    /// Distances of the originals, where they are among the results.
    distances: Vec<u64>,
}

/// Prints a table: alteration by originals that came back first.
pub(crate) fn run(folder: &Path, answers: &Path) -> Result<()> {
    let originals = String::from_utf8(read(&folder.join(ORIGINALS))?)?;
    let originals: Vec<&str> = originals.lines().collect();
    let answers = String::from_utf8(read(answers)?)?;
    let mut scores: [Score; ALTERATIONS.len()] = Default::default();
    for line in answers.lines() {
        let answer: Value = serde_json::from_str(line)?;
        let query = Path::new(answer["query"].as_str().unwrap_or_default());
        let (alteration, number) = parts(query).context("an answer has no known query")?;
        let original = originals.get(number).context("an answer has no original")?;
        scores[alteration].count(&answer["results"], original);
    }
    let mut table = Table::new();
    table.load_style(NOTHING);
    table.set_header(["alteration", "copies", "original first", "distance min", "median", "max"]);
    for (name, mut score) in ALTERATIONS.iter().zip(scores) {
        table.add_row(score.row(name));
    }
    for (index, column) in table.column_iter_mut().enumerate() {
        column.set_padding((0, 2));
        if index > 0 {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    writeln!(std::io::stdout(), "{}", table.trim_fmt())?;
    Ok(())
}

/// The alteration and the number of the original in the path of a copy.
fn parts(path: &Path) -> Option<(usize, usize)> {
    let (number, alteration) = path.file_stem()?.to_str()?.split_once('-')?;
    let alteration = ALTERATIONS.iter().position(|name| *name == alteration)?;
    Some((alteration, number.parse().ok()?))
}

impl Score {
    fn count(&mut self, results: &Value, original: &str) {
        let results = results.as_array().map_or(&[][..], Vec::as_slice);
        let distance = |result: &Value| result["distance"].as_u64();
        let found = results.iter().find(|result| result["key"] == original).and_then(distance);
        let nearest = results.first().and_then(distance);
        self.copies += 1;
        // Pictures at the same distance are equally near, so a tie is a first place too.
        self.first += usize::from(found.is_some() && found == nearest);
        self.distances.extend(found);
    }

    fn row(&mut self, name: &str) -> [String; 6] {
        self.distances.sort_unstable();
        let at = |index: usize| {
            self.distances.get(index).map_or_else(|| "-".to_owned(), ToString::to_string)
        };
        let last = self.distances.len().saturating_sub(1);
        let (copies, first) = (self.copies, format!("{} of {}", self.first, self.copies));
        [name.to_owned(), copies.to_string(), first, at(0), at(last / 2), at(last)]
    }
}
