//! How far a load is: rows through each of its stages, with rates of the last seconds.

use std::time::Instant;

use hashdb::{BulkProgress, BulkStage};
use serde::Serialize;
use serde_json::json;

use crate::progress::{self, State};
use crate::recent::Recent;
use crate::text;

/// Stages with the names of their bars and what they are called on a line; reading comes first.
const NAMES: [(&str, &str); 6] = [
    ("read", "read"),
    ("merge", "merge"),
    ("keys", "sort keys"),
    ("rows", "write records"),
    ("segment", "gather segments"),
    ("index", "build indexes"),
];
const READ: usize = 0;
const MERGE: usize = 1;

/// The progress of a load as it is shown.
#[derive(Debug)]
pub(super) struct Board {
    started: Instant,
    /// None where a stage has not begun.
    stages: [Option<Stage>; NAMES.len()],
    commits: bool,
    /// The stage that began last.
    newest: usize,
}

/// How far a stage is.
#[derive(Debug)]
struct Stage {
    done: u64,
    total: Option<u64>,
    recent: Recent,
}

impl Stage {
    fn is_done(&self) -> bool {
        self.total.is_some_and(|total| self.done >= total)
    }

    fn fraction(&self) -> Option<f64> {
        let total = self.total?;
        Some(if total == 0 { 1.0 } else { self.done as f64 / total as f64 })
    }

    fn seconds_left(&self) -> Option<u64> {
        let rest = self.total?.saturating_sub(self.done);
        self.recent.left(rest).map(|left| left.as_secs())
    }

    fn text(&self) -> String {
        let of = self.total.map_or_else(String::new, |rows| format!(" of {}", text::count(rows)));
        let mut line = format!("{}{of} rows", text::count(self.done));
        if !self.is_done() {
            line += &format!(", {:.0}/s", self.recent.rate());
            if let Some(left) = self.seconds_left() {
                line += &format!(", {} left", text::seconds(left));
            }
        }
        line
    }
}

impl Board {
    /// Nothing is read yet.
    pub(super) fn new(total: Option<u64>) -> Self {
        let started = Instant::now();
        let read = Stage { done: 0, total, recent: Recent::starting(started) };
        Self {
            started,
            stages: [Some(read), None, None, None, None, None],
            commits: false,
            newest: READ,
        }
    }

    pub(super) fn started(&self) -> Instant {
        self.started
    }

    /// Learns how many rows were read.
    pub(super) fn read(&mut self, done: u64) {
        let total = self.stages[READ].as_ref().and_then(|stage| stage.total);
        self.learn(READ, done, total);
    }

    /// All rows were read.
    pub(super) fn all_read(&mut self) {
        if let Some(read) = &mut self.stages[READ] {
            read.total = Some(read.done);
        }
    }

    /// Learns how far the writing is.
    pub(super) fn written(&mut self, at: BulkProgress) {
        let number = match at.stage {
            BulkStage::Merge => MERGE,
            BulkStage::Keys => 2,
            BulkStage::Records => 3,
            BulkStage::Segments => 4,
            BulkStage::Indexes => 5,
            BulkStage::Commit => {
                self.commits = true;
                return;
            }
            // One of a newer library.
            _ => return,
        };
        self.learn(number, at.done, Some(at.total));
    }

    fn learn(&mut self, number: usize, done: u64, total: Option<u64>) {
        let now = Instant::now();
        let Some(stage) = self.stages.get_mut(number) else { return };
        self.newest = self.newest.max(number);
        let starting = || Stage { done: 0, total, recent: Recent::starting(now) };
        let stage = stage.get_or_insert_with(starting);
        // Several threads tell, and not in the order in which they counted.
        stage.done = stage.done.max(done);
        stage.recent.learn(now, stage.done);
    }

    /// Stages under way with their names on a line.
    fn under_way(&self) -> impl Iterator<Item = (&'static str, &Stage)> {
        let begun = NAMES.iter().zip(&self.stages);
        let begun = begun.filter_map(|((_, name), stage)| Some((*name, stage.as_ref()?)));
        begun.filter(|(_, stage)| !stage.is_done() && !self.commits)
    }

    /// The stage that has the longest way to go, if one is under way; else what comes after the newest one, which is
    /// counted to its end: what was read is put in order, and so are the records that go.
    fn slowest(&self) -> Option<(&'static str, &Stage)> {
        let fraction = |stage: &Stage| stage.fraction().unwrap_or(0.0);
        let slowest = self
            .under_way()
            .min_by(|(_, left), (_, right)| fraction(left).total_cmp(&fraction(right)));
        let stage = self.stages.get(self.newest)?.as_ref()?;
        let name = match self.newest {
            _ if self.commits => "commit",
            READ => "sort",
            newest => NAMES[newest].1,
        };
        slowest.or(Some((name, stage)))
    }
}

