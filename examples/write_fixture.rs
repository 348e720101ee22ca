//! Writes a fixture for tests/engine/format.rs, and beside it what it must answer, which is worked out
//! here by brute force: run by tools/fixture, once for what a release writes.
//!
//! The content follows from the kind alone; the name of the database and what the record store notes
//! about itself (times, session names) do not.

#![expect(clippy::disallowed_methods, reason = "the answers are written beside the database")]

use std::collections::BTreeMap;
use std::fmt::Write as _;

use hashdb::{
    Address, Code, Database, EncoderModel, IndexOptions, Options, PatchCounting, Result,
    WriteBatch, WriteOptions,
};

/// What a record holds beside its key.
struct Held {
    id: u64,
    address: Address,
    code: Code,
    value: Vec<u8>,
    patches: Vec<Address>,
}

/// A database and what must be in it.
struct Fixture {
    db: Database,
    next_id: u64,
    held: BTreeMap<String, Held>,
    /// Keys that were deleted.
    absent: Vec<String>,
    random: u64,
    /// Records have patch addresses.
    patched: bool,
}

fn main() -> Result<()> {
    let mut words = std::env::args().skip(1);
    let (kind, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let index = IndexOptions::none().however_small();
    let small = Options::new().code_bits(64).background(false);
    let fixture = match kind.as_str() {
        "small" => {
            let options = small.address_bits(8).index(IndexOptions::none());
            Fixture::create(&path, options)?.small()?
        }
        // Codes of 64 bits: the offsets of the multi-index take a quarter of a MiB a half of 16 bits.
        "indexes" => {
            let options = small.address_bits(13).index(index.multi_index(true).clusters(true));
            Fixture::create(&path, options)?.large(1500)?
        }
        // Codes that are longer than a prefix, addresses too long for a pair table, an encoder.
        "prefixes" => {
            let options = small.code_bits(192).index(index.clusters(true).prefix(true));
            let weights = b"the engine never looks into these".to_vec();
            let model = EncoderModel { fingerprint: "f1c7".to_owned(), weights };
            Fixture::create(&path, options.encoder(model))?.large(1200)?
        }
        // Few records: what their patches do not need is in the others.
        "patches" => {
            let options = small.address_bits(11).index(IndexOptions::none());
            let fixture = Fixture::create(&path, options)?;
            Fixture { patched: true, ..fixture }.large(120)?
        }
        _ => {
            let rule = "must be small, indexes, prefixes or patches, and a path must follow";
            return Err(hashdb::Error::InvalidArgument { argument: "kind", rule: rule.into() });
        }
    };
    let answers = fixture.answers();
    drop(fixture);
    let file = format!("{path}.answers");
    std::fs::write(&file, answers).map_err(|source| hashdb::Error::Io {
        path: file.into(),
        op: "write",
        source,
    })
}

impl Fixture {
    fn create(path: &str, options: Options) -> Result<Self> {
        let db = Database::create(path, options)?;
        Ok(Self {
            db,
            next_id: 0,
            held: BTreeMap::new(),
            absent: Vec::new(),
            random: 1,
            patched: false,
        })
    }

    /// A segment with a pair table, a record replaced and one deleted after it was sealed, records in
    /// the memtable, values and none.
    fn small(mut self) -> Result<Self> {
        let records = [
            ("alpha", "5a", "0123456789abcdef", "the first value"),
            ("beta", "10", "ffffffffffffffff", "to be replaced"),
            ("deleted", "5a", "0123456789abcdef", "to be deleted"),
            ("epsilon", "a5", "fedcba9876543210", ""),
            ("beta", "20", "0123456789abcdee", "replaced"),
            ("gamma", "f0", "00000000ffffffff", ""),
            ("delta", "5b", "ffffffff00000000", "in the memtable"),
        ];
        for (number, (key, address, code, value)) in records.into_iter().enumerate() {
            if number == 4 {
                self.db.seal()?;
            }
            let (address, code) = (Address::from_hex(address, 8)?, code.parse::<Code>()?);
            self.put(vec![(key.to_owned(), address, code, value.as_bytes().to_vec())])?;
        }
        self.delete("deleted")?;
        Ok(self)
    }

    /// A merged segment with all indexes of the options, two that were only sealed, deleted and replaced
    /// rows in each, tables and blob files, records in the memtable and in the log.
    fn large(mut self, count: u64) -> Result<Self> {
        self.fill(0, count)?;
        self.thin(0, count, 13)?;
        self.db.compact()?;
        let (second, third) = (count + count / 4, count + count / 3);
        self.fill(count, second)?;
        self.db.seal()?;
        self.fill(second, third)?;
        self.db.seal()?;
        self.thin(0, third, 29)?;
        self.fill(third, third + 90)?;
        self.thin(third, third + 90, 17)?;
        self.db.sync()?;
        Ok(self)
    }

    /// Records `from` to `to`; every third code lies near a few others, every 300th value in a blob file.
    fn fill(&mut self, from: u64, to: u64) -> Result<()> {
        let mut records = Vec::new();
        for number in from..to {
            let kind = if number.is_multiple_of(3) { "near" } else { "far" };
            let length = if number % 300 == 7 { 5000 } else { number % 9 };
            let value = (0..length).map(|at| (number + at).to_le_bytes()[0]).collect();
            let (address, code) = self.place(number)?;
            records.push((format!("{kind}/{number:05}"), address, code, value));
        }
        self.put(records)
    }

    /// Of the records `from` to `to` deletes each `step`-th and replaces those behind them.
    fn thin(&mut self, from: u64, to: u64, step: usize) -> Result<()> {
        let names = |fixture: &Self, number: u64| {
            let ending = format!("/{number:05}");
            fixture.held.keys().find(|key| key.ends_with(&ending)).cloned()
        };
        for number in (from..to).step_by(step) {
            if let Some(key) = names(self, number) {
                self.delete(&key)?;
            }
            if let Some(key) = names(self, number + 1) {
                let (address, code) = self.place(number)?;
                self.put(vec![(key, address, code, b"replaced".to_vec())])?;
            }
        }
        Ok(())
    }

    /// An address and a code: for every third number near one of five.
    fn place(&mut self, number: u64) -> Result<(Address, Code)> {
        let stats = self.db.stats();
        let mut bytes: Vec<u8> = Vec::new();
        let near = number.is_multiple_of(3);
        let middle = self.number() % 5;
        while bytes.len() < usize::from(stats.code_bits / 8) {
            let word = if near { middle * 0x0123_4567_89ab_cdef } else { self.number() };
            bytes.extend(word.to_le_bytes());
        }
        for _ in 0..3 {
            let bit = low_bits(self.number(), 16) % u32::from(stats.code_bits);
            bytes[bit as usize / 8] ^= 1 << (bit % 8);
        }
        let wide = if near { (middle * 0x0765_4321) ^ (1 << (number % 8)) } else { self.number() };
        let address = low_bits(wide, stats.address_bits);
        let address = Address::new(address, stats.address_bits)?;
        Ok((address, Code::from_bytes(&bytes)?))
    }

    /// The next number of a stream that never changes: splitmix64.
    fn number(&mut self) -> u64 {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.random;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn put(&mut self, records: Vec<(String, Address, Code, Vec<u8>)>) -> Result<()> {
        let mut batch = WriteBatch::new();
        for (key, address, code, value) in records {
            let patches = self.patches(address)?;
            batch.put_with_patches(key.as_bytes(), address, code.clone(), &value, &patches);
            let held = Held { id: self.next_id, address, code, value, patches };
            self.held.insert(key, held);
            self.next_id += 1;
        }
        self.db.write(batch, WriteOptions::default()).map(|_| ())
    }

    /// Up to nine patches, some near the address, one at times twice.
    fn patches(&mut self, address: Address) -> Result<Vec<Address>> {
        let mut patches = Vec::new();
        if self.patched {
            let bits = address.bits();
            for _ in 0..low_bits(self.number(), 3) {
                let wide = self.number();
                let near = u64::from(address.value()) ^ (1 << (wide >> 60));
                let value = if wide.is_multiple_of(2) { wide >> 8 } else { near };
                patches.push(Address::new(low_bits(value, bits), bits)?);
            }
            if patches.len() > 4 {
                patches.extend([patches[0], patches[1]]);
            }
        }
        Ok(patches)
    }

    fn delete(&mut self, key: &str) -> Result<()> {
        self.db.delete(key.as_bytes())?;
        self.held.remove(key);
        self.absent.push(key.to_owned());
        Ok(())
    }

    /// The text that tests/fixtures/mod.rs reads.
    fn answers(&self) -> String {
        let stats = self.db.stats();
        let mut out = String::new();
        let mut say = |line: String| out.push_str(&(line + "\n"));
        say("# What the fixture beside this file must answer, by brute force; see examples/write_fixture.rs."
            .to_owned());
        say(format!("widths {} {}", stats.code_bits, stats.address_bits));
        say(format!("counts {} {} {}", self.held.len(), self.next_id, stats.segments.len()));
        say(format!("index {} {}", stats.index, stats.encoder.as_deref().unwrap_or("none")));
        say(format!("export {}", self.export()));
        for (key, held) in self.held.iter().step_by(self.held.len() / 20 + 1) {
            let Held { id, address, code, value, .. } = held;
            say(format!("get {key} {id} {address} {code} {}", blake3::hash(value)));
        }
        self.absent.iter().step_by(self.absent.len() / 20 + 1).for_each(|key| {
            say(format!("absent {key}"));
        });
        let bits = u32::from(stats.code_bits);
        for (number, held) in self.held.values().step_by(self.held.len() / 6 + 1).enumerate() {
            let mut code = held.code.as_bytes().to_vec();
            code[number] ^= 5;
            let Ok(code) = Code::from_bytes(&code) else { continue };
            let address = held.address;
            for radius in [0, 1, 3, 6] {
                let found = self.nearest(radius, |other| other.address.distance(address));
                say(format!("ball {address} {radius}{}", neighbors(&found)));
            }
            for radius in [0, 2, 9, bits / 4] {
                let found = self.nearest(radius, |other| other.code.distance(&code));
                say(format!("range {code} {radius}{}", neighbors(&found)));
            }
            if self.patched {
                for (radius, counting) in [0, 1, 3, 8].into_iter().flat_map(|radius| {
                    [PatchCounting::Closest, PatchCounting::Every]
                        .map(|counting| (radius, counting))
                }) {
                    say(self.patch_line(&held.patches, address, radius, counting));
                }
            }
            let all = self.nearest(bits, |other| other.code.distance(&code));
            for k in [1, 10, 40] {
                say(format!("knn {code} {k}{}", neighbors(&all[..k.min(all.len())])));
            }
            for prefix in ["near/", "far/000", "al"] {
                let admits = |id: u64| {
                    self.held.iter().any(|(key, held)| held.id == id && key.starts_with(prefix))
                };
                let kept = all.iter().copied().filter(|(_, id)| admits(*id));
                let kept: Vec<_> = kept.take(10).collect();
                say(format!("knn-prefix {prefix} {code} 10{}", neighbors(&kept)));
            }
        }
        out
    }

    /// The best 20 by patches: those asked for, the address in front so that there is one.
    fn patch_line(
        &self,
        patches: &[Address],
        address: Address,
        radius: u32,
        counting: PatchCounting,
    ) -> String {
        let asked: Vec<_> = [&[address], patches].concat();
        let score = |held: &Held| -> u32 {
            let of_patch = |patch: &Address| {
                let near = held.patches.iter().map(|own| own.distance(*patch));
                let near = near.filter(|distance| *distance <= radius);
                match counting {
                    PatchCounting::Closest => near.min().map_or(0, |near| 1 << (radius - near)),
                    PatchCounting::Every => near.map(|near| 1 << (radius - near)).sum(),
                }
            };
            asked.iter().map(of_patch).sum()
        };
        let mut found: Vec<_> = self.held.values().map(|held| (score(held), held.id)).collect();
        found.retain(|(score, _)| *score > 0);
        found.sort_by_key(|(score, id)| (std::cmp::Reverse(*score), *id));
        found.truncate(20);
        let asked: Vec<_> = asked.iter().map(Address::to_string).collect();
        format!("patches {} {radius} {counting:?}{}", asked.join(","), neighbors(&found))
    }

    /// A hash of all records in the order of addresses, then ids.
    fn export(&self) -> blake3::Hash {
        let mut lines = BTreeMap::new();
        for (key, Held { id, address, code, value, .. }) in &self.held {
            let value = blake3::hash(value);
            lines.insert((address.value(), *id), format!("{id} {address} {code} {key} {value}\n"));
        }
        blake3::hash(lines.into_values().collect::<String>().as_bytes())
    }

    /// Distance and id of everything within a radius, by distance, then id.
    fn nearest(&self, radius: u32, distance: impl Fn(&Held) -> u32) -> Vec<(u32, u64)> {
        let mut found: Vec<_> = self.held.values().map(|held| (distance(held), held.id)).collect();
        found.retain(|(distance, _)| *distance <= radius);
        found.sort_unstable();
        found
    }
}

/// At most 32 low bits of a number.
fn low_bits(number: u64, bits: u8) -> u32 {
    let [a, b, c, d, ..] = number.to_le_bytes();
    u32::from_le_bytes([a, b, c, d]) & (u32::MAX >> (32 - u32::from(bits)))
}

fn neighbors(found: &[(u32, u64)]) -> String {
    found.iter().fold(String::new(), |mut text, (distance, id)| {
        let _never_fails = write!(text, " {distance}:{id}");
        text
    })
}
