//! Group commit: writers queue their batches, whoever gets the commit lock writes all that is
//! queued as one atomic batch with one sync, and the others find their answer waiting.

use std::collections::HashMap;
use std::sync::Arc;

use crate::db::batch::{Operation, WriteBatch};
use crate::db::columns::Columns;
use crate::db::engine::{CommitState, Engine};
use crate::db::options::WriteOptions;
use crate::db::record::{KeyEntry, Location, encode_id, encode_pending, encode_record};
use crate::db::ticket::{Ticket, Written};
use crate::error::{Corruption, Error, Result};
use crate::storage::failpoint;
use crate::storage::manifest::{SCHEMA_KEY, STATE_KEY, State};
use crate::storage::records::{Family, RecordsBatch};

/// What a group changes, gathered before anything is written.
struct Group<'a> {
    engine: &'a Engine,
    /// Where the keys of this group lie after the operations so far.
    keys: HashMap<Vec<u8>, Option<KeyEntry>>,
    changes: RecordsBatch,
    added: Columns,
    deleted: Vec<u64>,
    state: State,
    /// What the next record gets, which may lie behind ids that a load keeps.
    next_id: u64,
}

impl Engine {
    /// Applies the batch; returns when it is visible, and durable where that is asked for.
    pub(crate) fn write(&self, batch: WriteBatch, options: WriteOptions) -> Result<Written> {
        if self.read_only {
            return Err(Error::ReadOnly);
        }
        batch.validate(&self.schema)?;
        if batch.is_empty() {
            return Ok(Written::default());
        }
        let ticket = Arc::new(Ticket::new(batch, options.sync));
        self.queue.lock().push(Arc::clone(&ticket));
        let commit = self.lock_commit();
        if let Some(answer) = ticket.take_answer() {
            return answer;
        }
        let mut commit = match commit {
            Ok(commit) => commit,
            Err(error) => {
                self.queue.lock().retain(|queued| !Arc::ptr_eq(queued, &ticket));
                return Err(error);
            }
        };
        let group = std::mem::take(&mut *self.queue.lock());
        self.commit_group(&mut commit, &group);
        drop(commit);
        let answer = ticket.take_answer();
        // The ticket was in the queue, or another leader answered it above.
        answer.unwrap_or(Err(Error::Poisoned))
    }

    /// Commits the tickets and answers each of them.
    fn commit_group(&self, commit: &mut CommitState, tickets: &[Arc<Ticket>]) {
        let view = self.view();
        let mut group = Group {
            engine: self,
            keys: HashMap::new(),
            changes: RecordsBatch::default(),
            added: Columns::new(usize::from(self.schema.code_bits / 8)),
            deleted: Vec::new(),
            state: view.state,
            next_id: view.next_id(),
        };
        let mut accepted = Vec::with_capacity(tickets.len());
        for ticket in tickets {
            let batch = ticket.take_batch();
            // Only reading can fail, before anything of the batch is taken in: the others go on.
            match group.look_up(&batch) {
                Ok(()) => accepted.push((ticket, group.add(&batch))),
                Err(error) => ticket.answer(Err(error)),
            }
        }
        if accepted.is_empty() {
            return;
        }
        let sync = accepted.iter().any(|(ticket, _)| ticket.sync);
        let Group { mut changes, added, deleted, state, .. } = group;
        if !added.patches.is_empty() {
            changes.put(Family::Meta, SCHEMA_KEY, self.schema.encode_patched());
        }
        changes.put(Family::Meta, STATE_KEY, state.encode());
        failpoint::reach("commit.begin");
        if let Err(error) = self.records().write(changes, sync) {
            // It may have reached the log in part: only recovery can tell.
            commit.poisoned = true;
            return refuse(accepted.into_iter().map(|(ticket, _)| ticket), error);
        }
        failpoint::reach("commit.written");
        let mut next = view.with_state(state, view.kept.clone());
        next.memtable.append(added);
        next.deleted.insert(deleted);
        self.publish(commit, next);
        failpoint::reach("commit.published");
        for (ticket, written) in accepted {
            ticket.answer(Ok(written));
        }
    }
}

