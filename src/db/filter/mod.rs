//! Filters: a search restricted to some of the records.
//!
//! A set of ids and a key prefix become a [`Selection`]: the ids, and for each segment the rows
//! that have them, found once and kept in the filter, so that a query after the first one pays
//! only for the rows that are selected. A predicate on values is asked of records that would
//! otherwise enter the answer, until it pays to ask it of all ([`values`]).

mod selection;
mod values;

use std::cell::RefCell;
use std::fmt;
use std::ops::ControlFlow;
use std::sync::{Arc, Weak};

use parking_lot::Mutex;

use crate::db::record::{KeyEntry, Location};
use crate::db::segment::Segment;
use crate::db::view::View;
use crate::error::Result;
use crate::storage::records::Family;
use selection::Selection;
use values::{Asking, ValueRule};

/// Which records a search may answer with. Clones share what was worked out, so keep a filter for
/// as long as queries use it; for a key prefix, query one [`Snapshot`](crate::Snapshot), since a
/// prefix is looked up anew for every new state of the database.
#[derive(Clone)]
pub struct Filter {
    rule: Arc<Rule>,
}

enum Rule {
    Ids(Arc<Selection>),
    KeyPrefix { prefix: Vec<u8>, found: Mutex<Option<(Weak<View>, Arc<Selection>)>> },
    Values(ValueRule),
}

impl fmt::Debug for Filter {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.rule.as_ref() {
            Rule::Ids(selection) => write!(formatter, "Filter::ids({})", selection.len()),
            Rule::KeyPrefix { prefix, .. } => {
                write!(formatter, "Filter::key_prefix({})", prefix.escape_ascii())
            }
            Rule::Values(_) => formatter.write_str("Filter::values(..)"),
        }
    }
}

impl Filter {
    /// The records with these ids; ids that no record has admit nothing.
    #[must_use]
    pub fn ids(ids: impl IntoIterator<Item = u64>) -> Self {
        let selection = Selection::of_ids(ids.into_iter().collect());
        Self { rule: Arc::new(Rule::Ids(Arc::new(selection))) }
    }

    /// The records whose key begins with these bytes; all of them for no bytes. Cost: one scan of
    /// the keys that begin so and, unless they are few, of the ids of all segments, once for each
    /// state that is queried.
    #[must_use]
    pub fn key_prefix(prefix: impl Into<Vec<u8>>) -> Self {
        let found = Mutex::default();
        Self { rule: Arc::new(Rule::KeyPrefix { prefix: prefix.into(), found }) }
    }

    /// The records whose value the predicate accepts (an absent value is empty); it must always say
    /// the same of the same value. It is asked of records that would enter the answer otherwise,
    /// one look-up each, and the filter remembers what it said: a few bits a record, for each open
    /// database. When the look-ups have cost as much as reading all values, all are read in order,
    /// within one query, and later queries cost what they do with [`Filter::ids`]. So use one
    /// filter for many queries.
    #[must_use]
    pub fn values(predicate: impl Fn(&[u8]) -> bool + Send + Sync + 'static) -> Self {
        Self { rule: Arc::new(Rule::Values(ValueRule::new(Box::new(predicate)))) }
    }

    /// What the filter means in a view.
    pub(crate) fn resolve(&self, view: &Arc<View>) -> Result<Admission<'_>> {
        match self.rule.as_ref() {
            Rule::Ids(selection) => Ok(Admission::Selected(Arc::clone(selection))),
            Rule::Values(rule) => rule.ask(view).map(Admission::Values),
            Rule::KeyPrefix { prefix, found } => {
                // Held while keys are read: other threads with this filter would read the same.
                let mut found = found.lock();
                if let Some((of, selection)) = found.as_ref()
                    && of.as_ptr() == Arc::as_ptr(view)
                {
                    return Ok(Admission::Selected(Arc::clone(selection)));
                }
                let selection = Selection::of_locations(locations_with_prefix(view, prefix)?);
                let selection = Arc::new(selection);
                *found = Some((Arc::downgrade(view), Arc::clone(&selection)));
                Ok(Admission::Selected(selection))
            }
        }
    }
}

/// Where the records lie whose keys begin with `prefix`.
fn locations_with_prefix(view: &View, prefix: &[u8]) -> Result<Vec<Location>> {
    let mut locations = Vec::new();
    view.records.scan(Family::Keys, prefix, |key, entry| {
        if !key.starts_with(prefix) {
            return Ok(ControlFlow::Break(()));
        }
        let entry = KeyEntry::decode(entry).map_err(|what| view.records.damage(&what))?;
        locations.push(entry.location);
        Ok(ControlFlow::Continue(()))
    })?;
    Ok(locations)
}

/// A filter in one view.
pub(crate) enum Admission<'a> {
    /// There is no filter.
    All,
    Selected(Arc<Selection>),
    Values(Asking<'a>),
}

impl Admission<'_> {
    /// Hands `search` a test of ids for life and admission. A test that fails ends as an error
    /// here, since a search cannot return one.
    pub(crate) fn guard(
        &self,
        view: &View,
        search: impl FnOnce(&dyn Fn(u64) -> bool),
    ) -> Result<()> {
        match self {
            Self::All => search(&|id| view.is_live(id)),
            Self::Selected(selection) => {
                search(&|id| selection.contains(id) && view.is_live(id));
            }
            Self::Values(_) => {
                let failure = RefCell::new(None);
                search(&|id| {
                    view.is_live(id)
                        && failure.borrow().is_none()
                        && self.admits(view, id).unwrap_or_else(|error| {
                            failure.replace(Some(error));
                            false
                        })
                });
                return failure.into_inner().map_or(Ok(()), Err);
            }
        }
        Ok(())
    }

    /// Whether the filter admits the record with this id, which lives.
    pub(crate) fn admits(&self, view: &View, id: u64) -> Result<bool> {
        match self {
            Self::All => Ok(true),
            Self::Selected(selection) => Ok(selection.contains(id)),
            Self::Values(asking) => asking.admits(view, id),
        }
    }

    /// The rows of a segment that the filter admits, ascending, deleted ones included; `None` if
    /// there is no filter, one that has to be asked of each record, or one that likely admits far
    /// more than `most`.
    pub(crate) fn rows(
        &self,
        view: &View,
        segment: &Arc<Segment>,
        most: usize,
    ) -> Result<Option<Arc<Vec<u32>>>> {
        match self {
            Self::All => Ok(None),
            Self::Selected(selection) => selection.rows(segment, most),
            Self::Values(asking) => asking.rows(view, segment, most),
        }
    }
}
