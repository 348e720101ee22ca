//! How far a dump is.

use std::time::Instant;

use serde::Serialize;
use serde_json::json;

use crate::progress::State;
use crate::recent::Recent;
use crate::text;

/// The progress of a dump as it is shown.
#[derive(Debug)]
pub(super) struct Shown {
    read: u64,
    records: u64,
    dumped: u64,
    recent: Recent,
}

impl Shown {
    pub(super) fn new(records: u64) -> Self {
        Self { read: 0, records, dumped: 0, recent: Recent::starting(Instant::now()) }
    }

    pub(super) fn learn(&mut self, read: u64, dumped: u64) {
        (self.read, self.dumped) = (read, dumped);
        self.recent.learn(Instant::now(), read);
    }

    fn seconds_left(&self) -> Option<u64> {
        let left = self.recent.left(self.records.saturating_sub(self.read));
        left.map(|left| left.as_secs())
    }
}

impl Serialize for Shown {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        json!({
            "read": self.read,
            "records": self.records,
            "dumped": self.dumped,
            "records_per_second": self.recent.rate(),
            "seconds_left": self.seconds_left(),
        })
        .serialize(serializer)
    }
}

impl State for Shown {
    fn line(&self) -> String {
        let [read, records, dumped] = [self.read, self.records, self.dumped].map(text::count);
        let mut line = format!("{read} of {records} records read, {dumped} written");
        if self.read < self.records {
            line += &format!(", {:.0}/s", self.recent.rate());
            if let Some(left) = self.seconds_left() {
                line += &format!(", {} left", text::seconds(left));
            }
        }
        line
    }

    fn fraction(&self) -> Option<f64> {
        Some(self.read as f64 / self.records.max(1) as f64)
    }
}
