//! What the samples of a soak say: slopes, flatness, the disk beside the live data.

use std::fmt;

use super::child::CHANGES_A_SECOND;
use super::sample::Sample;
use crate::report::Outcome;

pub(super) const MIB: f64 = 1024.0 * 1024.0;
const HOUR: f64 = 3600.0;

/// Seconds of work that are left out, of the long life since caches and write buffers fill, and of the whole since
/// segments come to have their usual share of deleted rows.
const WARM_UP: f64 = 300.0;
/// Where lives are compared with each other: after so many changes, since memory fills with what is written,
/// which takes longer on a machine that has other things to do.
const COMPARED: (f64, f64) = (10.0 * CHANGES_A_SECOND as f64, 20.0 * CHANGES_A_SECOND as f64);
/// Growth of anonymous memory that fails, in bytes an hour: half an id of eight bytes for every change.
/// What grows with the number of changes loses at least that.
const MOST_GROWTH: f64 = 4.0 * CHANGES_A_SECOND as f64 * HOUR;
/// A figure of a sample.
type Value = fn(&Sample) -> f64;
const MEMORY: [(&str, Value); 2] = [
    ("anonymous memory", |sample| sample.anonymous),
    ("allocated memory", |sample| sample.allocated),
];
/// Open files beside those of the database: input, output, errors, the handles of the sampling itself.
const OTHER_OPEN_FILES: f64 = 8.0;
/// Disk beside multiples of the live data: BALLAST, and the log, which is ended at 256 MiB and has room
/// set aside for a part of it.
const DISK_BESIDE: f64 = (64.0 + 256.0 + 64.0) * MIB;
/// Disk as multiples of the live data, beside that: of nineteen samples in twenty while no compaction is
/// asked for, and of every sample: a compaction of everything has the old and the new for a while, beside
/// what comes meanwhile.
const USUAL_DISK: f64 = 2.0;
const LARGEST_DISK: f64 = 4.0;

/// One process.
#[derive(Debug, Clone, Copy)]
pub(super) struct Life {
    pub(super) number: u32,
    /// Seconds since the soak began.
    pub(super) begin: f64,
    pub(super) opened: f64,
    pub(super) end: f64,
    pub(super) killed: bool,
    pub(super) long: bool,
    pub(super) steps: u64,
    /// Seconds that judging what it left took.
    pub(super) judged: f64,
}

impl fmt::Display for Life {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { number, begin, opened, end, killed, steps, judged, .. } = self;
        let how = if *killed { "killed" } else { "closed" };
        write!(
            formatter,
            "life {number}: from {begin:.0} s, open in {:.1} s, {how} after {:.1} s and {steps} steps, \
             judged in {judged:.1} s",
            opened - begin,
            end - opened
        )
    }
}

/// All of a soak.
#[derive(Debug)]
pub(super) struct Soak {
    pub(super) samples: Vec<Sample>,
    pub(super) lives: Vec<Life>,
    /// Whether it was to last long enough for slopes.
    pub(super) long: bool,
}

/// A line through points, and how sure it is.
#[derive(Debug, Clone, Copy)]
struct Slope {
    an_hour: f64,
    error: f64,
    points: usize,
}

/// Least squares through points of seconds and values. Points must be independent of each other for the
/// error to be right: means of a minute, or of a life.
fn slope(points: &[(f64, f64)]) -> Option<Slope> {
    if points.len() < 4 {
        return None;
    }
    let count = points.len() as f64;
    let mean = |of: fn(&(f64, f64)) -> f64| points.iter().map(of).sum::<f64>() / count;
    let (x, y) = (mean(|point| point.0), mean(|point| point.1));
    let spread: f64 = points.iter().map(|point| (point.0 - x).powi(2)).sum();
    let a_second = points.iter().map(|point| (point.0 - x) * (point.1 - y)).sum::<f64>() / spread;
    let off = |point: &(f64, f64)| (point.1 - y - a_second * (point.0 - x)).powi(2);
    let error = (points.iter().map(off).sum::<f64>() / (count - 2.0) / spread).sqrt();
    Some(Slope { an_hour: a_second * HOUR, error: error * HOUR, points: points.len() })
}

