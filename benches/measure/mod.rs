//! What the benches share: a race against a named baseline, and random bytes from a seed.
//!
//! A race measures with criterion and keeps the fastest sample of each runner, so that the ratio to
//! the baseline comes from one run on one machine.

mod random;

pub(crate) use random::Random;

use std::time::{Duration, Instant};

use criterion::Criterion;

/// Runners over the same work; the first is the baseline.
pub(crate) struct Race {
    name: String,
    baseline: Option<(String, Duration)>,
}

impl Race {
    /// Names the work.
    pub(crate) fn new(name: impl Into<String>) -> Self {
        Self { name: name.into(), baseline: None }
    }

    /// Measures one runner, which did the right thing before, and prints its time and its speed against the baseline.
    #[expect(clippy::print_stdout, reason = "ratios are what a bench is run for")]
    pub(crate) fn run(&mut self, criterion: &mut Criterion, runner: &str, mut work: impl FnMut()) {
        let mut best = Duration::MAX;
        let mut group = criterion.benchmark_group(&self.name);
        group.sample_size(10).warm_up_time(Duration::from_millis(200));
        group.measurement_time(Duration::from_millis(800)).bench_function(runner, |bencher| {
            bencher.iter_custom(|iterations| {
                let start = Instant::now();
                for _ in 0..iterations {
                    work();
                }
                let elapsed = start.elapsed();
                best = best.min(elapsed.div_f64(iterations as f64));
                elapsed
            });
        });
        group.finish();
        if best == Duration::MAX {
            return; // filtered out on the command line
        }
        let (name, time) = self.baseline.get_or_insert_with(|| (runner.to_owned(), best));
        let ratio = time.as_secs_f64() / best.as_secs_f64();
        println!("RATIO {}: {runner} {best:.1?}, {ratio:.2} times {name}", self.name);
    }
}
