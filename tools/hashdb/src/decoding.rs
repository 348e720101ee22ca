//! Pictures that a command needs all at once: shows how far their decoding is, and names the first that are broken.

use hashdb::ingest::{IngestError, Observer, Progress, Reject};
use serde::Serialize;
use serde_json::json;

use crate::progress::{Meter, Mode, State};
use crate::text;

/// Rejects that are named; the others are counted.
const NAMED: u32 = 10;

/// Follows the decoding.
pub(crate) struct Decoding {
    meter: Meter,
    rejected: u32,
    last: Progress,
}

impl Decoding {
    pub(crate) fn new(mode: Option<Mode>) -> Self {
        Self { meter: Meter::new(mode), rejected: 0, last: Progress::default() }
    }

    /// Shows the last state, unless the error that follows says it all.
    pub(crate) fn finish(mut self) {
        if self.last.done > 0 {
            self.meter.finish(&Shown(&self.last));
        } else {
            self.meter.leave();
        }
    }
}

impl Observer for Decoding {
    fn progress(&mut self, progress: &Progress) {
        self.last = progress.clone();
        self.meter.show(&Shown(progress));
    }

    fn reject(&mut self, reject: Reject) -> Result<(), IngestError> {
        self.rejected += 1;
        if self.rejected <= NAMED {
            let (key, cause) = (text::key(&reject.key), text::one_line(&reject.cause));
            self.meter.note(&format!("rejected {key}: {cause}"));
        }
        Ok(())
    }
}

struct Shown<'a>(&'a Progress);

impl Serialize for Shown<'_> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        json!({ "phase": "decode", "done": self.0.done }).serialize(serializer)
    }
}

impl State for Shown<'_> {
    fn line(&self) -> String {
        format!("decoded {} pictures", text::count(self.0.done))
    }

    fn fraction(&self) -> Option<f64> {
        self.0.fraction()
    }
}