/// Means of values over pieces of time.
fn means(points: &[(f64, f64)], seconds: f64) -> Vec<(f64, f64)> {
    let Some(first) = points.first().map(|point| point.0) else { return Vec::new() };
    let piece = |point: &(f64, f64)| ((point.0 - first) / seconds).floor();
    points
        .chunk_by(|one, other| piece(one) == piece(other))
        .map(|part| {
            let count = part.len() as f64;
            let sum = part.iter().fold((0.0, 0.0), |sum, at| (sum.0 + at.0, sum.1 + at.1));
            (sum.0 / count, sum.1 / count)
        })
        .collect()
}

/// Seconds that the changes of a process so far take at the usual rate.
fn work_of(sample: &Sample) -> f64 {
    sample.changes / CHANGES_A_SECOND as f64
}

fn largest(values: impl Iterator<Item = f64>) -> f64 {
    values.fold(f64::MIN, f64::max)
}

fn smallest(values: impl Iterator<Item = f64>) -> f64 {
    values.fold(f64::MAX, f64::min)
}

impl Soak {
    /// Samples after the loading.
    pub(super) fn steady(&self) -> impl Iterator<Item = &Sample> {
        self.samples.iter().filter(|sample| sample.life > 0.0)
    }

    fn of_life(&self, life: &Life) -> Vec<&Sample> {
        let number = f64::from(life.number);
        self.samples.iter().filter(|sample| sample.life == number).collect()
    }

    /// The long life after its warm-up.
    fn long_life(&self) -> Vec<&Sample> {
        let long = self.lives.iter().find(|life| life.long);
        let samples = long.map(|life| self.of_life(life)).unwrap_or_default();
        samples.into_iter().filter(|sample| work_of(sample) >= WARM_UP).collect()
    }

    /// Seconds that the changes before each life take at the usual rate. Slopes are over this time: what
    /// leaks, leaks with the work, and a machine that is busy otherwise does less of it.
    fn work_before(&self) -> Vec<f64> {
        let work = |life: &Life| self.of_life(life).last().map_or(0.0, |sample| work_of(sample));
        let sums = self.lives.iter().scan(0.0, |sum, life| {
            let before = *sum;
            *sum += work(life);
            Some(before)
        });
        sums.collect()
    }

    fn across(&self, of: fn(&Sample) -> f64) -> Option<Slope> {
        let settled = |(life, _): &(&Life, f64)| life.number > 0 && life.begin >= WARM_UP;
        let lives = self.lives.iter().zip(self.work_before()).filter(settled);
        let points = lives.filter_map(|(life, before)| {
            let samples = self.of_life(life);
            let reached = samples.iter().any(|sample| sample.changes >= COMPARED.1);
            let compared = |sample: &&&Sample| (COMPARED.0..COMPARED.1).contains(&sample.changes);
            let points = samples.iter().filter(compared).map(|s| (before + work_of(s), of(s)));
            means(&points.collect::<Vec<_>>(), f64::MAX).first().copied().filter(|_| reached)
        });
        slope(&points.collect::<Vec<_>>())
    }

    fn within(&self, of: fn(&Sample) -> f64) -> Option<Slope> {
        let points: Vec<_> =
            self.long_life().iter().map(|sample| (work_of(sample), of(sample))).collect();
        slope(&means(&points, 60.0))
    }

    /// Prints a line a life and the whole.
    pub(super) fn print(&self) {
        println!(
            "   {:>4} {:>7} {:>7} {:>9} {:>6} {:>6} {:>9} {:>6} {:>9} {:>8}",
            "life",
            "end",
            "seconds",
            "anon, MiB",
            "mean",
            "max",
            "open min",
            "max",
            "disk/live",
            "steps"
        );
        for life in &self.lives {
            let samples = self.of_life(life);
            if samples.is_empty() {
                continue;
            }
            let all = |of: fn(&Sample) -> f64| samples.iter().map(move |sample| of(sample));
            let anonymous = || all(|sample| sample.anonymous / MIB);
            println!(
                "   {:>4} {:>7} {:>7.0} {:>9.0} {:>6.0} {:>6.0} {:>9} {:>6} {:>9.2} {:>8}",
                life.number,
                if life.killed { "killed" } else { "closed" },
                life.end - life.opened,
                smallest(anonymous()),
                anonymous().sum::<f64>() / samples.len() as f64,
                largest(anonymous()),
                smallest(all(|sample| sample.open_files)),
                largest(all(|sample| sample.open_files)),
                largest(all(|sample| sample.disk / sample.live)),
                life.steps
            );
        }
    }

