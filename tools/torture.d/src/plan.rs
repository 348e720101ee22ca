//! What a child does, as a function of a seed: any step can be told again without those before it,
//! so parent and child need no other agreement.

use fastrand::Rng;
use hashdb::{
    Address, BulkOptions, Code, Database, Duplicates, IndexOptions, Options, WriteBatch,
    WriteOptions,
};

/// Rows that make a segment carry cluster lists and prefixes.
pub(crate) const LOADED_STEPS: u64 = 20;
const LOADED_BATCH: u64 = 1000;
/// Keys that come and go.
const KEYS: u64 = 300;

/// How a plan is coloured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Flavour {
    /// Writes of all kinds, synced and not, with maintenance between them.
    Mixed,
    /// The same after a bulk load that makes segments large enough for every index but the largest.
    Loaded,
    /// Nothing is ever synced: what a power cut must lose.
    Unsynced,
    /// Every write is synced, with maintenance between them.
    Synced,
    /// Every step asks for maintenance, so that each named place is soon come by.
    Busy,
    /// Every step is sealed, so that segments are many and small.
    Seals,
    /// Large values, so that a small disk fills.
    Heavy,
    /// A small load and a few steps, for a database that is then damaged at rest.
    Still,
}

/// A plan: a seed and a flavour.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Plan {
    pub(crate) seed: u64,
    pub(crate) flavour: Flavour,
    pub(crate) code_bits: u16,
    pub(crate) address_bits: u8,
    memtable_records: usize,
    mmap: bool,
}

/// One change of a batch.
#[derive(Debug)]
pub(crate) enum Change {
    Put { key: Vec<u8>, address: Address, code: Code, value: Vec<u8> },
    Delete { key: Vec<u8> },
}

/// What follows a write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Then {
    Nothing,
    Sync,
    Seal,
    Compact,
    SetIndex(IndexOptions),
    Reopen,
    Checkpoint,
    Backup,
    Restore,
    RecoverSpace,
}

/// One step: a batch, and what follows it.
#[derive(Debug)]
pub(crate) struct Step {
    pub(crate) changes: Vec<Change>,
    pub(crate) sync: bool,
    /// The changes, which are puts alone, come through a bulk loader.
    pub(crate) load: bool,
    pub(crate) then: Then,
}

impl Step {
    /// Brings the changes into a database.
    pub(crate) fn apply(&self, db: &Database) -> hashdb::Result<()> {
        if !self.load {
            return db.write(self.batch(), WriteOptions { sync: self.sync }).map(|_| ());
        }
        let options = BulkOptions::new().duplicates(Duplicates::Replace).memory_budget(0);
        let mut loader = db.bulk_loader(options)?;
        for change in &self.changes {
            if let Change::Put { key, address, code, value } = change {
                loader.put(key, *address, code, value)?;
            }
        }
        loader.finish().map(|_| ())
    }

    pub(crate) fn batch(&self) -> WriteBatch {
        let mut batch = WriteBatch::new();
        for change in &self.changes {
            match change {
                Change::Put { key, address, code, value } => {
                    batch.put(key, *address, code.clone(), value);
                }
                Change::Delete { key } => batch.delete(key),
            }
        }
        batch
    }
}

/// A generator that depends on every bit of both numbers.
pub(crate) fn generator(seed: u64, number: u64) -> Rng {
    let mut mixed = seed ^ number.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    Rng::with_seed(mixed ^ (mixed >> 31))
}

fn pick<T: Copy>(random: &mut Rng, choices: &[T]) -> T {
    choices[random.usize(..choices.len())]
}

impl Plan {
    pub(crate) fn new(seed: u64, flavour: Flavour) -> Self {
        let mut random = generator(seed, u64::MAX);
        let loaded = flavour == Flavour::Loaded;
        let still = flavour == Flavour::Still;
        Self {
            seed,
            flavour,
            // Prefixes are kept of codes longer than 128 bits only.
            code_bits: if loaded || still { 192 } else { pick(&mut random, &[64, 128, 256]) },
            address_bits: if still { 12 } else { pick(&mut random, &[8, 9, 12, 16]) },
            memtable_records: match flavour {
                _ if loaded => 4000,
                // So that merges drop more rows than a memtable holds, again and again.
                Flavour::Busy => pick(&mut random, &[10, 20]),
                _ => pick(&mut random, &[20, 60, 200]),
            },
            mmap: random.bool(),
        }
    }

    /// How the database is created and opened.
    pub(crate) fn options(&self) -> Options {
        Options::new()
            .code_bits(self.code_bits)
            .address_bits(self.address_bits)
            .memtable_records(self.memtable_records)
            .mmap(self.mmap)
            .background(matches!(
                self.flavour,
                Flavour::Mixed
                    | Flavour::Loaded
                    | Flavour::Synced
                    | Flavour::Heavy
                    | Flavour::Seals
            ))
            // So that there is one soon; on a disk that is to run full it would be in the way.
            .ballast_bytes(if self.flavour == Flavour::Heavy { 64 << 20 } else { 8192 })
            .index(IndexOptions::default().prefix(self.seed.is_multiple_of(2)))
    }

