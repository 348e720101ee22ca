//! What a source still needs, by what earlier runs noted of it.

use std::collections::BTreeSet;
use std::ops::ControlFlow;

use super::rounds::is_same;
use super::{
    Form, Journal, Origin, Plan, REJECTS, Reading, RejectNote, SOURCES, SourceNote, Touched, parse,
};
use crate::db::Readable as _;
use crate::ingest::IngestError;
use crate::ingest::foreign::WRONG_SCHEMA;
use crate::ingest::source::is_of_walk;

impl Journal<'_> {
    pub(super) fn look_up(&self, origin: &Origin) -> Result<Plan, IngestError> {
        let key = &origin.key;
        let noted = |prefix: &[u8]| self.db.note(&[prefix, key].concat());
        let (note, rejected) = (noted(SOURCES)?, noted(REJECTS)?);
        if self.redo.all && !note.as_ref().is_some_and(|note| self.is_of_round(origin, note)) {
            // Whatever they say, and whether they can be read.
            if rejected.is_some() {
                self.retried.lock().insert(key.clone());
            }
            return self.begin(origin, note.is_some());
        }
        let note: Option<SourceNote> = note.map(|note| parse(key, &note)).transpose()?;
        let rejected: Option<RejectNote> = rejected.map(|note| parse(key, &note)).transpose()?;
        let Some(note) = note else {
            if rejected.is_some() {
                self.retried.lock().insert(key.clone());
            }
            return self.begin(origin, false);
        };
        // What was read once and could not be looked at for a while can be again.
        let is_over = |reject: &RejectNote| {
            is_of_walk(&reject.kind) && (note.is_shard() || note.hash.is_some())
        };
        let (over, rejected) = match rejected {
            Some(reject) if is_over(&reject) => (true, None),
            rejected => (false, rejected),
        };
        if over {
            self.asked.lock().insert(key.clone());
        }
        let plan = self.weigh(origin, &note, rejected.as_ref())?;
        if rejected.is_some() && plan != Plan::Skip {
            self.retried.lock().insert(key.clone());
        }
        match &plan {
            Plan::From(0) => return self.begin(origin, true),
            Plan::Only { entries, .. } => self.asked.lock().extend(entries.iter().cloned()),
            _ => {}
        }
        if matches!(origin.form, Form::Shard(_)) && plan != Plan::Skip {
            let reading = Reading { since: note.since, round: note.round, begins: false };
            self.readings.lock().insert(key.clone(), reading);
        }
        Ok(plan)
    }

    /// Begins to read a source. Of a shard that was read before, or that stands where a folder of sources was, something
    /// may be left over.
    fn begin(&self, origin: &Origin, known: bool) -> Result<Plan, IngestError> {
        let is_shard = matches!(origin.form, Form::Shard(_));
        if is_shard && (known || self.has_sources_below(&origin.key)?) {
            let since = Some(self.db.snapshot().new_from());
            let reading = Reading { since, round: self.round(), begins: true };
            self.readings.lock().insert(origin.key.clone(), reading);
        }
        Ok(Plan::From(0))
    }

    fn has_sources_below(&self, key: &[u8]) -> Result<bool, IngestError> {
        let mut found = false;
        self.db.for_each_note(&[SOURCES, key, b"/"].concat(), |_, _| {
            found = true;
            Ok(ControlFlow::Break(()))
        })?;
        Ok(found)
    }

    /// Whether rejects are tried again. Of a round that was stopped they are: its cause may have been theirs.
    fn retries(&self) -> bool {
        self.redo.rejects || self.redo.all
    }

    /// Whether a source was read as this run would read it.
    pub(super) fn is_as_chosen(&self, origin: &Origin, note: &SourceNote) -> bool {
        note.how.as_deref() == origin.form.how() && note.choice == self.choice
    }

    fn weigh(
        &self,
        origin: &Origin,
        note: &SourceNote,
        rejected: Option<&RejectNote>,
    ) -> Result<Plan, IngestError> {
        let same = is_same(origin, note);
        let same_values = note.how.as_deref() == origin.form.how();
        let as_chosen = self.is_as_chosen(origin, note);
        if !note.finished {
            return match same && as_chosen {
                true => self.read_on(origin, note.passed),
                false => Ok(Plan::From(0)),
            };
        }
        if self.retries() && rejected.is_some() {
            return Ok(Plan::From(0));
        }
        // Its schema is wrong for columns that nobody asks for any more.
        if !same_values && rejected.is_some_and(|reject| reject.kind == WRONG_SCHEMA) {
            return Ok(Plan::From(0));
        }
        // Siblings beside a file change as it may itself. Without siblings in this run there is nothing to see.
        if !same_values && self.redo.changed && matches!(origin.form, Form::Beside(_)) {
            return Ok(Plan::From(0));
        }
        if !same && self.redo.changed {
            // Of a reject there is no record that could stay.
            let Some(hash) = note.hash().filter(|_| rejected.is_none()) else {
                return Ok(Plan::From(0));
            };
            if !as_chosen {
                let (how, choice) = (note.how.clone(), note.choice.clone());
                let touched = Touched { hash, how, choice };
                self.touched.lock().insert(origin.key.clone(), touched);
            }
            return Ok(Plan::Unless(hash));
        }
        let entries =
            if self.retries() { self.rejects_below(&origin.key)? } else { BTreeSet::new() };
        if entries.is_empty() {
            self.count_kept(as_chosen || rejected.is_some());
            return Ok(Plan::Skip);
        }
        // Of another shard than it was, some entries are not enough.
        Ok(if same && as_chosen { Plan::of_rejects(entries) } else { Plan::From(0) })
    }

    /// Reads on where a shard was left, and before it what was rejected, if that is tried again.
    fn read_on(&self, origin: &Origin, passed: u64) -> Result<Plan, IngestError> {
        if self.retries() && matches!(origin.form, Form::Shard(_)) {
            let entries = self.rejects_below(&origin.key)?;
            if !entries.is_empty() {
                return Ok(Plan::Only { entries, rest: passed });
            }
        }
        Ok(Plan::From(passed))
    }

    /// Keys of the entries of a shard that were rejected.
    pub(super) fn rejects_below(&self, key: &[u8]) -> Result<BTreeSet<Vec<u8>>, IngestError> {
        let mut entries = BTreeSet::new();
        self.db.for_each_note(&[REJECTS, key, b"/"].concat(), |name, _| {
            entries.insert(name[REJECTS.len()..].to_vec());
            Ok(ControlFlow::Continue(()))
        })?;
        Ok(entries)
    }
}
