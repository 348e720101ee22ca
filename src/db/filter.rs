//! Filters: a search restricted to some of the records.
//!
//! A set of ids and a key prefix become a [`Selection`]: the ids, and for each segment the rows
//! that have them, found once and kept in the filter, so that a query after the first one pays
//! only for the rows that are selected. A predicate on values is asked lazily, of records that
//! would otherwise enter the answer.

use std::cell::RefCell;
use std::fmt;
use std::ops::ControlFlow;
use std::sync::{Arc, Weak};

use parking_lot::Mutex;
use roaring::RoaringTreemap;

use crate::db::record::{KeyEntry, encode_id};
use crate::db::segment::Segment;
use crate::db::view::View;
use crate::error::Result;
use crate::storage::records::Family;

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
    Values(ValuePredicate),
}

type ValuePredicate = Box<dyn Fn(&[u8]) -> bool + Send + Sync>;

impl fmt::Debug for Filter {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.rule.as_ref() {
            Rule::Ids(selection) => write!(formatter, "Filter::ids({})", selection.ids.len()),
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
        let selection = Selection::new(ids.into_iter().collect());
        Self { rule: Arc::new(Rule::Ids(Arc::new(selection))) }
    }

    /// The records whose key begins with these bytes; all of them for no bytes. Cost: one scan of
    /// the keys that begin so and of the ids of all segments, once for each state that is queried.
    #[must_use]
    pub fn key_prefix(prefix: impl Into<Vec<u8>>) -> Self {
        let found = Mutex::default();
        Self { rule: Arc::new(Rule::KeyPrefix { prefix: prefix.into(), found }) }
    }

    /// The records whose value the predicate accepts (an absent value is empty). It is asked of
    /// records that would enter the answer otherwise, one look-up each: a predicate that accepts
    /// few makes a k-NN query ask many.
    #[must_use]
    pub fn values(predicate: impl Fn(&[u8]) -> bool + Send + Sync + 'static) -> Self {
        Self { rule: Arc::new(Rule::Values(Box::new(predicate))) }
    }

    /// What the filter means in a view.
    pub(crate) fn resolve(&self, view: &Arc<View>) -> Result<Admission<'_>> {
        match self.rule.as_ref() {
            Rule::Ids(selection) => Ok(Admission::Selected(Arc::clone(selection))),
            Rule::Values(predicate) => Ok(Admission::Values(predicate)),
            Rule::KeyPrefix { prefix, found } => {
                // Held while keys are read: other threads with this filter would read the same.
                let mut found = found.lock();
                if let Some((of, selection)) = found.as_ref()
                    && of.as_ptr() == Arc::as_ptr(view)
                {
                    return Ok(Admission::Selected(Arc::clone(selection)));
                }
                let selection = Arc::new(Selection::new(ids_with_prefix(view, prefix)?));
                *found = Some((Arc::downgrade(view), Arc::clone(&selection)));
                Ok(Admission::Selected(selection))
            }
        }
    }
}

/// The ids of the records whose keys begin with `prefix`.
fn ids_with_prefix(view: &View, prefix: &[u8]) -> Result<RoaringTreemap> {
    let mut ids = Vec::new();
    view.records.scan(Family::Keys, prefix, |key, entry| {
        if !key.starts_with(prefix) {
            return Ok(ControlFlow::Break(()));
        }
        let entry = KeyEntry::decode(entry).map_err(|what| view.records.damage(&what))?;
        ids.push(entry.location.id);
        Ok(ControlFlow::Continue(()))
    })?;
    Ok(ids.into_iter().collect())
}

/// A filter in one view.
pub(crate) enum Admission<'a> {
    /// There is no filter.
    All,
    Selected(Arc<Selection>),
    Values(&'a ValuePredicate),
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
                search(&|id| selection.ids.contains(id) && view.is_live(id));
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
            Self::Selected(selection) => Ok(selection.ids.contains(id)),
            Self::Values(predicate) => {
                let value = view.records.get(Family::Values, &encode_id(id))?;
                Ok(predicate(&value.unwrap_or_default()))
            }
        }
    }
}

/// Some ids, and where they lie.
pub(crate) struct Selection {
    ids: RoaringTreemap,
    /// The rows of segments that have these ids: a segment never changes, so neither do they.
    rows: Mutex<Vec<SelectedRows>>,
}

/// The rows of one segment, for as long as it lives.
type SelectedRows = (Weak<Segment>, Arc<Vec<u32>>);

impl Selection {
    fn new(ids: RoaringTreemap) -> Self {
        Self { ids, rows: Mutex::default() }
    }

    /// The rows of the segment that are selected, ascending, deleted ones included. Cost: the
    /// segment's ids are read once a segment.
    pub(crate) fn rows(&self, segment: &Arc<Segment>) -> Result<Arc<Vec<u32>>> {
        let is_it = |(of, _): &&SelectedRows| of.as_ptr() == Arc::as_ptr(segment);
        if let Some((_, rows)) = self.rows.lock().iter().find(is_it) {
            return Ok(Arc::clone(rows));
        }
        let rows = segment.rows()?;
        let selected =
            (0_u32..).zip(0..rows.len()).filter(|&(_, at)| self.ids.contains(rows.id(at)));
        let selected = Arc::new(selected.map(|(row, _)| row).collect::<Vec<_>>());
        let mut known = self.rows.lock();
        known.retain(|(of, _)| of.strong_count() > 0);
        known.push((Arc::downgrade(segment), Arc::clone(&selected)));
        Ok(selected)
    }
}
