//! The engine from outside, one binary because each one links RocksDB.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test ends at the first surprise")]
#![expect(clippy::disallowed_methods, reason = "tests make and damage files themselves")]

mod backup;
mod bounds;
mod bulk;
mod checkpoint;
mod corruption;
mod crash;
mod digest;
mod facts;
mod filters;
#[path = "../fixtures/mod.rs"]
mod fixtures;
mod format;
mod limits;
mod newer;
mod oracle;
mod plans;
#[cfg(feature = "__internals")]
mod planted;
mod processes;
mod radius;
mod read_only;
mod reader;
mod repair;
mod snapshots;
mod space;
mod states;
mod threads;
mod torn;

use hashdb::{Address, Code, Database, Options};

/// A generator whose stream is fixed: splitmix64.
struct Random(u64);

impl Random {
    /// The next number.
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `bound`.
    fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    /// An index into a list of `length` things.
    fn index(&mut self, length: usize) -> usize {
        usize::try_from(self.below(length as u64)).unwrap()
    }

    /// So many bytes, which nothing compresses.
    fn bytes(&mut self, count: usize) -> Vec<u8> {
        (0..count).map(|_| low_byte(self.next())).collect()
    }

    /// A code of `bits` bits; skewed ones repeat a few patterns with a few flipped bits.
    fn code(&mut self, bits: u16, skewed: bool) -> Code {
        let mut bytes: Vec<u8> = Vec::new();
        let pattern = self.below(4).to_le_bytes()[0];
        while bytes.len() < usize::from(bits / 8) {
            bytes.push(if skewed { pattern } else { self.next().to_le_bytes()[0] });
        }
        if skewed {
            for _ in 0..self.below(4) {
                let bit = usize::try_from(self.below(u64::from(bits))).unwrap();
                bytes[bit / 8] ^= 1 << (bit % 8);
            }
        }
        Code::from_bytes(&bytes).unwrap()
    }

    /// An address of `bits` bits; skewed ones lie in a few buckets.
    fn address(&mut self, bits: u8, skewed: bool) -> Address {
        let mask = u64::MAX >> (64 - u32::from(bits));
        let mut value = self.next() & mask;
        if skewed {
            value = (self.below(3) * 0x1234_5677) & mask;
            for _ in 0..self.below(3) {
                value ^= 1 << self.below(u64::from(bits));
            }
        }
        Address::new(u32::try_from(value).unwrap(), bits).unwrap()
    }
}

/// Small widths and no background thread: each test says when it seals.
fn small() -> Options {
    Options::new().code_bits(64).address_bits(8).background(false)
}

/// The lowest byte of a number.
fn low_byte(number: u64) -> u8 {
    number.to_le_bytes()[0]
}

/// Copies what lies in a folder as it is at this moment, as a backup by hand or a loss of power would.
fn copy_folder(from: &std::path::Path, to: &std::path::Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let (path, target) = (entry.as_ref().unwrap().path(), to.join(entry.unwrap().file_name()));
        if path.is_dir() {
            copy_folder(&path, &target);
        } else {
            std::fs::copy(&path, &target).unwrap();
        }
    }
}

/// A key.
fn key(number: u64) -> Vec<u8> {
    format!("key {number}").into_bytes()
}

/// A database with records 0 to `count`, sealed every `seal_every`.
fn filled(path: &std::path::Path, options: Options, count: u64, seal_every: u64) -> Database {
    let db = Database::create(path, options).unwrap();
    let stats = db.stats();
    let mut random = Random(count);
    let mut batch = hashdb::WriteBatch::new();
    for number in 0..count {
        let address = random.address(stats.address_bits, number % 2 == 0);
        let code = random.code(stats.code_bits, number % 3 == 0);
        batch.put(&key(number), address, code, &number.to_le_bytes()[..(number % 9) as usize]);
        if (number + 1) % seal_every == 0 {
            db.write(std::mem::take(&mut batch), hashdb::WriteOptions::default()).unwrap();
            db.seal().unwrap();
        }
    }
    db.write(batch, hashdb::WriteOptions::default()).unwrap();
    db
}