    /// Says what grew and what did not, and fails what must not.
    pub(super) fn judge(&self, outcome: &mut Outcome) {
        let (first, last) = (self.steady().next(), self.steady().last());
        let (Some(_), Some(last)) = (first, last) else {
            outcome.fail("no sample after the loading".to_owned());
            return;
        };
        let kills = self.lives.iter().filter(|life| life.killed).count();
        let sum = |of: fn(&Sample) -> f64| -> f64 {
            let ends =
                self.lives.iter().filter_map(|life| self.of_life(life).last().map(|s| of(s)));
            ends.sum()
        };
        outcome.note(format!(
            "{:.0} s, {} lives, {kills} killed; {:.2} million changes acknowledged, {:.0} answers compared; at \
             the end {:.0} records of {:.0} MiB live",
            last.at,
            self.lives.len(),
            sum(|sample| sample.changes) / 1e6,
            sum(|sample| sample.answers),
            last.records,
            last.live / MIB
        ));
        for (what, of) in MEMORY {
            self.judge_slope(&format!("{what} across lives"), self.across(of), outcome);
            self.judge_slope(&format!("{what} in the long life"), self.within(of), outcome);
        }
        self.judge_files(outcome);
        self.judge_disk(outcome);
    }

    fn judge_slope(&self, which: &str, slope: Option<Slope>, outcome: &mut Outcome) {
        if !self.long {
            return;
        }
        let Some(Slope { an_hour, error, points }) = slope else {
            outcome.fail(format!("{which}: too few samples"));
            return;
        };
        let told = format!(
            "{which}: {:+.1} MiB an hour of work, standard error {:.1}, {points} points; more than \
             {:.1} by two errors fails",
            an_hour / MIB,
            error / MIB,
            MOST_GROWTH / MIB
        );
        if an_hour - 2.0 * error > MOST_GROWTH {
            outcome.fail(told.clone());
        }
        outcome.note(told);
    }

    fn judge_files(&self, outcome: &mut Outcome) {
        let over = largest(self.steady().map(|sample| sample.open_files - sample.files));
        let unlinked = largest(self.steady().map(|sample| sample.unlinked));
        let long = self.long_life();
        let told = format!(
            "open files: at most {over:.0} more than the database has files ({OTHER_OPEN_FILES:.0} are allowed), \
             {unlinked:.0} without a name"
        );
        if over > OTHER_OPEN_FILES {
            outcome.fail(told.clone());
        }
        outcome.note(told);
        if !long.is_empty() {
            let of_long = || long.iter().map(|sample| sample.open_files);
            let (least, most) = (smallest(of_long()), largest(of_long()));
            outcome.note(format!("open files in the long life: {least:.0} to {most:.0}"));
        }
        if let Some(Slope { an_hour, error, .. }) = self.within(|sample| sample.open_files) {
            let told =
                format!("open files in the long life: {an_hour:+.1} an hour, error {error:.1}");
            if self.long && an_hour - 2.0 * error > 8.0 {
                outcome.fail(told.clone());
            }
            outcome.note(told);
        }
        if let Some(Slope { an_hour, error, .. }) = self.within(|sample| sample.threads) {
            outcome
                .note(format!("threads in the long life: {an_hour:+.1} an hour, error {error:.1}"));
        }
    }

