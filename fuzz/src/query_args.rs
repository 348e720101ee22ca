//! Any arguments of a search: radii, counts, widths, recalls and filters as the fuzzer makes them up,
//! alone and in batches, on a database with every source that a search can meet. A search that breaks
//! a rule is an error, every other one answers as brute force does.
//!
//! The database is made once: a segment with cluster lists, prefixes and a pair table, a small one,
//! a memtable, and deleted records in all three. The multi-index needs 131,072 rows and is left to
//! `segment_crafted`.

use hashdb::{Database, IndexOptions, Options, WriteBatch, WriteOptions};

use super::input::Input;
use super::oracle::{Model, Random, search};

const CODE_BITS: u16 = 192;
const ADDRESS_BITS: u8 = 16;

struct Fixture {
    db: Database,
    model: Model,
    _folder: tempfile::TempDir,
}

thread_local! {
    static FIXTURE: Fixture = Fixture::new();
}

/// Runs searches until the input ends, a few at most.
pub fn run(data: &[u8]) {
    FIXTURE.with(|fixture| {
        let mut input = Input::new(data);
        for _ in 0..4 {
            if input.is_empty() {
                break;
            }
            search(&fixture.db, &fixture.model, &mut input);
        }
    });
}

impl Fixture {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let options = Options::new().code_bits(CODE_BITS).address_bits(ADDRESS_BITS);
        let options = options.index(IndexOptions::default().prefix(true)).background(false);
        let db = Database::create(folder.path().join("db"), options).unwrap();
        let (mut model, mut random) = (Model::new(CODE_BITS, ADDRESS_BITS), Random::new(7));
        // The rows of a segment with every index but the multi-index, of a small one, and of none.
        for (rows, end) in [(16_600, "compact"), (400, "seal"), (100, "stay")] {
            let mut batch = WriteBatch::new();
            let first = model.next_id;
            for number in first..first + rows {
                let skewed = number % 3 != 0;
                let (key, value) = (
                    format!("key {}", number % 16_800),
                    vec![7; usize::try_from(number % 7).unwrap()],
                );
                let address = random.address(ADDRESS_BITS, skewed);
                let code = random.code(CODE_BITS, skewed);
                batch.put(key.as_bytes(), address, code.clone(), &value);
                model.put(key.as_bytes(), address, code, &value);
            }
            for number in (first..first + rows).step_by(97) {
                let key = format!("key {number}");
                batch.delete(key.as_bytes());
                model.records.remove(key.as_bytes());
            }
            db.write(batch, WriteOptions { sync: false }).unwrap();
            match end {
                "compact" => db.compact().unwrap(),
                "seal" => assert!(db.seal().unwrap()),
                _ => {}
            }
        }
        let mut batch = WriteBatch::new();
        for number in (0..17_100).step_by(89) {
            let key = format!("key {number}");
            batch.delete(key.as_bytes());
            model.records.remove(key.as_bytes());
        }
        db.write(batch, WriteOptions { sync: false }).unwrap();
        Self { db, model, _folder: folder }
    }
}
