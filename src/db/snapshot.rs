//! Reading: a frozen state of the database, and the reads that both a snapshot and the database
//! itself offer.

use std::ops::ControlFlow;
use std::slice::from_ref;
use std::sync::Arc;

use crate::code::{Address, Code};
use crate::db::answer::Answer;
use crate::db::batch::{validate_address, validate_key};
use crate::db::digest::{Digest, digest};
use crate::db::engine::SearchTools;
use crate::db::explain::{Explanation, PatchExplanation, Trace};
use crate::db::iter::Iter;
use crate::db::patched::patched_records;
use crate::db::patches::{PatchAnswer, PatchQuery};
use crate::db::query::Query;
use crate::db::record::{KeyEntry, Location, Record, decode_record, encode_id};
use crate::db::search::{proposed_radius, search, search_batch, search_patches};
use crate::db::view::View;
use crate::error::{Corruption, Error, Result};
use crate::index::Neighbor;
use crate::storage::records::Family;

/// The database as it was at one moment: records, segments and memtable together. It costs
/// nothing to take, never waits for a writer, and keeps what it shows on disk until it is dropped.
/// It may outlive the [`Database`](crate::Database) that it came from; the directory stays locked
/// until both are gone.
#[derive(Debug, Clone)]
pub struct Snapshot {
    pub(crate) tools: Arc<SearchTools>,
    pub(crate) view: Arc<View>,
}

impl Snapshot {
    /// The record at a location.
    pub(crate) fn record_at(&self, location: Location) -> Result<Option<Record>> {
        let records = &self.view.records;
        let Some(bytes) = records.get(Family::Records, &location.encode())? else {
            return Ok(None);
        };
        let record = decode_record(&self.tools.schema, location, &bytes);
        record.map(Some).map_err(|what| records.damage(&what))
    }

    /// The error where a record that has a value is without it.
    fn without_value(&self, record: &Record) -> Result<Error> {
        let location = Location { address: record.address.value(), id: record.id };
        Ok(match self.record_at(location)? {
            Some(_) => {
                self.view.records.damage(&Corruption::Missing { what: "the value of a record" })
            }
            None => not_here("record"),
        })
    }

    /// Records that are written from now on have this id or a larger one.
    #[cfg(feature = "encoder")]
    pub(crate) fn new_from(&self) -> u64 {
        self.view.new_from()
    }

    /// Shows `visit` the keys that begin with `prefix`, in their order, with the ids of their records.
    pub(crate) fn visit_keys(
        &self,
        prefix: &[u8],
        mut visit: impl FnMut(&[u8], u64) -> Result<ControlFlow<()>>,
    ) -> Result<()> {
        let records = &self.view.records;
        records.scan(Family::Keys, prefix, |key, entry| {
            if !key.starts_with(prefix) {
                return Ok(ControlFlow::Break(()));
            }
            let entry = KeyEntry::decode(entry).map_err(|what| records.damage(&what))?;
            visit(key, entry.location.id)
        })
    }
}

/// The reads of [`Database`](crate::Database) and [`Snapshot`]. On a database each call sees the
/// newest state; for several reads of one state take a [`Snapshot`].
///
/// Every method may fail with [`Error::Io`](crate::Error::Io),
/// [`Error::Records`](crate::Error::Records) or [`Error::Corruption`](crate::Error::Corruption)
/// where the disk fails or a file is damaged.
pub trait Readable {
    /// The state that the other methods read.
    fn snapshot(&self) -> Snapshot;

    /// The number of records.
    fn len(&self) -> u64 {
        self.snapshot().view.state.record_count
    }

    /// Whether there are no records.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The record with this key. Cost: two point look-ups.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidArgument`](crate::Error::InvalidArgument) for a key of no or too many bytes.
    fn get(&self, key: &[u8]) -> Result<Option<Record>> {
        validate_key(key)?;
        let snapshot = self.snapshot();
        let records = &snapshot.view.records;
        let Some(bytes) = records.get(Family::Keys, key)? else {
            return Ok(None);
        };
        let entry = KeyEntry::decode(&bytes).map_err(|what| records.damage(&what))?;
        let missing = || records.damage(&Corruption::Missing { what: "the record of a key" });
        // An entry that lies may lead to the record of another key.
        let record = snapshot.record_at(entry.location)?.filter(|record| record.key == key);
        record.ok_or_else(missing).map(Some)
    }