impl Serialize for Board {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let seconds = self.started.elapsed().as_secs_f64();
        let Some((name, stage)) = self.slowest() else {
            return json!({ "seconds": seconds }).serialize(serializer);
        };
        json!({
            "stage": name,
            "done": stage.done,
            "rows": stage.total,
            "seconds": seconds,
            "rows_per_second": stage.recent.rate(),
            "seconds_left": stage.seconds_left(),
        })
        .serialize(serializer)
    }
}

impl State for Board {
    fn line(&self) -> String {
        let parts = self.under_way().map(|(name, stage)| format!("{name}: {}", stage.text()));
        let line = Vec::from_iter(parts).join("; ");
        match self.slowest() {
            Some((name, stage)) if line.is_empty() => format!("{name}: {}", stage.text()),
            _ => line,
        }
    }

    fn fraction(&self) -> Option<f64> {
        self.slowest().and_then(|(_, stage)| stage.fraction())
    }

    fn stages(&self) -> Vec<progress::Stage> {
        let bar = |((number, (name, _)), stage): ((usize, &(&'static str, _)), &Option<Stage>)| {
            let (fraction, text) = match stage {
                Some(stage) => (stage.fraction(), stage.text()),
                // Few sorted parts, or none, are read at once.
                None if number == MERGE && self.stages[MERGE + 1].is_some() => {
                    (Some(1.0), "not needed".to_owned())
                }
                None => (None, String::new()),
            };
            progress::Stage { name, fraction, text }
        };
        NAMES.iter().enumerate().zip(&self.stages).map(bar).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(stage: BulkStage, done: u64) -> BulkProgress {
        BulkProgress { stage, done, total: 1000 }
    }

    #[test]
    fn a_load_is_told_stage_by_stage() {
        let mut board = Board::new(Some(2000));
        board.read(500);
        assert!(board.line().starts_with("read: 500 of 2,000 rows, "), "{}", board.line());
        assert_eq!((board.fraction(), board.stages().len()), (Some(0.25), 6));
        board.read(1000);
        board.all_read();
        // Nothing has begun that tells how far it is.
        assert!(board.line().starts_with("sort: 1,000 of 1,000 rows"), "{}", board.line());
        board.written(at(BulkStage::Merge, 250));
        assert!(board.line().starts_with("merge: 250 of 1,000 rows, "), "{}", board.line());
        let json = serde_json::to_value(&board).unwrap();
        assert_eq!((&json["stage"], &json["done"]), (&"merge".into(), &250.into()));
        assert_eq!(
            (&json["rows"], &board.stages()[0].text),
            (&1000.into(), &"1,000 of 1,000 rows".into())
        );
        board.written(at(BulkStage::Merge, 1000));
        board.written(at(BulkStage::Keys, 1000));
        assert!(board.line().starts_with("sort keys: 1,000 of"), "{}", board.line());
        // Records and segments are written side by side, and a thread may tell late.
        board.written(at(BulkStage::Records, 600));
        board.written(at(BulkStage::Records, 500));
        board.written(at(BulkStage::Segments, 100));
        let line = board.line();
        assert!(line.starts_with("write records: 600 of 1,000 rows, "), "{line}");
        assert!(line.contains("; gather segments: 100 of 1,000 rows, "), "{line}");
        let json = serde_json::to_value(&board).unwrap();
        assert_eq!((&json["stage"], &json["done"]), (&"gather segments".into(), &100.into()));
        // Indexes are built long after all rows have been written and gathered.
        board.written(at(BulkStage::Records, 1000));
        board.written(at(BulkStage::Indexes, 0));
        board.written(at(BulkStage::Segments, 1000));
        assert!(board.line().starts_with("build indexes: 0 of 1,000 rows, "), "{}", board.line());
        board.written(at(BulkStage::Indexes, 1000));
        assert!(board.line().starts_with("build indexes: 1,000 of 1,000"), "{}", board.line());
        board.written(at(BulkStage::Commit, 0));
        assert!(board.line().starts_with("commit: "), "{}", board.line());
    }

    #[test]
    fn what_is_not_needed_is_said_and_an_unknown_number_of_rows_has_no_fraction() {
        let mut board = Board::new(None);
        board.read(10);
        assert_eq!((board.fraction(), board.stages()[1].text.as_str()), (None, ""));
        board.all_read();
        board.written(at(BulkStage::Keys, 10));
        let merge = &board.stages()[1];
        assert_eq!((merge.fraction, merge.text.as_str()), (Some(1.0), "not needed"));
    }
}