    fn judge_disk(&self, outcome: &mut Outcome) {
        let share = |percent: usize, of: fn(&Sample) -> f64| {
            // The largest of all, the others of the time in which nobody asked for a compaction.
            let counts = |sample: &&Sample| percent == 100 || sample.compacting == 0.0;
            let mut all: Vec<_> = self.steady().filter(counts).map(of).collect();
            all.sort_unstable_by(f64::total_cmp);
            all.get(all.len().saturating_sub(1) * percent / 100).copied().unwrap_or_default()
        };
        let ratio: fn(&Sample) -> f64 = |sample| sample.disk / sample.live;
        let content: fn(&Sample) -> f64 =
            |sample| (sample.disk - sample.logs - sample.ballast) / sample.live;
        let beside: fn(&Sample) -> f64 = |sample| (sample.disk - DISK_BESIDE) / sample.live;
        for (what, of) in [("all", ratio), ("without log and BALLAST", content)] {
            outcome.note(format!(
                "disk beside live data, {what}: median {:.2}, 95 % below {:.2}, largest {:.2}",
                share(50, of),
                share(95, of),
                share(100, of)
            ));
        }
        if !self.long {
            // A log and BALLAST of their full size would hide whatever a small database takes.
            return;
        }
        let (usual, largest) = (share(95, beside), share(100, beside));
        let told = format!(
            "disk less {:.0} MiB for log and BALLAST: 95 % below {usual:.2} of the live data, largest \
             {largest:.2}; above {USUAL_DISK} and {LARGEST_DISK} fails",
            DISK_BESIDE / MIB
        );
        if usual > USUAL_DISK || largest > LARGEST_DISK {
            outcome.fail(told.clone());
        }
        outcome.note(told);
    }
}

#[cfg(test)]
mod tests {
    use super::{Life, MIB, Soak};
    use crate::report::Outcome;
    use crate::rows::soak::sample::Sample;

    /// An hour with forty short lives and a long one, and values that go up and down as a merge has them.
    fn soak(change: impl Fn(&mut Sample)) -> Outcome {
        let (mut samples, mut lives) = (Vec::new(), Vec::new());
        let mut begin = 0.0;
        for number in 0_u32..41 {
            let long = number == 20;
            let seconds = if long { 1600 } else { 50 };
            for age in 0..seconds {
                let wave = f64::from((age + 7 * number) % 60) * MIB;
                let mut sample = Sample {
                    at: begin + f64::from(age),
                    life: f64::from(number),
                    age: f64::from(age),
                    anonymous: 200.0 * MIB + wave,
                    open_files: 40.0,
                    files: 45.0,
                    disk: 550.0 * MIB + wave,
                    live: 280.0 * MIB,
                    changes: f64::from(age) * 3000.0,
                    ..Sample::default()
                };
                change(&mut sample);
                samples.push(sample);
            }
            let end = begin + f64::from(seconds);
            let killed = number % 5 > 0;
            let (opened, steps, judged) = (begin, 1000, 1.0);
            lives.push(Life { number, begin, opened, end, killed, long, steps, judged });
            begin = end;
        }
        let mut outcome = Outcome::default();
        Soak { samples, lives, long: true }.judge(&mut outcome);
        outcome
    }

    #[test]
    fn what_stays_as_it_is_passes() {
        let outcome = soak(|_| ());
        assert!(outcome.failures.is_empty(), "{:?}", outcome.failures);
    }

    #[test]
    fn memory_that_grows_by_an_id_a_change_fails_within_a_life_and_across_lives() {
        // Eight bytes for each of 3,000 changes a second.
        let within = soak(|sample| sample.anonymous += sample.age * 24_000.0);
        assert!(within.failures.iter().any(|told| told.contains("in the long")), "{within:?}");
        let across = soak(|sample| sample.anonymous += (sample.at - sample.age) * 24_000.0);
        assert!(across.failures.iter().any(|told| told.contains("across")), "{across:?}");
    }

    #[test]
    fn open_files_that_grow_or_are_of_nothing_in_the_folder_fail() {
        let grown = soak(|sample| sample.open_files += (sample.age / 100.0).floor());
        assert!(grown.failures.iter().any(|told| told.contains("open files")), "{grown:?}");
        let strange = soak(|sample| sample.open_files += 20.0);
        assert!(strange.failures.iter().any(|told| told.contains("more than")), "{strange:?}");
    }

    #[test]
    fn a_disk_that_holds_more_than_twice_the_live_data_fails() {
        let usual = soak(|sample| sample.disk += 400.0 * MIB);
        assert!(usual.failures.iter().any(|told| told.contains("disk")), "{usual:?}");
        let once = soak(|sample| sample.disk += if sample.age == 30.0 { 900.0 * MIB } else { 0.0 });
        assert!(once.failures.iter().any(|told| told.contains("disk")), "{once:?}");
    }
}
