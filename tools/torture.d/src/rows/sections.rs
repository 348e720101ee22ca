//! Part of `flip` and `truncate`: a segment that is large enough for every index, whose sections are hit
//! one after the other.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};
use hashdb::{Database, IndexOptions, WriteBatch, WriteOptions};

use crate::Context;
use crate::judge::{Judge, Verdict};
use crate::model::Model;
use crate::plan::{Flavour, Plan, generator};
use crate::report::Outcome;
use crate::still;

/// From so many rows on a segment carries the multi-index.
const ROWS: u64 = 131_072;
const BATCH: u64 = 8192;
/// Where the directory of a segment begins, and the length of its entries (storage-format.md, section 3).
const DIRECTORY: usize = 64;
const ENTRY: usize = 32;

/// A segment file with every index.
pub(crate) struct Large {
    _folder: tempfile::TempDir,
    path: PathBuf,
    bytes: Vec<u8>,
    /// Tag, offset and length of each section.
    sections: Vec<(String, usize, usize)>,
    judge: Judge,
}

impl Large {
    pub(crate) fn make(context: &Context) -> Result<Self> {
        let folder = context.folder_in_memory()?;
        let plan = Plan::new(context.seed, Flavour::Still);
        let model = Model::new(plan);
        let judge = Judge::of(&model);
        let built = build(&plan, &folder.path().join("db"))?;
        let path = folder.path().join("large.seg");
        std::fs::copy(&built, &path).context("copy the segment")?;
        let bytes = std::fs::read(&path).context("read the segment")?;
        let sections = sections(&bytes)?;
        for index in ["BALL.", "MULTI.", "CLUST.", "PREFIX"] {
            let there = sections.iter().any(|(tag, ..)| tag.starts_with(index));
            ensure!(there, "the segment has no {index}: this would show little");
        }
        Ok(Self { _folder: folder, path, bytes, sections, judge })
    }

    /// Asks about other bytes in the place of the segment.
    fn ask(&mut self, bytes: &[u8], what: &str, outcome: &mut Outcome) -> Result<()> {
        std::fs::write(&self.path, bytes).context("write the damaged segment")?;
        outcome.round();
        match self.judge.ask("segment", &self.path)? {
            Verdict::Refused(text) if !text.is_empty() => outcome.damaged += 1,
            verdict => {
                outcome.lost += 1;
                outcome.fail(format!("a segment with every index, {what}: {verdict:?}"));
            }
        }
        Ok(())
    }

    /// Flips a bit of each section in turn.
    pub(crate) fn flips(
        &mut self,
        context: &Context,
        rounds: u64,
        outcome: &mut Outcome,
    ) -> Result<()> {
        for round in 0..rounds {
            if context.stopped() {
                break;
            }
            let mut random = generator(context.seed, 1 << 48 | round);
            let count = self.sections.len();
            let (tag, offset, length) = self.sections[usize::try_from(round)? % count].clone();
            let (at, bit) = (offset + random.usize(..length.max(1)), random.u8(..8));
            let mut bytes = self.bytes.clone();
            bytes[at] ^= 1 << bit;
            self.ask(&bytes, &format!("bit {bit} of byte {at}, in {tag}"), outcome)?;
        }
        outcome.note(format!(
            "a segment of {} bytes with every index: {rounds} flips, in each of {} sections in turn",
            self.bytes.len(),
            self.sections.len()
        ));
        Ok(())
    }

    /// Cuts it at the ends of all sections and at random.
    pub(crate) fn cuts(
        &mut self,
        context: &Context,
        random_cuts: u64,
        outcome: &mut Outcome,
    ) -> Result<()> {
        let ends = self.sections.iter().flat_map(|(_, at, length)| [*at, at + length]);
        let mut cuts: Vec<_> = ends.flat_map(|end| [end - 1, end, end + 1]).collect();
        for round in 0..random_cuts {
            cuts.push(generator(context.seed, 1 << 49 | round).usize(..self.bytes.len()));
        }
        cuts.retain(|cut| *cut < self.bytes.len());
        let made = cuts.len();
        for cut in cuts {
            if context.stopped() {
                break;
            }
            let bytes = self.bytes[..cut].to_vec();
            self.ask(&bytes, &format!("cut at {cut}"), outcome)?;
        }
        outcome
            .note(format!("a segment of {} bytes with every index: {made} cuts", self.bytes.len()));
        Ok(())
    }
}

/// Makes a database of one segment and returns its file.
fn build(plan: &Plan, path: &Path) -> Result<PathBuf> {
    let index = IndexOptions::default().prefix(true);
    let rows = usize::try_from(ROWS)?;
    let options = plan.options().background(false).memtable_records(2 * rows).index(index);
    let db = Database::create(path, options).context("create")?;
    for begin in (0..ROWS).step_by(usize::try_from(BATCH)?) {
        let mut batch = WriteBatch::new();
        for number in begin..begin + BATCH {
            let mut random = generator(plan.seed, 1 << 50 | number);
            let (address, code) = (plan.address(&mut random), plan.code(&mut random));
            batch.put(&number.to_le_bytes(), address, code, b"");
        }
        db.write(batch, WriteOptions { sync: false }).context("load")?;
    }
    db.compact().context("compact")?;
    drop(db);
    let mut segments = still::files(&path.join("segments"))?;
    ensure!(segments.len() == 1, "{} segments", segments.len());
    segments.pop().context("a segment")
}

/// The directory of a segment file.
fn sections(bytes: &[u8]) -> Result<Vec<(String, usize, usize)>> {
    let number = |at: usize, length: usize| -> Result<usize> {
        let mut wide = [0; 8];
        wide[..length].copy_from_slice(bytes.get(at..at + length).context("a whole file")?);
        Ok(usize::try_from(u64::from_le_bytes(wide))?)
    };
    let count = number(10, 2)?;
    (0..count)
        .map(|entry| {
            let at = DIRECTORY + ENTRY * entry;
            let tag = String::from_utf8_lossy(&bytes[at..at + 8]).trim_end().to_owned();
            Ok((tag, number(at + 8, 8)?, number(at + 16, 8)?))
        })
        .collect()
}