    /// The value of a record, empty if it was put without one.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidArgument`](crate::Error::InvalidArgument) if this state does not hold the
    /// record, because it was replaced or deleted since it was read from another state.
    fn value(&self, record: &Record) -> Result<Vec<u8>> {
        if !record.has_value {
            return Ok(Vec::new());
        }
        let snapshot = self.snapshot();
        let records = &snapshot.view.records;
        if let Some(value) = records.get(Family::Values, &encode_id(record.id))? {
            return Ok(value);
        }
        Err(snapshot.without_value(record)?)
    }

    /// Shows `visit` the values of many records, each with the place of its record among `records`, until it breaks. They
    /// come in the order in which they lie, which is several times as fast as asking for one [`value`](Self::value) after
    /// the other; records without a value are passed over.
    ///
    /// # Errors
    ///
    /// Those of [`value`](Self::value), and those of `visit`.
    fn for_each_value(
        &self,
        records: &[Record],
        mut visit: impl FnMut(usize, &[u8]) -> Result<ControlFlow<()>>,
    ) -> Result<()> {
        let snapshot = self.snapshot();
        let with_value = records.iter().enumerate().filter(|(_, record)| record.has_value);
        let mut order = Vec::from_iter(with_value);
        order.sort_unstable_by_key(|(_, record)| record.id);
        let mut values = snapshot.view.records.sparse_cursor(Family::Values)?;
        let mut last = 0;
        for (place, record) in order {
            let between = record.id - std::mem::replace(&mut last, record.id);
            let Some(value) = values.find_behind(&encode_id(record.id), between)? else {
                return Err(snapshot.without_value(record)?);
            };
            if visit(place, value)?.is_break() {
                return Ok(());
            }
        }
        Ok(())
    }

    /// The record of a neighbour that a search on the same state found.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidArgument`](crate::Error::InvalidArgument) if this state does not hold the
    /// record, because it was replaced or deleted since the search.
    fn record(&self, neighbor: &Neighbor) -> Result<Record> {
        let Neighbor { address, id, .. } = *neighbor;
        let found = self.snapshot().record_at(Location { address, id })?;
        found.ok_or_else(|| not_here("neighbor"))
    }

    /// What is noted under a name, if anything ([`WriteBatch::put_note`](crate::WriteBatch::put_note)).
    ///
    /// # Errors
    ///
    /// Those of every read.
    fn note(&self, name: &[u8]) -> Result<Option<Vec<u8>>> {
        self.snapshot().find_note(name)
    }

    /// Shows `visit` the notes whose names begin with `prefix`, in the order of their names, each with its
    /// name and its text, until it breaks. Cost: one scan.
    ///
    /// # Errors
    ///
    /// Those of every read, and those of `visit`.
    fn for_each_note(
        &self,
        prefix: &[u8],
        visit: impl FnMut(&[u8], &[u8]) -> Result<ControlFlow<()>>,
    ) -> Result<()> {
        self.snapshot().visit_notes(prefix, visit)
    }

    /// Shows `visit` the keys that begin with `prefix`, in their order, until it breaks. Cost: one scan.
    ///
    /// # Errors
    ///
    /// Those of every read, and those of `visit`.
    fn for_each_key(
        &self,
        prefix: &[u8],
        mut visit: impl FnMut(&[u8]) -> Result<ControlFlow<()>>,
    ) -> Result<()> {
        self.snapshot().visit_keys(prefix, |key, _| visit(key))
    }

    /// All records at exactly this address, by id. Cost: one prefix scan.
    ///
    /// # Errors
    ///
    /// [`Error::AddressWidth`](crate::Error::AddressWidth) for an address of another width.
    fn bucket(&self, address: Address) -> Result<Vec<Record>> {
        let snapshot = self.snapshot();
        validate_address(address, &snapshot.tools.schema)?;
        let (schema, records) = (&snapshot.tools.schema, &snapshot.view.records);
        let first = Location { address: address.value(), id: 0 };
        let mut found = Vec::new();
        records.scan(Family::Records, &first.encode(), |key, value| {
            let location = Location::decode(key).map_err(|what| records.damage(&what))?;
            if location.address != first.address {
                return Ok(ControlFlow::Break(()));
            }
            let record = decode_record(schema, location, value);
            found.push(record.map_err(|what| records.damage(&what))?);
            Ok(ControlFlow::Continue(()))
        })?;
        Ok(found)
    }