    /// The first step that is no bulk load.
    pub(crate) fn loaded_steps(&self) -> u64 {
        match self.flavour {
            Flavour::Loaded => LOADED_STEPS,
            Flavour::Still => 1,
            _ => 0,
        }
    }

    pub(crate) fn step(&self, number: u64) -> Step {
        let mut random = generator(self.seed, number);
        if number < self.loaded_steps() {
            let keys = number * LOADED_BATCH..(number + 1) * LOADED_BATCH;
            let changes = keys.map(|key| self.put(&mut random, format!("bulk {key}"))).collect();
            return Step { changes, sync: false, load: false, then: Then::Nothing };
        }
        let load = match self.flavour {
            Flavour::Unsynced | Flavour::Still | Flavour::Seals => false,
            Flavour::Busy => random.u8(..6) == 0,
            Flavour::Mixed | Flavour::Loaded | Flavour::Synced | Flavour::Heavy => {
                random.u8(..40) == 0
            }
        };
        let change =
            |random: &mut Rng| if load { self.any_put(random) } else { self.change(random) };
        let changes = (0..random.u64(1..7)).map(|_| change(&mut random)).collect();
        let sync = match self.flavour {
            Flavour::Unsynced | Flavour::Seals => false,
            Flavour::Synced => true,
            _ => random.bool(),
        };
        Step { changes, sync: sync || load, load, then: self.then(&mut random, number) }
    }

    fn change(&self, random: &mut Rng) -> Change {
        if random.u8(..4) == 0 && self.flavour != Flavour::Heavy {
            return Change::Delete { key: self.key(random) };
        }
        self.any_put(random)
    }

    fn any_put(&self, random: &mut Rng) -> Change {
        let key = self.key(random);
        self.put(random, String::from_utf8_lossy(&key).into_owned())
    }

    fn key(&self, random: &mut Rng) -> Vec<u8> {
        let bulk = self.loaded_steps() > 0 && random.u8(..3) == 0;
        let keys = match self.flavour {
            Flavour::Heavy => 1 << 40,
            Flavour::Seals => 100 * KEYS,
            _ => KEYS,
        };
        if bulk {
            format!("bulk {}", random.u64(..self.loaded_steps() * LOADED_BATCH)).into_bytes()
        } else {
            format!("key {}", random.u64(..keys)).into_bytes()
        }
    }

    fn put(&self, random: &mut Rng, key: String) -> Change {
        let length = match random.u8(..32) {
            _ if self.flavour == Flavour::Heavy => random.usize(20_000..60_000),
            // Into a blob file.
            0 if !key.starts_with("bulk") => random.usize(4096..6000),
            1..=8 => 0,
            _ => random.usize(1..60),
        };
        let value = std::iter::repeat_with(|| random.u8(..)).take(length).collect();
        let (address, code) = (self.address(random), self.code(random));
        Change::Put { key: key.into_bytes(), address, code, value }
    }

    /// Half of the codes lie around a few patterns.
    pub(crate) fn code(&self, random: &mut Rng) -> Code {
        let mut bytes = vec![0; usize::from(self.code_bits / 8)];
        if random.bool() {
            bytes.fill_with(|| random.u8(..));
        } else {
            bytes.fill(pick(random, &[0x00, 0x5a, 0xff]));
            for _ in 0..random.u8(..6) {
                let at = random.usize(..bytes.len());
                bytes[at] ^= 1 << random.u8(..8);
            }
        }
        Code::from_bytes(&bytes).unwrap_or_else(|error| unreachable!("{error}"))
    }

    pub(crate) fn address(&self, random: &mut Rng) -> Address {
        let mask = u32::MAX >> (32 - u32::from(self.address_bits));
        let value = if random.bool() { random.u32(..) } else { 0x5a5a ^ (1 << random.u8(..8)) };
        Address::new(value & mask, self.address_bits).unwrap_or_else(|e| unreachable!("{e}"))
    }

    fn then(&self, random: &mut Rng, number: u64) -> Then {
        let roll = match self.flavour {
            Flavour::Unsynced | Flavour::Still => return Then::Nothing,
            Flavour::Seals => return Then::Seal,
            // What was loaded is merged, with all indexes, while the parent takes aim.
            Flavour::Loaded if number == LOADED_STEPS => return Then::Compact,
            Flavour::Busy => random.u8(..32),
            Flavour::Mixed | Flavour::Synced | Flavour::Heavy => random.u8(..120),
            Flavour::Loaded => random.u8(..100),
        };
        match roll {
            0..=8 => Then::Seal,
            9..=12 => Then::Compact,
            13..=14 => Then::SetIndex(
                IndexOptions::none().multi_index(random.bool()).clusters(random.bool()),
            ),
            15..=18 => Then::Sync,
            19..=20 => Then::Reopen,
            21..=22 => Then::Checkpoint,
            23..=25 => Then::Backup,
            26..=27 => Then::Restore,
            28..=29 => Then::RecoverSpace,
            _ => Then::Nothing,
        }
    }
}
