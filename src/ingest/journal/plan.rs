//! What a source still needs, by what earlier runs noted of it.

use std::collections::BTreeSet;
use std::ops::ControlFlow;

use super::{
    Form, Journal, Origin, Plan, REJECTS, Reading, RejectNote, SOURCES, SourceNote, parse,
};
use crate::db::Readable as _;
use crate::ingest::IngestError;
use crate::ingest::foreign::WRONG_SCHEMA;

impl Journal<'_> {
    pub(super) fn look_up(&self, origin: &Origin) -> Result<Plan, IngestError> {
        let rejected = self.db.note(&[REJECTS, &origin.key].concat())?;
        let rejected = rejected.map(|note| parse(&origin.key, &note)).transpose()?;
        let note = self.db.note(&[SOURCES, &origin.key].concat())?;
        let note = note.map(|note| parse(&origin.key, &note)).transpose()?;
        let plan = self.weigh(origin, note.as_ref(), rejected.as_ref())?;
        if plan == Plan::Skip {
            return Ok(plan);
        }
        if rejected.is_some() {
            self.retried.lock().insert(origin.key.clone());
        }
        if let (Some(note), Form::Shard(_)) = (note, &origin.form) {
            self.readings.lock().insert(origin.key.clone(), self.reading(&plan, &note));
        }
        Ok(plan)
    }

    /// What the marks of a shard that was read before do not tell.
    fn reading(&self, plan: &Plan, note: &SourceNote) -> Reading {
        match plan {
            Plan::From(0) => Reading { since: Some(self.db.snapshot().next_id()), begins: true },
            Plan::Only(entries) => {
                self.asked.lock().extend(entries.iter().cloned());
                Reading { since: note.since, begins: false }
            }
            _ => Reading { since: note.since, begins: false },
        }
    }

    fn weigh(
        &self,
        origin: &Origin,
        note: Option<&SourceNote>,
        rejected: Option<&RejectNote>,
    ) -> Result<Plan, IngestError> {
        let Some(note) = note.filter(|_| !self.redo.all) else { return Ok(Plan::From(0)) };
        let same = (note.bytes, note.modified) == (origin.bytes, origin.modified);
        let same_values = note.how.as_deref() == origin.form.how();
        let same_choice = note.choice == self.choice;
        if !note.finished {
            let goes_on = same && same_values && same_choice;
            return Ok(Plan::From(if goes_on { note.passed } else { 0 }));
        }
        if self.redo.rejects && rejected.is_some() {
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
            // Its note will name this choice, so its record has to have it; and of a reject there is none.
            let as_chosen = same_choice && same_values && rejected.is_none();
            let hash = note.hash().filter(|_| as_chosen);
            return Ok(hash.map_or(Plan::From(0), Plan::Unless));
        }
        let as_chosen = same_choice && same_values;
        let entries =
            if self.redo.rejects { self.rejects_below(&origin.key)? } else { BTreeSet::new() };
        if entries.is_empty() {
            self.count_skipped(as_chosen || rejected.is_some());
            return Ok(Plan::Skip);
        }
        // Of another shard than it was, some entries are not enough.
        Ok(if same && as_chosen { Plan::Only(entries) } else { Plan::From(0) })
    }

    /// Keys of the entries of a shard that were rejected.
    fn rejects_below(&self, key: &[u8]) -> Result<BTreeSet<Vec<u8>>, IngestError> {
        let mut entries = BTreeSet::new();
        self.db.for_each_note(&[REJECTS, key, b"/"].concat(), |name, _| {
            entries.insert(name[REJECTS.len()..].to_vec());
            Ok(ControlFlow::Continue(()))
        })?;
        Ok(entries)
    }
}