/// Answers the tickets of a group whose write failed; the first one learns the cause.
fn refuse<'a>(tickets: impl Iterator<Item = &'a Arc<Ticket>>, error: Error) {
    let mut cause = Some(error);
    for ticket in tickets {
        ticket.answer(Err(cause.take().unwrap_or(Error::Poisoned)));
    }
}

impl Group<'_> {
    /// Reads where the keys of a batch lie.
    fn look_up(&mut self, batch: &WriteBatch) -> Result<()> {
        let records = self.engine.records();
        for Operation::Put { key, .. } | Operation::Delete { key } in &batch.operations {
            if !self.keys.contains_key(key) {
                let entry = records.get(Family::Keys, key)?.map(|bytes| KeyEntry::decode(&bytes));
                let entry = entry.transpose().map_err(|what| records.damage(&what))?;
                let id = entry.map(|entry| entry.location.id);
                if let Some(value) = id.filter(|id| *id >= self.state.next_id) {
                    // Were an id deleted that is still to be given, its record would never be found.
                    let what = Corruption::OutOfRange { field: "id of a key", value };
                    return Err(records.damage(&what));
                }
                self.keys.insert(key.clone(), entry);
            }
        }
        Ok(())
    }

    /// Takes in a batch whose keys were looked up.
    fn add(&mut self, batch: &WriteBatch) -> Written {
        let mut written = Written::default();
        for operation in &batch.operations {
            match operation {
                Operation::Delete { key } => {
                    if let Some(entry) = self.find(key) {
                        self.remove(entry);
                        self.changes.delete(Family::Keys, key.as_slice());
                        self.keys.insert(key.clone(), None);
                        written.deleted += 1;
                    }
                }
                Operation::Put { key, address, code, value, patches } => {
                    match self.find(key) {
                        Some(entry) => {
                            self.remove(entry);
                            written.replaced += 1;
                        }
                        None => written.inserted += 1,
                    }
                    let location = Location { address: address.value(), id: self.next_id };
                    let entry = KeyEntry { location, has_value: !value.is_empty() };
                    self.next_id += 1;
                    self.state.next_id = self.next_id;
                    self.state.record_count += 1;
                    let patches = patches.iter().map(|patch| patch.value());
                    let record = encode_record(code, key, entry.has_value, patches.clone());
                    let id = encode_id(location.id);
                    self.changes.put(Family::Records, location.encode(), record);
                    self.changes.put(Family::Keys, key.as_slice(), entry.encode());
                    self.changes.put(
                        Family::Pending,
                        id.as_slice(),
                        encode_pending(*address, code, patches.clone()),
                    );
                    if entry.has_value {
                        self.changes.put(Family::Values, id, value.as_slice());
                    }
                    let code = code.as_bytes();
                    self.added.push_patched(location.id, location.address, code, patches);
                    self.keys.insert(key.clone(), Some(entry));
                }
            }
        }
        for note in &batch.notes {
            note.apply(&mut self.changes);
        }
        written
    }

    fn find(&self, key: &[u8]) -> Option<KeyEntry> {
        self.keys.get(key).copied().flatten()
    }

    /// Takes a record out; its key entry is the caller's affair.
    fn remove(&mut self, entry: KeyEntry) {
        let Location { id, .. } = entry.location;
        self.changes.delete(Family::Records, entry.location.encode());
        if entry.has_value {
            self.changes.delete(Family::Values, encode_id(id));
        }
        if id < self.state.sealed_bound {
            self.changes.put(Family::Tombstones, encode_id(id), Vec::new());
        } else {
            self.changes.delete(Family::Pending, encode_id(id));
        }
        self.deleted.push(id);
        self.state.record_count = self.state.record_count.saturating_sub(1);
    }
}
