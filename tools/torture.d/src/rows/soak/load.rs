//! What a soak writes, as a function of its seed, and the state that it must leave.
//!
//! Keys stand in numbered slots. A change is told by its stamp (step and place), and address, code and
//! value follow from the stamp, so that the state of hundreds of thousands of records is a stamp and
//! an id each. A slot is put four times as often as it is deleted: four fifths of them are live at
//! any time, from the first step after the loading on.

use anyhow::{Result, ensure};
use fastrand::Rng;
use hashdb::{Address, Code, Database, Options, Readable as _, WriteBatch};

use crate::plan::generator;

pub(super) const CODE_BITS: u16 = 256;
pub(super) const ADDRESS_BITS: u8 = 20;
/// Key prefixes, of which filters ask.
pub(super) const GROUPS: u32 = 256;
/// Slots that one step of the loading fills.
const LOADED_AT_ONCE: u64 = 500;
/// Most changes of a step, and more than the loading puts at once.
const STAMPS_A_STEP: u64 = 1024;
/// Patterns around which half of the codes and addresses lie.
const CENTRES: u64 = 1000;

/// What is written.
#[derive(Debug, Clone, Copy)]
pub(super) struct Load {
    pub(super) seed: u64,
    pub(super) slots: u32,
}

/// One change: a stamp for a put, none for a delete.
#[derive(Debug, Clone, Copy)]
pub(super) struct Change {
    pub(super) slot: u32,
    pub(super) stamp: Option<u64>,
}

/// One step: changes that are written as one batch.
#[derive(Debug)]
pub(super) struct Step {
    pub(super) changes: Vec<Change>,
    pub(super) sync: bool,
}

/// What a put puts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Content {
    pub(super) address: u32,
    pub(super) code: [u64; 4],
    pub(super) value_bytes: usize,
    /// The first eight bytes of the value, if it has as many.
    value_begin: u64,
    rest: u64,
}

impl Load {
    /// Small memtables, so that segments come and go by the minute, and the default indexes.
    pub(super) fn options(&self) -> Options {
        let memtable = usize::try_from(self.slots / 20).unwrap_or(usize::MAX);
        Options::new().code_bits(CODE_BITS).address_bits(ADDRESS_BITS).memtable_records(memtable)
    }

    /// Steps that fill the database.
    pub(super) fn loading_steps(&self) -> u64 {
        u64::from(self.slots).div_ceil(LOADED_AT_ONCE)
    }

    pub(super) fn step(&self, number: u64) -> Step {
        let mut random = generator(self.seed, number);
        let stamp = |place: u64| Some(number * STAMPS_A_STEP + place + 1);
        if number < self.loading_steps() {
            let from = number * LOADED_AT_ONCE;
            let slots = from..(from + LOADED_AT_ONCE).min(u64::from(self.slots));
            let put = slots.filter(|_| random.u8(..5) > 0).zip(0..);
            let changes =
                put.map(|(slot, place)| Change { slot: slot_of(slot), stamp: stamp(place) });
            return Step { changes: changes.collect(), sync: false };
        }
        let change = |place| {
            // A third of the changes meets a tenth of the keys.
            let hot = random.u8(..3) == 0;
            let slot = random.u32(..if hot { self.slots / 10 } else { self.slots });
            Change { slot, stamp: if random.u8(..5) > 0 { stamp(place) } else { None } }
        };
        let changes = (0..1 + number % 63).map(change).collect();
        Step { changes, sync: number.is_multiple_of(16) }
    }

    pub(super) fn content(&self, stamp: u64) -> Content {
        let mut random = generator(self.seed ^ 0x50a4, stamp);
        let mut code = [(); 4].map(|()| random.u64(..));
        let mut address = random.u32(..) & mask();
        if random.bool() {
            (address, code) = self.centre(random.u64(..CENTRES));
            address ^= 1 << random.u8(..ADDRESS_BITS);
            for _ in 0..random.u8(..40) {
                code[random.usize(..4)] ^= 1 << random.u8(..64);
            }
        }
        let value_bytes = match random.u8(..100) {
            // Into a blob file.
            0 => random.usize(4096..40_000),
            1..=5 => 0,
            _ => random.usize(1..1000),
        };
        Content { address, code, value_bytes, value_begin: random.u64(..), rest: random.u64(..) }
    }

    /// An address and a code around which others lie.
    pub(super) fn centre(&self, number: u64) -> (u32, [u64; 4]) {
        let mut random = generator(!self.seed, number);
        (random.u32(..) & mask(), [(); 4].map(|()| random.u64(..)))
    }

    /// The changes of a step as a batch.
    pub(super) fn batch(&self, step: &Step) -> Result<WriteBatch> {
        let mut batch = WriteBatch::new();
        for change in &step.changes {
            let key = key_of(change.slot);
            match change.stamp {
                None => batch.delete(&key),
                Some(stamp) => {
                    let content = self.content(stamp);
                    batch.put(&key, content.address()?, code_of(&content.code)?, &content.value());
                }
            }
        }
        Ok(batch)
    }
}

impl Content {
    pub(super) fn address(&self) -> Result<Address> {
        Ok(Address::new(self.address, ADDRESS_BITS)?)
    }

    /// The first byte of the value.
    pub(super) fn first_byte(&self) -> Option<u8> {
        (self.value_bytes > 0).then_some(self.value_begin.to_le_bytes()[0])
    }

