//! Random operations on a database against a map and brute force: puts, deletes, batches, seals,
//! compactions, reopens, snapshots that are kept, searches, and calls that break a rule and must
//! change nothing.

use hashdb::{Address, Code, Database, IndexOptions, Options, Readable, WriteBatch, WriteOptions};

use super::input::Input;
use super::oracle::{Model, Random, search};

/// Operations of one input, so that the slowest input stays below a second.
const MOST: usize = 48;
/// Of which so many may open the database anew.
const MOST_OPENS: usize = 6;

/// Runs the operations of the input, then reads everything.
pub fn run(data: &[u8]) {
    let mut input = Input::new(data);
    let folder = tempfile::tempdir().unwrap();
    let shape = input.u8();
    let (code_bits, address_bits) =
        (input.choose(&[64, 128, 256, 1024]), input.choose(&[8, 9, 15, 28, 32]));
    let path = folder.path().join("db");
    let options = Options::new()
        .code_bits(code_bits)
        .address_bits(address_bits)
        .index(index(input.u8()))
        .background(shape & 1 == 1)
        .mmap(shape & 2 == 0)
        .memtable_records(1 + usize::from(input.u8()));
    let db = Database::create(&path, options.clone()).unwrap();
    let model = Model::new(code_bits, address_bits);
    let mut run = Run { db: Some(db), model, kept: Vec::new(), skewed: shape & 4 == 4 };
    let mut opens = 0;
    for _ in 0..MOST {
        if input.is_empty() {
            break;
        }
        let op = input.u8() % 16;
        opens += usize::from(matches!(op, 12 | 13));
        match op {
            12 | 13 if opens > MOST_OPENS => {}
            12 => {
                drop(run.db.take());
                // A snapshot keeps the directory locked.
                run.kept.clear();
                run.db = Some(Database::open(&path, options.clone()).unwrap());
            }
            13 => {
                run.open().sync().unwrap();
                let beside = Database::open_read_only(&path, options.clone()).unwrap();
                run.model.read(&beside);
                assert!(beside.delete(b"key 1").is_err(), "a reader must not write");
            }
            _ => run.step(op, &mut input),
        }
    }
    run.kept.iter().for_each(|(snapshot, model)| model.read(snapshot));
    run.model.read(run.open());
    let report = run.open().verify().unwrap();
    assert!(report.is_clean(), "{report:?}");
    assert_eq!(run.open().stats().maintenance_error, None);
}

struct Run {
    db: Option<Database>,
    model: Model,
    /// Snapshots and what they must show for ever.
    kept: Vec<(hashdb::Snapshot, Model)>,
    skewed: bool,
}

impl Run {
    fn open(&self) -> &Database {
        self.db.as_ref().unwrap()
    }

    fn step(&mut self, op: u8, input: &mut Input<'_>) {
        match op {
            0..=3 => {
                let mut batch = WriteBatch::new();
                let changes = if op < 2 { 1 } else { input.u8() % 64 };
                let before = self.model.clone();
                for _ in 0..changes {
                    self.change(&mut batch, input);
                }
                let count = batch.len() as u64;
                let written = self.open().write(batch, WriteOptions { sync: op != 3 }).unwrap();
                assert!(written.deleted <= count, "{written:?} of {count}");
                assert!(self.model.next_id - before.next_id <= count);
            }
            4 => {
                let key = key(input);
                let there = self.model.records.remove(&key).is_some();
                assert_eq!(self.open().delete(&key).unwrap(), there);
            }
            5 => drop(self.open().seal().unwrap()),
            6 => self.open().compact().unwrap(),
            7 => self.open().set_index(index(input.u8())).unwrap(),
            8 => {
                self.kept.truncate(2);
                self.kept.push((self.open().snapshot(), self.model.clone()));
            }
            9 => {
                if let Some((snapshot, model)) = self.kept.get(usize::from(input.u8() % 4)) {
                    search(snapshot, model, input);
                    model.read(snapshot);
                }
            }
            10 => self.break_a_rule(input),
            11 => self.model.read(self.open()),
            _ => search(self.open(), &self.model, input),
        }
    }

