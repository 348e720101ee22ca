//! What a row found, and the table of all rows.

use std::time::{Duration, Instant};

/// Failures that are told in full; of the others only the number.
const TOLD: usize = 10;
/// Between two lines about how far a row is.
const TELL_EVERY: Duration = Duration::from_secs(20);

/// What one row found.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    /// Rounds that ran.
    pub(crate) rounds: u64,
    /// Rounds after which something that was promised was gone.
    pub(crate) lost: u64,
    /// Rounds after which damage was named.
    pub(crate) damaged: u64,
    /// What must not be, one line each.
    pub(crate) failures: Vec<String>,
    /// Why the row did not run.
    pub(crate) skipped: Option<String>,
    /// What else is worth knowing.
    pub(crate) notes: Vec<String>,
    /// When it was last told how many rounds ran.
    told: Option<Instant>,
}

impl Outcome {
    pub(crate) fn skipped(reason: impl Into<String>) -> Self {
        Self { skipped: Some(reason.into()), ..Self::default() }
    }

    /// Begins a round, and tells now and then how many there were: a run that is interrupted has told
    /// what it did.
    pub(crate) fn round(&mut self) {
        self.rounds += 1;
        let told = self.told.get_or_insert_with(Instant::now);
        if told.elapsed() > TELL_EVERY {
            *told = Instant::now();
            let Self { rounds, lost, damaged, .. } = self;
            println!("   round {rounds}, {lost} lost, {damaged} damaged, {}", self.failures.len());
        }
    }

    /// Notes a failure of a round and tells it at once.
    pub(crate) fn fail(&mut self, failure: String) {
        if self.failures.len() < TOLD {
            eprintln!("  FAILED: {failure}");
        }
        self.failures.push(failure);
    }

    pub(crate) fn note(&mut self, note: String) {
        self.notes.push(note);
    }

    /// Takes in what another part of the same row found.
    pub(crate) fn add(&mut self, other: Self) {
        self.rounds += other.rounds;
        self.lost += other.lost;
        self.damaged += other.damaged;
        self.failures.extend(other.failures);
        self.notes.extend(other.notes);
        self.notes.extend(other.skipped.map(|reason| format!("SKIPPED in part: {reason}")));
    }
}

/// A row with its name and how long it took.
#[derive(Debug)]
pub(crate) struct Row {
    pub(crate) name: &'static str,
    pub(crate) outcome: Outcome,
    pub(crate) took: Duration,
}

impl Row {
    pub(crate) fn passed(&self) -> bool {
        self.outcome.failures.is_empty()
    }

    fn verdict(&self) -> String {
        match &self.outcome.skipped {
            Some(reason) => format!("SKIPPED: {reason}"),
            None if self.passed() => "PASSED".to_owned(),
            None => format!("FAILED: {} failures", self.outcome.failures.len()),
        }
    }
}

/// Prints the table.
pub(crate) fn print(rows: &[Row]) {
    println!(
        "\n{:<12} {:>7} {:>6} {:>8} {:>8}  verdict",
        "row", "rounds", "lost", "damaged", "seconds"
    );
    for row in rows {
        let Outcome { rounds, lost, damaged, .. } = row.outcome;
        let seconds = row.took.as_secs_f64();
        let verdict = row.verdict();
        println!("{:<12} {rounds:>7} {lost:>6} {damaged:>8} {seconds:>8.1}  {verdict}", row.name);
    }
    for row in rows {
        for note in &row.outcome.notes {
            println!("{}: {note}", row.name);
        }
    }
}