    /// Random bytes, which no compression makes smaller.
    pub(super) fn value(&self) -> Vec<u8> {
        let mut bytes = self.value_begin.to_le_bytes().to_vec();
        bytes.resize(self.value_bytes, 0);
        if let Some(rest) = bytes.get_mut(8..) {
            Rng::with_seed(self.rest).fill(rest);
        }
        bytes
    }

    /// Bytes of key, code and value.
    fn live_bytes(&self, slot: u32) -> u64 {
        (key_of(slot).len() + usize::from(CODE_BITS / 8) + self.value_bytes) as u64
    }
}

fn mask() -> u32 {
    (1 << ADDRESS_BITS) - 1
}

fn slot_of(number: u64) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

pub(super) fn code_of(words: &[u64; 4]) -> Result<Code> {
    Ok(Code::from_bytes(&words.map(u64::to_le_bytes).concat())?)
}

pub(super) fn prefix_of(group: u32) -> String {
    format!("{group:02x}/")
}

pub(super) fn key_of(slot: u32) -> Vec<u8> {
    format!("{}{slot:07}", prefix_of(slot % GROUPS)).into_bytes()
}

/// The slot that a key stands for.
fn slot_in(key: &[u8]) -> Option<u32> {
    let slot = str::from_utf8(key).ok()?.split_once('/')?.1.parse().ok()?;
    (key_of(slot) == key).then_some(slot)
}

/// What a slot holds: the stamp of its last put, 0 for nothing, and the record's id.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Slot {
    pub(super) stamp: u64,
    pub(super) id: u64,
}

/// The state after some steps.
#[derive(Debug, Clone)]
pub(super) struct Model {
    pub(super) load: Load,
    pub(super) steps: u64,
    pub(super) slots: Vec<Slot>,
    pub(super) records: u64,
    /// Bytes of keys, codes and values of live records.
    pub(super) live_bytes: u64,
    next_id: u64,
}

impl Model {
    pub(super) fn new(load: Load) -> Self {
        let slots = vec![Slot::default(); load.slots as usize];
        Self { load, steps: 0, slots, records: 0, live_bytes: 0, next_id: 0 }
    }

    /// Becomes a copy of another state, in the memory that it has.
    pub(super) fn copy(&mut self, other: &Self) {
        self.slots.copy_from_slice(&other.slots);
        (self.steps, self.next_id) = (other.steps, other.next_id);
        (self.records, self.live_bytes) = (other.records, other.live_bytes);
    }

    /// Takes in the next step.
    pub(super) fn advance(&mut self) -> Step {
        let step = self.load.step(self.steps);
        for change in &step.changes {
            let held = &mut self.slots[change.slot as usize];
            if held.stamp > 0 {
                self.records -= 1;
                self.live_bytes -= self.load.content(held.stamp).live_bytes(change.slot);
            }
            *held = Slot::default();
            if let Some(stamp) = change.stamp {
                *held = Slot { stamp, id: self.next_id };
                self.next_id += 1;
                self.records += 1;
                self.live_bytes += self.load.content(stamp).live_bytes(change.slot);
            }
        }
        self.steps += 1;
        step
    }

    pub(super) fn advance_to(&mut self, steps: u64) {
        while self.steps < steps {
            self.advance();
        }
    }

    /// Slots that hold a record.
    pub(super) fn live(&self) -> impl Iterator<Item = (u32, Slot)> {
        (0..).zip(self.slots.iter().copied()).filter(|(_, held)| held.stamp > 0)
    }

    /// Advances to the state that the database shows, which is that after `least` to `most` steps.
    /// Of the slots that are `chosen` the values are compared too.
    pub(super) fn recover(
        &mut self,
        db: &Database,
        (least, most): (u64, u64),
        chosen: impl Fn(u32) -> bool,
    ) -> Result<()> {
        self.advance_to(least);
        let (mut ids, mut count) = (vec![None; self.slots.len()], 0);
        let snapshot = db.snapshot();
        let mut found = Vec::with_capacity(self.slots.len());
        for record in snapshot.iter() {
            let record = record?;
            let slot = slot_in(&record.key).filter(|slot| (*slot as usize) < ids.len());
            let Some(slot) = slot else { anyhow::bail!("a key that was never written") };
            ensure!(ids[slot as usize].replace(record.id).is_none(), "a key twice");
            count += 1;
            found.push((slot, record));
        }
        let next_id = db.stats().next_id;
        let same = |model: &Self| {
            model.records == count
                && model.next_id == next_id
                && ids
                    .iter()
                    .zip(&model.slots)
                    .all(|(id, held)| *id == (held.stamp > 0).then_some(held.id))
        };
        while !same(self) {
            ensure!(
                self.steps < most,
                "the state with {count} records and the next id {next_id} is that after none of the \
                 steps {least} to {most}, the last of which has {} and {}",
                self.records,
                self.next_id
            );
            self.advance();
        }
        for (slot, record) in found {
            let content = self.load.content(self.slots[slot as usize].stamp);
            let same =
                record.address == content.address()? && record.code == code_of(&content.code)?;
            ensure!(same, "slot {slot} has another address or code");
            if chosen(slot) {
                ensure!(
                    snapshot.value(&record)? == content.value(),
                    "slot {slot} has another value"
                );
                let by_key = snapshot.get(&record.key)?;
                ensure!(
                    by_key.as_ref() == Some(&record),
                    "the key of slot {slot} has another record"
                );
            }
        }
        Ok(())
    }
}