    /// Adds a put or a delete to a batch and to the model.
    fn change(&mut self, batch: &mut WriteBatch, input: &mut Input<'_>) {
        let (how, key) = (input.u8(), key(input));
        if how & 7 == 7 {
            batch.delete(&key);
            self.model.records.remove(&key);
            return;
        }
        let mut random = Random::new(u64::from(input.u8()) + u64::from(how) * 256);
        let address = random.address(self.model.address_bits, self.skewed);
        let code = random.code(self.model.code_bits, self.skewed);
        // From 4096 bytes on values live in files of their own.
        let length = if how & 0xf8 == 0xf8 { 5000 } else { usize::from(how / 8 % 6) };
        let value = vec![how; length];
        batch.put(&key, address, code.clone(), &value);
        self.model.put(&key, address, code, &value);
    }

    /// A batch whose last change cannot be: nothing of it may be done.
    fn break_a_rule(&self, input: &mut Input<'_>) {
        let (bits, code_bits) = (self.model.address_bits, self.model.code_bits);
        let mut random = Random::new(0);
        let (address, code) = (random.address(bits, false), random.code(code_bits, false));
        let mut batch = WriteBatch::new();
        batch.put(b"key 1", address, code.clone(), b"never written");
        batch.delete(b"key 2");
        match input.u8() % 4 {
            0 => batch.put(b"", address, code, b""),
            1 => batch.put(&[7; hashdb::MAX_KEY_BYTES + 1], address, code, b""),
            2 => batch.put(b"key 3", Address::new(0, 40 - bits).unwrap(), code, b""),
            _ => {
                let other = usize::from(code_bits % 1024 + 64) / 8;
                batch.put(b"key 3", address, Code::from_bytes(&vec![0; other]).unwrap(), b"");
            }
        }
        if bits == 20 {
            return;
        }
        let error = self.open().write(batch, WriteOptions::default()).unwrap_err();
        assert!(!error.is_corruption(), "{error}");
    }
}

fn index(flags: u8) -> IndexOptions {
    let index = IndexOptions::none().multi_index(flags & 1 == 1);
    index.clusters(flags & 2 == 2).prefix(flags & 4 == 4)
}

fn key(input: &mut Input<'_>) -> Vec<u8> {
    let number = input.u8();
    match number {
        // The longest key there is, and one that is no text.
        255 => vec![b'k'; hashdb::MAX_KEY_BYTES],
        254 => vec![0],
        _ => format!("key {}", number % 64).into_bytes(),
    }
}

impl Model {
    /// Every record, by key and in order, and the searches that take no arguments.
    fn read(&self, db: &impl Readable) {
        assert_eq!(db.len(), self.records.len() as u64);
        for (key, expected) in &self.records {
            let found = db.get(key).unwrap().unwrap();
            assert_eq!((found.id, found.address), (expected.id, expected.address));
            assert_eq!((&found.code, &found.key), (&expected.code, key));
            assert_eq!(db.value(&found).unwrap(), expected.value);
        }
        let listed: Vec<_> = db.iter().map(|record| record.unwrap()).collect();
        assert_eq!(listed.len(), self.records.len());
        assert!(listed.is_sorted_by_key(|record| (record.address.value(), record.id)));
        if let Some(record) = listed.first() {
            let bucket = db.bucket(record.address).unwrap();
            let expected = listed.iter().filter(|other| other.address == record.address);
            assert!(bucket.iter().eq(expected), "the first bucket");
            let nearest = db.knn(&record.code, 1).unwrap();
            let same = self.records.values().filter(|other| other.code == record.code);
            assert_eq!(Some(nearest[0].id), same.map(|record| record.id).min());
        }
    }
}