    /// All records in the order of their addresses, then ids. The iterator reads the state of the
    /// moment of this call, whatever is written meanwhile.
    fn iter(&self) -> Iter {
        Iter::new(self.snapshot(), Location { address: 0, id: 0 })
    }

    /// The records from `address` on, in the order of [`Readable::iter`].
    ///
    /// # Errors
    ///
    /// [`Error::AddressWidth`](crate::Error::AddressWidth) for an address of another width.
    fn iter_from(&self, address: Address) -> Result<Iter> {
        let snapshot = self.snapshot();
        validate_address(address, &snapshot.tools.schema)?;
        Ok(Iter::new(snapshot, Location { address: address.value(), id: 0 }))
    }

    /// The digest of all records, which does not depend on their ids, on segments or on the order in
    /// which they were written: equal databases have equal digests. Records are looked up by
    /// `threads` threads, 0 for one a core; `progress` is told now and then how many are done, of
    /// [`Readable::len`]. Cost: one scan of the keys, a look-up a record and another one a value.
    ///
    /// # Errors
    ///
    /// Only those of all reads, also where the parts of a record contradict each other.
    fn digest(&self, threads: usize, progress: &mut dyn FnMut(u64)) -> Result<Digest> {
        digest(&self.snapshot(), threads, progress)
    }

    /// Answers a query and tells how.
    ///
    /// # Errors
    ///
    /// [`Error::CodeWidth`](crate::Error::CodeWidth) or
    /// [`Error::AddressWidth`](crate::Error::AddressWidth) for a code or address of another width,
    /// [`Error::InvalidArgument`](crate::Error::InvalidArgument) for a recall out of range.
    fn search(&self, query: &Query) -> Result<Answer> {
        let snapshot = self.snapshot();
        let answers = search(&snapshot.tools, &snapshot.view, from_ref(query), &mut Trace::off())?;
        Ok(only(answers))
    }

    /// Answers a query over patch addresses and tells how. Cost: in each segment some 30 buckets for each patch
    /// of the query at radius 3, whose entries of two bytes are compared; the memtable's patches are all
    /// compared. Joined with a ranking by codes: a scan of those, too.
    ///
    /// # Errors
    ///
    /// [`Error::AddressWidth`](crate::Error::AddressWidth) or
    /// [`Error::CodeWidth`](crate::Error::CodeWidth) for a patch or a code of another width,
    /// [`Error::InvalidArgument`](crate::Error::InvalidArgument) for no or too many patches, a radius out of
    /// range, and weights that make no ranking.
    fn search_patches(&self, query: &PatchQuery) -> Result<PatchAnswer> {
        let snapshot = self.snapshot();
        search_patches(&snapshot.tools, &snapshot.view, query, &mut Trace::off())
    }

    /// The number of records that have patch addresses. Cost: reads the patch tables of all segments, or at least
    /// the row of each patch where a table was read before.
    ///
    /// # Errors
    ///
    /// Those of every read.
    fn patched_records(&self) -> Result<u64> {
        patched_records(&self.snapshot().view)
    }

    /// Answers many queries over one state with `threads` threads, 0 for one a core; the neighbours
    /// do not depend on their number, the plans may. Queries without a filter that have to scan
    /// share the reading of the codes, which makes each several times cheaper than alone.
    ///
    /// # Errors
    ///
    /// As [`Readable::search`]; one query that fails fails the call.
    fn search_batch(&self, queries: &[Query], threads: usize) -> Result<Vec<Answer>> {
        let snapshot = self.snapshot();
        search_batch(&snapshot.tools, &snapshot.view, queries, threads)
    }

    /// Answers a query and tells which plans were weighed in each segment, which one was taken and
    /// how long it took.
    ///
    /// # Errors
    ///
    /// As [`Readable::search`].
    fn explain(&self, query: &Query) -> Result<Explanation> {
        let (snapshot, mut trace) = (self.snapshot(), Trace::on());
        let answers = search(&snapshot.tools, &snapshot.view, from_ref(query), &mut trace)?;
        Ok(trace.explain(only(answers)))
    }

    /// Answers a query over patch addresses and tells how long each segment took.
    ///
    /// # Errors
    ///
    /// As [`Readable::search_patches`].
    fn explain_patches(&self, query: &PatchQuery) -> Result<PatchExplanation> {
        let (snapshot, mut trace) = (self.snapshot(), Trace::on());
        let answer = search_patches(&snapshot.tools, &snapshot.view, query, &mut trace)?;
        Ok(trace.explain_patches(answer))
    }

