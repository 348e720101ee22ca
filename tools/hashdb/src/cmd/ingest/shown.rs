//! The progress of an ingest as it is shown: what was done, and rates of the last seconds.

use std::time::{Duration, Instant};

use hashdb::ingest::Progress;
use serde::Serialize;
use serde_json::json;

use crate::progress::{Stage, State};
use crate::recent::Recent;
use crate::text;

/// How fast each stage has been lately.
#[derive(Debug)]
pub(super) struct Rates {
    started: Instant,
    /// Images done and rejected.
    images: Recent,
    bytes: Recent,
    decoded: Recent,
    encoded: Recent,
    written: Recent,
}

impl Default for Rates {
    fn default() -> Self {
        let started = Instant::now();
        let [images, bytes, decoded, encoded, written] =
            [(); 5].map(|()| Recent::starting(started));
        Self { started, images, bytes, decoded, encoded, written }
    }
}

impl Rates {
    /// Learns how far the run is now.
    pub(super) fn learn(&mut self, progress: &Progress) {
        let now = self.started + progress.elapsed;
        self.images.learn(now, progress.done + progress.rejected);
        self.bytes.learn(now, progress.bytes);
        self.decoded.learn(now, progress.decoded);
        self.encoded.learn(now, progress.encoded);
        self.written.learn(now, progress.written);
    }
}

/// A progress with its rates.
pub(super) struct Shown<'a> {
    progress: &'a Progress,
    rates: &'a Rates,
}

impl<'a> Shown<'a> {
    pub(super) fn new(progress: &'a Progress, rates: &'a Rates) -> Self {
        Self { progress, rates }
    }

    /// The time that the rest of the bytes takes.
    fn time_left(&self) -> Option<Duration> {
        let rest = self.progress.total_bytes?.saturating_sub(self.progress.bytes);
        self.rates.bytes.left(rest)
    }

    /// The time left as it is told, while there is any.
    fn left(&self) -> String {
        let unfinished = self.progress.fraction().is_none_or(|fraction| fraction < 1.0);
        let left = self.time_left().filter(|_| unfinished);
        left.map_or_else(String::new, |left| format!(", {} left", text::seconds(left.as_secs())))
    }
}

impl Serialize for Shown<'_> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self { progress, rates } = self;
        json!({
            "done": progress.done,
            "rejected": progress.rejected,
            "skipped": progress.skipped,
            "done_before": progress.done_before,
            "found": progress.found,
            "decoded": progress.decoded,
            "encoded": progress.encoded,
            "written": progress.written,
            "bytes": progress.bytes,
            "total_bytes": progress.total_bytes,
            "seconds": progress.elapsed.as_secs_f64(),
            "images_per_second": rates.images.rate(),
            "bytes_per_second": rates.bytes.rate(),
            "seconds_left": self.time_left().map(|left| left.as_secs()),
        })
        .serialize(serializer)
    }
}

impl State for Shown<'_> {
    fn line(&self) -> String {
        let Self { progress, rates } = self;
        let mut line =
            format!("{} images, {:.0}/s", text::count(progress.done), rates.images.rate());
        if progress.rejected > 0 {
            line += &format!(", {} rejected", text::count(progress.rejected));
        }
        if let Some(fraction) = progress.fraction() {
            line += &format!(", {:.0} % read", fraction * 100.0);
        }
        line + &self.left()
    }

    fn fraction(&self) -> Option<f64> {
        self.progress.fraction()
    }

    fn stages(&self) -> Vec<Stage> {
        let Self { progress, rates } = self;
        let mut read = text::bytes(progress.bytes);
        if let Some(total) = progress.total_bytes {
            read += &format!(" of {}", text::bytes(total));
        }
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "for people")]
        let rate = rates.bytes.rate() as u64;
        read += &format!(", {}/s{}", text::bytes(rate), self.left());
        let stage = |name, count: u64, recent: &Recent, more: String| {
            // What was found so far stands for as much as was read of the bytes.
            let share = count as f64 / progress.found.max(1) as f64;
            let fraction = progress.fraction().map(|fraction| fraction * share.min(1.0));
            let text = format!("{} images, {:.0}/s{more}", text::count(count), recent.rate());
            Stage { name, fraction, text }
        };
        let rejected = match progress.rejected {
            0 => String::new(),
            rejected => format!(", {} rejected", text::count(rejected)),
        };
        vec![
            Stage { name: "read", fraction: progress.fraction(), text: read },
            stage("decode", progress.decoded, &rates.decoded, rejected),
            stage("encode", progress.encoded, &rates.encoded, String::new()),
            stage("write", progress.written, &rates.written, String::new()),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An ingest that begins with thumbnails and comes to photographs told the time left of its average: hours too
    /// short.
    #[test]
    fn rates_and_the_time_left_are_those_of_now() {
        let mut rates = Rates::default();
        let mut progress = Progress { total_bytes: Some(100_000), ..Progress::default() };
        for second in 1..=60 {
            progress.elapsed = Duration::from_secs(second);
            (progress.done, progress.bytes) = (second * 100, second * 1000);
            rates.learn(&progress);
        }
        let shown = Shown::new(&progress, &rates);
        assert_eq!(shown.line(), "6,000 images, 100/s, 60 % read, 40s left");
        for second in 61..=80 {
            progress.elapsed = Duration::from_secs(second);
            progress.done += 1;
            progress.bytes += 10;
            rates.learn(&progress);
        }
        progress.rejected = 2;
        let shown = Shown::new(&progress, &rates);
        assert_eq!(shown.time_left().unwrap().as_secs(), 3980);
        assert!(shown.line().starts_with("6,020 images, 1/s, 2 rejected, 60 % read, "));
        let json = serde_json::to_value(&shown).unwrap();
        assert_eq!(
            (&json["images_per_second"], &json["seconds_left"]),
            (&1.0.into(), &3980.into())
        );
        assert!(shown.stages()[0].text.contains(", 10 B/s, "), "{:?}", shown.stages());
    }
}
