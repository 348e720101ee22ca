//! How a query is answered, source by source: which plans were weighed, at what cost, which one was
//! taken and how long it took.

use std::fmt;
use std::time::{Duration, Instant};

use crate::db::answer::{Answer, Plan};
use crate::db::patches::PatchAnswer;

/// What [`Readable::explain`](crate::Readable::explain) tells of a query, which it has answered to
/// find out. `Display` shows it as a table.
#[derive(Debug, Clone, PartialEq)]
pub struct Explanation {
    /// The answer, as [`Readable::search`](crate::Readable::search) gives it.
    pub answer: Answer,
    /// The runs of the memtable, then the segments.
    pub sources: Vec<ExplainedSource>,
}

/// What [`Readable::explain_patches`](crate::Readable::explain_patches) tells of a query over patch addresses, which it
/// has answered to find out. `Display` shows it as a table.
#[derive(Debug, Clone, PartialEq)]
pub struct PatchExplanation {
    /// The answer, as [`Readable::search_patches`](crate::Readable::search_patches) gives it.
    pub answer: PatchAnswer,
    /// The runs of the memtable, then the segments. Nothing is weighed, since there is one way: the time is that of
    /// the scores and, where the ranking was joined with that by codes, of the distances.
    pub sources: Vec<ExplainedSource>,
}

/// How one source was searched.
#[derive(Debug, Clone, PartialEq)]
pub struct ExplainedSource {
    /// The number of the segment, `None` for a run of the memtable.
    pub segment: Option<u64>,
    /// Its rows, deleted ones included.
    pub rows: usize,
    /// The plans that were weighed and their expected costs in nanoseconds. A plan that could not
    /// have been cheaper was not weighed.
    pub considered: Vec<(Plan, f64)>,
    /// The plan that was taken.
    pub chosen: Plan,
    /// How long it took, weighing included.
    pub took: Duration,
}

impl fmt::Display for Explanation {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        show(&self.sources, formatter)
    }
}

impl fmt::Display for PatchExplanation {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        show(&self.sources, formatter)
    }
}

/// Writes a line for each source.
fn show(sources: &[ExplainedSource], formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
    let [name, rows, plan, took] = ["source", "rows", "plan", "took"];
    writeln!(formatter, "{name:<14} {rows:>10}  {plan:<13} {took:>10}  weighed")?;
    for source in sources {
        let name =
            source.segment.map_or("memtable".to_owned(), |number| format!("segment {number}"));
        let took = format!("{:.1?}", source.took);
        let weighed = source.considered.iter();
        let weighed = weighed.map(|(plan, cost)| format!("{plan} {:.1} us", cost / 1000.0));
        let weighed = weighed.collect::<Vec<_>>().join(", ");
        let (rows, chosen) = (source.rows, source.chosen);
        writeln!(formatter, "{name:<14} {rows:>10}  {chosen:<13} {took:>10}  {weighed}")?;
    }
    Ok(())
}

/// Notes what a search does; off unless somebody asked.
#[derive(Debug, Default)]
pub(crate) struct Trace {
    on: bool,
    sources: Vec<ExplainedSource>,
    /// The source that is looked at.
    current: usize,
    begun: Option<Instant>,
}

impl Trace {
    /// Notes nothing.
    pub(crate) fn off() -> Self {
        Self::default()
    }

    /// Notes what one query does.
    pub(crate) fn on() -> Self {
        Self { on: true, ..Self::default() }
    }

    /// A source is looked at.
    pub(crate) fn begin(&mut self, segment: Option<u64>, rows: usize) {
        if self.on {
            let (considered, took) = (Vec::new(), Duration::ZERO);
            let chosen = Plan::Scan;
            self.current = self.sources.len();
            self.sources.push(ExplainedSource { segment, rows, considered, chosen, took });
            self.begun = Some(Instant::now());
        }
    }

    /// A source is looked at once more, which adds to its time.
    pub(crate) fn resume(&mut self, source: usize) {
        if self.on {
            self.current = source;
            self.begun = Some(Instant::now());
        }
    }

    /// A plan is weighed for it.
    pub(crate) fn consider(&mut self, plan: Plan, cost: f64) {
        if let Some(source) = self.sources.get_mut(self.current) {
            source.considered.push((plan, cost));
        }
    }

    /// The source was searched.
    pub(crate) fn end(&mut self, chosen: Plan) {
        if let Some(source) = self.sources.get_mut(self.current) {
            source.chosen = chosen;
            source.took += self.begun.map_or(Duration::ZERO, |begun| begun.elapsed());
        }
    }

    /// What was noted of the query that has this answer.
    pub(crate) fn explain(self, answer: Answer) -> Explanation {
        Explanation { answer, sources: self.sources }
    }

    /// The same of a query over patch addresses.
    pub(crate) fn explain_patches(self, answer: PatchAnswer) -> PatchExplanation {
        PatchExplanation { answer, sources: self.sources }
    }
}