    /// A radius for [`Query::ball_then_code`] that suits the collection: the least one at which the ball
    /// around half of its own addresses or more holds at least `candidates` records, 0 to the width of an
    /// address. On 50,000 pictures some fourteen candidates for each that is wanted kept 95 % of the precision of a
    /// search by code alone (docs/semantic-hashing.md). Cost: up to 65 balls for each radius up to that.
    ///
    /// # Errors
    ///
    /// Those of every read.
    fn proposed_radius(&self, candidates: usize) -> Result<u32> {
        let snapshot = self.snapshot();
        proposed_radius(&snapshot.tools, &snapshot.view, candidates)
    }

    /// The `k` records with the nearest codes, exact, ties by id. Cost: at most one scan of all
    /// codes, less where the segments' indexes allow it.
    ///
    /// # Errors
    ///
    /// [`Error::CodeWidth`](crate::Error::CodeWidth) for a code of another width.
    fn knn(&self, code: &Code, k: usize) -> Result<Vec<Neighbor>> {
        self.search(&Query::knn(code.clone(), k)).map(|answer| answer.neighbors)
    }

    /// [`Readable::knn`] of many codes, as [`Readable::search_batch`] answers them.
    ///
    /// # Errors
    ///
    /// As [`Readable::knn`].
    fn knn_batch(&self, codes: &[Code], k: usize, threads: usize) -> Result<Vec<Vec<Neighbor>>> {
        let queries: Vec<_> = codes.iter().map(|code| Query::knn(code.clone(), k)).collect();
        self.search_batch(&queries, threads).map(neighbors)
    }

    /// All records whose code lies within `radius` bits (inclusive) of `code`. Cost: at most one
    /// scan of all codes, less where the segments' indexes allow it.
    ///
    /// # Errors
    ///
    /// [`Error::CodeWidth`](crate::Error::CodeWidth) for a code of another width.
    fn range_search(&self, code: &Code, radius: u32) -> Result<Vec<Neighbor>> {
        self.search(&Query::range(code.clone(), radius)).map(|answer| answer.neighbors)
    }

    /// [`Readable::range_search`] of many codes, as [`Readable::search_batch`] answers them.
    ///
    /// # Errors
    ///
    /// As [`Readable::range_search`].
    fn range_batch(
        &self,
        codes: &[Code],
        radius: u32,
        threads: usize,
    ) -> Result<Vec<Vec<Neighbor>>> {
        let queries: Vec<_> = codes.iter().map(|code| Query::range(code.clone(), radius)).collect();
        self.search_batch(&queries, threads).map(neighbors)
    }

    /// All records whose address lies within `radius` bits (inclusive) of `address`. Cost: a few
    /// probes a segment at small radii, one scan of the addresses at large ones.
    ///
    /// # Errors
    ///
    /// [`Error::AddressWidth`](crate::Error::AddressWidth) for an address of another width.
    fn ball(&self, address: Address, radius: u32) -> Result<Vec<Neighbor>> {
        self.search(&Query::ball(address, radius)).map(|answer| answer.neighbors)
    }

    /// [`Readable::ball`] of many addresses, as [`Readable::search_batch`] answers them.
    ///
    /// # Errors
    ///
    /// As [`Readable::ball`].
    fn ball_batch(
        &self,
        addresses: &[Address],
        radius: u32,
        threads: usize,
    ) -> Result<Vec<Vec<Neighbor>>> {
        let queries: Vec<_> =
            addresses.iter().map(|&address| Query::ball(address, radius)).collect();
        self.search_batch(&queries, threads).map(neighbors)
    }
}

/// The answer to the one query that was asked.
fn only(mut answers: Vec<Answer>) -> Answer {
    answers.swap_remove(0)
}

fn neighbors(answers: Vec<Answer>) -> Vec<Vec<Neighbor>> {
    answers.into_iter().map(|answer| answer.neighbors).collect()
}

/// A record of another state was given.
fn not_here(argument: &'static str) -> Error {
    Error::invalid(argument, "is of a record that was replaced or deleted; read from a snapshot")
}

impl Readable for Snapshot {
    fn snapshot(&self) -> Snapshot {
        self.clone()
    }
}
