//! Progress on standard error: bars for a terminal, lines for a log, JSON for a program.

use std::io::{self, IsTerminal as _, Write as _};
use std::time::{Duration, Instant};

use clap::ValueEnum;
use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
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
    /// Bars on a terminal, lines elsewhere
    Auto,
    /// A bar for each stage, for a terminal
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
    /// Stages that run side by side, each with a bar of its own; always as many. None: one bar for all.
    fn stages(&self) -> Vec<Stage> {
        Vec::new()
    }
}

/// One stage of a job.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Stage {
    /// What it is called, in front of its bar.
    pub(crate) name: &'static str,
    /// The share of it that is done, 0 to 1, where it is known.
    pub(crate) fraction: Option<f64>,
    /// What is to be said of it.
    pub(crate) text: String,
}

/// Shows the states of one job.
#[derive(Debug)]
pub(crate) struct Meter {
    mode: Mode,
    bars: Option<Bars>,
    shown: Option<Instant>,
}

/// The bars of a terminal, one below the other.
#[derive(Debug)]
struct Bars {
    group: MultiProgress,
    bars: Vec<ProgressBar>,
}

impl Bars {
    fn new() -> Self {
        let group = MultiProgress::with_draw_target(ProgressDrawTarget::stderr());
        Self { group, bars: Vec::new() }
    }

    fn show(&mut self, stages: Vec<Stage>) {
        for (number, Stage { name, fraction, text }) in stages.into_iter().enumerate() {
            if self.bars.len() <= number {
                self.bars.push(self.group.add(bar(name)));
            }
            if let Some(bar) = self.bars.get(number) {
                bar.set_position(steps(fraction));
                bar.set_message(text::one_line(&text));
            }
        }
    }
}

fn bar(name: &'static str) -> ProgressBar {
    let bar = ProgressBar::new(BAR_STEPS);
    let template = if name.is_empty() { "[{bar:30}] {msg}" } else { "{prefix:6} [{bar:24}] {msg}" };
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style.progress_chars("=> "));
    }
    bar.set_prefix(name);
    bar
}

impl Meter {
    /// Shows as the user asked, or as suits standard error.
    pub(crate) fn new(mode: Option<Mode>) -> Self {
        let mode = match mode.unwrap_or(Mode::Auto) {
            Mode::Auto if io::stderr().is_terminal() => Mode::Bar,
            Mode::Auto => Mode::Plain,
            mode => mode,
        };
        let bars = (mode == Mode::Bar).then(Bars::new);
        Self { mode, bars, shown: None }
    }

    /// Shows a state, unless the last one was shown a moment ago.
    pub(crate) fn show(&mut self, state: &impl State) {
        let interval = match self.mode {
            Mode::None => return,
            Mode::Bar => Duration::ZERO,
            Mode::Auto | Mode::Plain => PLAIN_INTERVAL,
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
        self.leave();
    }

    /// Leaves the line to others.
    pub(crate) fn leave(&self) {
        if let Some(bars) = &self.bars {
            bars.bars.iter().for_each(ProgressBar::abandon);
            // The last bar leaves the cursor behind it.
            let _not_shown = writeln!(io::stderr());
        }
    }

    /// Writes a line that stays, above a bar.
    pub(crate) fn note(&self, line: &str) {
        match &self.bars {
            Some(bars) => bars.group.suspend(|| crate::output::note(line)),
            None => crate::output::note(line),
        }
    }

    fn draw(&mut self, state: &impl State) {
        let line = match self.mode {
            Mode::None => return,
            Mode::Json => serde_json::to_string(state).unwrap_or_default(),
            Mode::Auto | Mode::Bar | Mode::Plain => text::one_line(&state.line()),
        };
        let Some(bars) = &mut self.bars else {
            // Progress that cannot be shown must not stop the job.
            let _not_shown = writeln!(io::stderr().lock(), "{line}");
            return;
        };
        let mut stages = state.stages();
        if stages.is_empty() {
            stages.push(Stage { name: "", fraction: state.fraction(), text: line });
        }
        bars.show(stages);
    }
}

/// A fraction as the position of a bar.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 to BAR_STEPS")]
fn steps(fraction: Option<f64>) -> u64 {
    (fraction.unwrap_or(0.0).clamp(0.0, 1.0) * BAR_STEPS as f64) as u64
}
