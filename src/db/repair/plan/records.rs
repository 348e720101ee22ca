//! Records against keys, values and rows, both ways.

use std::ops::ControlFlow;

use super::Plan;
use crate::db::record::{
    KeyEntry, Location, Pending, Record, decode_pending, decode_record, encode_id, encode_record,
    write_record,
};
use crate::error::Result;
use crate::index::fingerprint;
use crate::storage::records::{Family, RecordsSnapshot};

impl Plan<'_> {
    pub(super) fn read_records(&mut self) -> Result<()> {
        // The visitor changes all of the plan; the snapshot stays as it is.
        let mut entries = Vec::new();
        let mut from: Vec<u8> = Vec::new();
        loop {
            entries.clear();
            self.snapshot.scan(Family::Records, &from, |key, value| {
                entries.push((key.to_vec(), value.to_vec()));
                Ok(if entries.len() < PIECE {
                    ControlFlow::Continue(())
                } else {
                    ControlFlow::Break(())
                })
            })?;
            for (key, value) in &entries {
                self.read_record(key, value)?;
            }
            match entries.last() {
                Some((key, _)) if entries.len() == PIECE => {
                    from.clone_from(key);
                    from.push(0);
                }
                _ => break,
            }
        }
        for witness in &mut self.witnesses {
            witness.advance(None, &[], 0)?;
        }
        Ok(())
    }

    fn read_record(&mut self, key: &[u8], value: &[u8]) -> Result<()> {
        let schema = self.meta.schema;
        let decoded = Location::decode(key)
            .and_then(|location| Ok((location, decode_record(&schema, location, value)?)));
        let Ok((location, record)) = decoded else {
            self.findings.notes.push("an entry of the family records makes no sense".to_owned());
            return self.changes.delete(Family::Records, key);
        };
        self.live.insert(record.id);
        self.patched |= !record.patches.is_empty();
        let patches = fingerprint(record.patch_values());
        for witness in &mut self.witnesses {
            witness.advance(Some(location), record.code.as_bytes(), patches)?;
        }
        let has_value = self.value_of(&record, location)?;
        let expected = KeyEntry { location, has_value };
        let entry = self.snapshot.get(Family::Keys, &record.key)?;
        if entry.as_deref() == Some(expected.encode().as_slice()) {
            return Ok(());
        }
        let named = entry.and_then(|entry| KeyEntry::decode(&entry).ok());
        if named.is_some_and(|named| named.location == location) {
            return self.changes.put(Family::Keys, record.key, expected.encode());
        }
        let rivals = self.contested.entry(record.key.clone()).or_default();
        rivals.push((location, has_value));
        if let Some(named) = named
            && let Some(held) = held(&self.snapshot, named.location, &schema, &record.key)?
            && !rivals.iter().any(|(rival, _)| *rival == named.location)
        {
            // What the key says of a value is not what became of it.
            let has_value = held.has_value && self.present.contains(held.id);
            rivals.push((named.location, has_value));
        }
        Ok(())
    }

    /// Whether the record has its value; one that lost it stays without.
    fn value_of(&mut self, record: &Record, location: Location) -> Result<bool> {
        if !record.has_value {
            return Ok(false);
        }
        if self.present.contains(record.id) {
            self.valued.insert(record.id);
            return Ok(true);
        }
        self.findings.lost_values += 1;
        let value = encode_record(&record.code, &record.key, false, record.patch_values());
        self.changes.put(Family::Records, location.encode(), value)?;
        Ok(false)
    }

    /// Every key must name a record that has it; one whose record is gone is the way to bring it back.
    pub(super) fn read_keys(&mut self) -> Result<()> {
        let mut stray: Vec<(Vec<u8>, Option<KeyEntry>)> = Vec::new();
        let schema = self.meta.schema;
        let snapshot = &self.snapshot;
        snapshot.scan(Family::Keys, &[], |key, value| {
            let entry = KeyEntry::decode(value).ok();
            let held = match entry {
                Some(entry) => held(snapshot, entry.location, &schema, key)?.is_some(),
                None => false,
            };
            if !held {
                stray.push((key.to_vec(), entry));
            }
            Ok(ControlFlow::Continue(()))
        })?;
        for (key, entry) in stray {
            match entry {
                // Decided among the records that claim it.
                _ if self.contested.contains_key(&key) => {}
                Some(entry) => self.revive(&key, entry)?,
                None => self.changes.delete(Family::Keys, &key)?,
            }
        }
        Ok(())
    }

    /// Makes a record from its key and its row, if there is a row.
    fn revive(&mut self, key: &[u8], entry: KeyEntry) -> Result<()> {
        let KeyEntry { location, has_value } = entry;
        let id = location.id;
        let deleted = self.tombstones.contains(id) || self.live.contains(id);
        let row = if deleted { None } else { self.row_of(location)? };
        let Some((code, patches)) = row else {
            self.lost_unless_replaced(id);
            return self.changes.delete(Family::Keys, key);
        };
        self.findings.records_rebuilt += 1;
        self.live.insert(id);
        for witness in &mut self.witnesses {
            witness.revive(id);
        }
        let kept = has_value && self.present.contains(id);
        if kept {
            self.valued.insert(id);
        } else if has_value {
            self.findings.lost_values += 1;
            let entry = KeyEntry { location, has_value: false };
            self.changes.put(Family::Keys, key.to_vec(), entry.encode())?;
        }
        self.patched |= !patches.is_empty();
        let mut record = Vec::new();
        write_record(&mut record, &code, key, kept, patches.into_iter());
        self.changes.put(Family::Records, location.encode(), record)
    }

    /// The code and the patches that a segment or a pending entry has for a location.
    fn row_of(&self, location: Location) -> Result<Option<(Vec<u8>, Vec<u32>)>> {
        let entry = self.snapshot.get(Family::Pending, &encode_id(location.id))?;
        if let Some(Pending { address, code, patches }) =
            entry.as_deref().and_then(|entry| decode_pending(&self.meta.schema, entry).ok())
            && address == location.address
        {
            return Ok(Some((code.to_vec(), patches)));
        }
        for witness in self.witnesses.iter().filter(|witness| witness.wrong.is_none()) {
            if let Some(row) = witness.row_at(location)? {
                return Ok(Some(row));
            }
        }
        Ok(None)
    }

    /// Of several records with one key the newest is the one.
    pub(super) fn settle_contested(&mut self) -> Result<()> {
        for (key, mut rivals) in std::mem::take(&mut self.contested) {
            rivals.sort_unstable_by_key(|(location, _)| location.id);
            let Some((location, has_value)) = rivals.pop() else { continue };
            self.findings.keys_rebuilt += 1;
            self.changes.put(Family::Keys, key, KeyEntry { location, has_value }.encode())?;
            for (older, _) in rivals {
                self.changes.delete(Family::Records, &older.encode())?;
                self.live.remove(older.id);
                self.valued.remove(older.id);
                self.replaced.insert(older.id);
                for witness in &mut self.witnesses {
                    witness.bury(older.id);
                }
            }
        }
        Ok(())
    }
}

/// Entries that are taken out of a scan at once.
const PIECE: usize = 1000;

/// The record at a location, if it has this key.
fn held(
    snapshot: &RecordsSnapshot,
    location: Location,
    schema: &crate::storage::manifest::Schema,
    key: &[u8],
) -> Result<Option<Record>> {
    let value = snapshot.get(Family::Records, &location.encode())?;
    let record = value.and_then(|value| decode_record(schema, location, &value).ok());
    Ok(record.filter(|record| record.key == key))
}
