//! Progress on standard error: a bar for a terminal, lines for a log, JSON for a program.

use std::io::{self, IsTerminal as _, Write as _};
use std::time::{Duration, Instant};

use clap::ValueEnum;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde::Serialize;

use crate::text;

/// Time between two lines of plain progress.
const PLAIN_INTERVAL: Duration = Duration::from_secs(5);
/// Time between two lines of progress in JSON.
const JSON_INTERVAL: Duration = Duration::from_secs(1);
/// Steps of a bar.
const BAR_STEPS: u64 = 1000;

/// How progress is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Mode {
    /// A bar, for a terminal
    Bar,
    /// A line now and then, for a log
    Plain,
    /// A JSON object a line, for a program
    Json,
    /// Nothing
    None,
}

/// A state of a long job.
pub(crate) trait State: Serialize {
    /// What is happening, on one line.
    fn line(&self) -> String;
    /// The share of the job that is done, 0 to 1, where it is known.
    fn fraction(&self) -> Option<f64>;
}

/// Shows the states of one job.
#[derive(Debug)]
pub(crate) struct Meter {
    mode: Mode,
    bar: Option<ProgressBar>,
    shown: Option<Instant>,
}

impl Meter {
    /// Shows as the user asked, or as suits standard error.
    pub(crate) fn new(mode: Option<Mode>) -> Self {
        let suitable = || if io::stderr().is_terminal() { Mode::Bar } else { Mode::Plain };
        let mode = mode.unwrap_or_else(suitable);
        let bar = (mode == Mode::Bar).then(|| {
            let bar = ProgressBar::with_draw_target(Some(BAR_STEPS), ProgressDrawTarget::stderr());
            if let Ok(style) = ProgressStyle::with_template("[{bar:30}] {msg}") {
                bar.set_style(style.progress_chars("=> "));
            }
            bar
        });
        Self { mode, bar, shown: None }
    }

    /// Shows a state, unless the last one was shown a moment ago.
    pub(crate) fn show(&mut self, state: &impl State) {
        let interval = match self.mode {
            Mode::None => return,
            Mode::Bar => Duration::ZERO,
            Mode::Plain => PLAIN_INTERVAL,
            Mode::Json => JSON_INTERVAL,
        };
        // A job's first moment has nothing to tell.
        let last = *self.shown.get_or_insert_with(Instant::now);
        if last.elapsed() >= interval {
            self.shown = Some(Instant::now());
            self.draw(state);
        }
    }

    /// Shows the last state and leaves the line to others.
    pub(crate) fn finish(&mut self, state: &impl State) {
        self.draw(state);
        if let Some(bar) = &self.bar {
            bar.abandon();
            // The bar leaves the cursor behind it.
            let _not_shown = writeln!(io::stderr());
        }
    }

    /// Writes a line that stays, above a bar.
    pub(crate) fn note(&self, line: &str) {
        match &self.bar {
            Some(bar) => bar.suspend(|| crate::output::note(line)),
            None => crate::output::note(line),
        }
    }

    fn draw(&self, state: &impl State) {
        let mut stderr = io::stderr().lock();
        // Progress that cannot be shown must not stop the job.
        let _not_shown = match (self.mode, &self.bar) {
            (Mode::None, _) => Ok(()),
            (_, Some(bar)) => {
                drop(stderr);
                bar.set_position(steps(state.fraction()));
                bar.set_message(text::one_line(&state.line()));
                Ok(())
            }
            (Mode::Json, None) => serde_json::to_string(state)
                .map_err(io::Error::other)
                .and_then(|line| writeln!(stderr, "{line}")),
            (_, None) => writeln!(stderr, "{}", text::one_line(&state.line())),
        };
    }
}

/// A fraction as the position of a bar.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 to BAR_STEPS")]
fn steps(fraction: Option<f64>) -> u64 {
    (fraction.unwrap_or(0.0).clamp(0.0, 1.0) * BAR_STEPS as f64) as u64
}
