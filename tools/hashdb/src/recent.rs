//! Rates of the last seconds: what a job does now, and not what it did on the average since it began.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// The time that a rate is taken over.
const WINDOW: Duration = Duration::from_secs(10);
/// Time between two points of it, at least.
const STEP: Duration = Duration::from_millis(100);

/// How something grew lately.
#[derive(Debug, Clone, Default)]
pub(crate) struct Recent {
    /// Times with what was done by then. All but the first lie within the window.
    points: VecDeque<(Instant, u64)>,
}

impl Recent {
    /// Something that is at 0 now.
    pub(crate) fn starting(now: Instant) -> Self {
        Self { points: VecDeque::from([(now, 0)]) }
    }

    /// Learns how much is done now.
    pub(crate) fn learn(&mut self, now: Instant, done: u64) {
        let points = &mut self.points;
        // The newest point moves until it is a step away from the one before it.
        if let [.., before, _] = points.make_contiguous()
            && now.duration_since(before.0) < STEP
        {
            points.pop_back();
        }
        points.push_back((now, done));
        while points.get(1).is_some_and(|(at, _)| now.duration_since(*at) >= WINDOW) {
            points.pop_front();
        }
    }

    /// What is done in a second, 0 as long as nothing is known.
    pub(crate) fn rate(&self) -> f64 {
        let (Some(first), Some(last)) = (self.points.front(), self.points.back()) else {
            return 0.0;
        };
        let seconds = last.0.duration_since(first.0).as_secs_f64();
        let done = last.1.saturating_sub(first.1) as f64;
        if seconds > 0.0 { done / seconds } else { 0.0 }
    }

    /// The time that the rest takes at this rate; none while nothing moves.
    pub(crate) fn left(&self, rest: u64) -> Option<Duration> {
        if rest == 0 {
            return Some(Duration::ZERO);
        }
        let rate = self.rate();
        (rate > 0.0).then(|| Duration::try_from_secs_f64(rest as f64 / rate).ok()).flatten()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_that_of_the_last_seconds_and_follows_what_changes() {
        let start = Instant::now();
        let at = |tenths: u64| start + Duration::from_millis(100 * tenths);
        let mut recent = Recent::starting(start);
        assert_eq!(
            (recent.rate(), recent.left(5), recent.left(0)),
            (0.0, None, Some(Duration::ZERO))
        );
        // A minute at 10 a second, and then one at 1,000.
        for tenths in 1..=600 {
            recent.learn(at(tenths), tenths);
        }
        assert!((recent.rate() - 10.0).abs() < 0.2, "{}", recent.rate());
        for tenths in 601..=1200 {
            recent.learn(at(tenths), 600 + (tenths - 600) * 100);
        }
        assert!((recent.rate() - 1000.0).abs() < 1.0, "{}", recent.rate());
        let left = recent.left(5000).unwrap().as_secs_f64();
        assert!((left - 5.0).abs() < 0.1, "{left}");
        // Since the start it was 505 a second. Whatever stands still has no end.
        for tenths in 1201..=1310 {
            recent.learn(at(tenths), 60_600);
        }
        assert_eq!((recent.rate(), recent.left(5)), (0.0, None));
    }

    #[test]
    fn points_are_few_however_often_it_learns() {
        let start = Instant::now();
        let mut recent = Recent::starting(start);
        for micros in 0..300_000 {
            recent.learn(start + Duration::from_micros(100 * micros), micros);
        }
        assert!(recent.points.len() <= 103, "{}", recent.points.len());
        assert!((recent.rate() - 10_000.0).abs() < 100.0, "{}", recent.rate());
    }
}
