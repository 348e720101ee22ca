//! How many pictures to hand to an encoder at once, found by trying.

use std::time::Duration;

use super::ModelError;

/// The batches that are tried, in this order.
pub const BATCHES: [usize; 6] = [256, 512, 1024, 2048, 4096, 8192];

/// A batch is measured for so long, or [`MOST_RUNS`] times.
const LEAST_TIME: Duration = Duration::from_millis(20);
/// See [`LEAST_TIME`].
const MOST_RUNS: u32 = 8;
/// No further batch is tried after so long.
const ALL_TIME: Duration = Duration::from_millis(600);
/// The share of the best rate that is good enough for a smaller batch: what it spares in memory, and in
/// time until the first records are durable, is worth the rest.
const GOOD_ENOUGH: f64 = 0.95;

/// What trying came to.
#[derive(Debug, Clone, PartialEq)]
pub struct Calibration {
    /// The smallest batch whose rate is within 5 % of the best.
    pub batch: usize,
    /// Pictures a second for each batch that was tried, in the order of [`BATCHES`].
    pub rates: Vec<(usize, f64)>,
}

/// Tries the batches of [`BATCHES`] and chooses one. `run` encodes so many pictures, `now` is a clock that
/// never goes back. Each batch runs once before it is measured, and counts with its fastest run.
///
/// A batch that fails, for lack of memory say, ends the search among those before it.
///
/// # Errors
/// The error of `run` if even the smallest batch fails.
pub fn calibrate(
    run: &mut dyn FnMut(usize) -> Result<(), ModelError>,
    now: &mut dyn FnMut() -> Duration,
) -> Result<Calibration, ModelError> {
    let started = now();
    let mut rates: Vec<(usize, f64)> = Vec::new();
    for batch in BATCHES {
        match fastest(batch, run, now) {
            #[expect(clippy::cast_precision_loss, reason = "a batch has at most 8192 pictures")]
            Ok(time) => rates.push((batch, batch as f64 / time.as_secs_f64().max(1e-9))),
            Err(error) if rates.is_empty() => return Err(error),
            Err(_) => break,
        }
        if now().saturating_sub(started) >= ALL_TIME {
            break;
        }
    }
    let best = rates.iter().map(|(_, rate)| *rate).fold(0.0, f64::max);
    let chosen = rates.iter().find(|(_, rate)| *rate >= GOOD_ENOUGH * best);
    let batch = chosen.map_or(BATCHES[0], |(batch, _)| *batch);
    Ok(Calibration { batch, rates })
}

/// The shortest time that a batch takes.
fn fastest(
    batch: usize,
    run: &mut dyn FnMut(usize) -> Result<(), ModelError>,
    now: &mut dyn FnMut() -> Duration,
) -> Result<Duration, ModelError> {
    run(batch)?;
    let (started, mut fastest) = (now(), Duration::MAX);
    for _ in 0..MOST_RUNS {
        let before = now();
        run(batch)?;
        let after = now();
        fastest = fastest.min(after.saturating_sub(before));
        if after.saturating_sub(started) >= LEAST_TIME {
            break;
        }
    }
    Ok(fastest)
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::time::Duration;

    use super::{BATCHES, ModelError, calibrate};

    /// Calibrates an encoder that takes `micros` for a batch, on a clock that only it moves. Returns the
    /// choice and how many batches were tried.
    fn choice(micros: impl Fn(usize) -> u64) -> (usize, usize) {
        let clock = Cell::new(Duration::ZERO);
        let mut run = |batch| {
            clock.set(clock.get() + Duration::from_micros(micros(batch)));
            Ok(())
        };
        let found = calibrate(&mut run, &mut || clock.get()).unwrap();
        (found.batch, found.rates.len())
    }

    #[test]
    fn an_encoder_whose_rate_does_not_change_gets_the_smallest_batch() {
        assert_eq!(choice(|batch| batch as u64), (256, BATCHES.len()));
    }

    #[test]
    fn an_encoder_that_pays_for_each_batch_gets_one_that_is_large_enough() {
        // 1,000 microseconds a batch and 0.1 a picture: 4096 reaches 65 % of the rate of 8192.
        assert_eq!(choice(|batch| 1000 + batch as u64 / 10), (8192, BATCHES.len()));
        // 20 microseconds a batch and 1 a picture: 512 reaches 96 % of the rate of 8192, 256 reaches 93 %.
        assert_eq!(choice(|batch| 20 + batch as u64), (512, BATCHES.len()));
    }

    #[test]
    fn batches_that_slow_down_are_not_chosen() {
        let cache = |batch| if batch > 1024 { 3 * batch as u64 } else { 300 + batch as u64 };
        assert_eq!(choice(cache).0, 1024);
    }

    #[test]
    fn a_slow_encoder_is_not_kept_waiting() {
        // 2.56 ms a picture: the first batch alone takes longer than all may.
        assert_eq!(choice(|batch| 2560 * batch as u64), (256, 1));
    }

    #[test]
    fn a_batch_beyond_the_memory_ends_the_search() {
        let clock = Cell::new(Duration::ZERO);
        let mut run = |batch| {
            clock.set(clock.get() + Duration::from_micros(1000));
            if batch > 1024 {
                return Err(ModelError::Compute { cause: "out of memory".to_owned() });
            }
            Ok(())
        };
        let found = calibrate(&mut run, &mut || clock.get()).unwrap();
        assert_eq!((found.batch, found.rates.len()), (1024, 3));
        let mut run = |_| Err(ModelError::Compute { cause: "out of memory".to_owned() });
        assert!(calibrate(&mut run, &mut || Duration::ZERO).is_err());
    }

    #[test]
    fn a_clock_that_stands_still_still_gives_a_batch() {
        assert!(BATCHES.contains(&choice(|_| 0).0));
    }
}
