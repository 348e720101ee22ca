//! A database whose record store holds entries that the engine never wrote: schema, counters, segments,
//! keys, records, pending entries and tombstones that lie. Opening it is an error, or every read ends
//! with an answer or an error; and where `verify` finds nothing wrong, all reads agree with each other.

use std::cell::Cell;
use std::path::{Path, PathBuf};

use hashdb::internals::db::{PlantedEntry, list_entries, plant_entries};
use hashdb::{Address, Code, Database, Error, Options, Readable, WriteBatch, WriteOptions};

use super::input::Input;
use super::oracle::Random;

const CODE_BITS: u16 = 64;
const ADDRESS_BITS: u8 = 8;

/// A sound database, closed, and what its record store holds.
struct Template {
    folder: tempfile::TempDir,
    entries: Vec<PlantedEntry>,
    copies: Cell<u64>,
}

thread_local! {
    static TEMPLATE: Template = Template::new();
}

/// Copies the database, plants, opens and reads.
pub fn run(data: &[u8]) {
    TEMPLATE.with(|template| {
        let mut input = Input::new(data);
        let mode = input.u8();
        let mut planted = Vec::new();
        while !input.is_empty() && planted.len() < 4 {
            planted.push(template.plant(&mut input));
        }
        let path = template.copy();
        let nothing = planted.is_empty();
        plant_entries(&path, planted).unwrap();
        let opened = if mode & 1 == 1 {
            Database::open_read_only(&path, options())
        } else {
            Database::open(&path, options())
        };
        match opened {
            Ok(db) => {
                let clean = read(&db);
                assert!(clean || !nothing, "a sound database is not clean");
                if mode & 3 == 2 {
                    write(&db);
                }
            }
            Err(error) => assert!(!nothing && !error.to_string().is_empty(), "{error}"),
        }
        std::fs::remove_dir_all(&path).unwrap();
    });
}

fn options() -> Options {
    let options = Options::new().code_bits(CODE_BITS).address_bits(ADDRESS_BITS);
    options.background(false).cache_bytes(1 << 20)
}

/// Reads everything in every way; says whether `verify` finds nothing wrong, in which case every way
/// must work and they must agree.
fn read(db: &Database) -> bool {
    let report = db.verify();
    let clean = report.as_ref().is_ok_and(hashdb::VerifyReport::is_clean);
    let holds = |result: Result<(), Error>| {
        if let Err(error) = result {
            assert!(!clean && !error.to_string().is_empty(), "clean, but {error}");
        }
    };
    // An iterator that fails does not go on for ever.
    let listed: Vec<_> = db.iter().take(10_000).collect();
    let sound: Vec<_> = listed.iter().filter_map(|record| record.as_ref().ok()).cloned().collect();
    if clean {
        assert_eq!((listed.len(), db.len()), (sound.len(), sound.len() as u64), "{report:?}");
    }
    for record in &sound {
        holds(db.get(&record.key).map(|found| assert!(!clean || found.as_ref() == Some(record))));
        holds(db.value(record).map(drop));
        holds(db.bucket(record.address).map(|bucket| assert!(!clean || bucket.contains(record))));
    }
    for number in 0..30 {
        // An entry that lies must not lead to the record of another key.
        let key = format!("key {number}").into_bytes();
        holds(db.get(&key).map(|found| assert!(found.is_none_or(|found| found.key == key))));
    }
    let (address, code) = (Address::new(3, ADDRESS_BITS).unwrap(), code(7));
    let count = |found: Vec<hashdb::Neighbor>| assert!(!clean || found.len() == sound.len());
    holds(db.knn(&code, usize::MAX).map(count));
    holds(db.range_search(&code, u32::MAX).map(count));
    holds(db.ball(address, u32::MAX).and_then(|found| {
        let records: Result<Vec<_>, _> = found.iter().map(|near| db.record(near)).collect();
        records.map(|records| count_records(clean, &records, sound.len()))
    }));
    let filter = hashdb::Filter::key_prefix("key");
    holds(db.search(&hashdb::Query::knn(code, 3).filter(filter)).map(drop));
    clean
}

fn count_records(clean: bool, records: &[hashdb::Record], expected: usize) {
    assert!(!clean || records.len() == expected);
}

/// Goes on with the database as it is: an error, or what was acknowledged is there.
fn write(db: &Database) {
    let mut batch = WriteBatch::new();
    let key = |number: u8| [b"key ", &[number][..]].concat();
    for number in 0..20_u8 {
        let address = Address::new(number.into(), ADDRESS_BITS).unwrap();
        batch.put(&key(number), address, code(number), b"new");
        batch.delete(format!("key {number}").as_bytes());
    }
    if let Err(error) = db.write(batch, WriteOptions { sync: false }) {
        assert!(!error.to_string().is_empty());
        return;
    }
    let mut merged = false;
    loop {
        for number in 0..20_u8 {
            let record = db.get(&key(number)).unwrap().unwrap();
            assert_eq!(record.code, code(number));
            if let Ok(found) = db.range_search(&record.code, 0) {
                assert!(found.iter().any(|near| near.id == record.id), "{record:?}, {found:?}");
            }
        }
        if merged {
            break;
        }
        if let Err(error) = db.seal().map(drop).and_then(|()| db.compact()) {
            assert!(!error.to_string().is_empty());
        }
        merged = true;
    }
    read(db);
}

fn code(seed: u8) -> Code {
    Code::from_bytes(&[seed; 8]).unwrap()
}

impl Template {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("sound");
        let db = Database::create(&path, options()).unwrap();
        let mut random = Random::new(3);
        for end in ["compact", "seal", "stay"] {
            let mut batch = WriteBatch::new();
            for number in 0..12 {
                let key = format!("key {}", random.next() % 30);
                let address = random.address(ADDRESS_BITS, number % 2 == 0);
                let code = random.code(CODE_BITS, number % 3 == 0);
                batch.put(key.as_bytes(), address, code, &vec![1; number % 4]);
            }
            batch.delete(format!("key {}", random.next() % 30).as_bytes());
            db.write(batch, WriteOptions::default()).unwrap();
            match end {
                "compact" => db.compact().unwrap(),
                "seal" => assert!(db.seal().unwrap()),
                _ => {}
            }
        }
        drop(db);
        let entries = list_entries(&path).unwrap();
        Self { folder, entries, copies: Cell::new(0) }
    }

    /// An entry that was there with damage to its key or value, or one made up.
    fn plant(&self, input: &mut Input<'_>) -> PlantedEntry {
        let how = input.u8();
        let (family, mut key, value) = self.entries[input.place(self.entries.len())].clone();
        let mut value = value.unwrap_or_default();
        let damaged = if how & 1 == 1 { &mut key } else { &mut value };
        match how / 2 % 8 {
            0 => return (family, key, None),
            1 => *damaged = input.bytes(usize::from(input.clone().u8() % 64)).to_vec(),
            2 => damaged.truncate(input.place(damaged.len() + 1)),
            3 => damaged.extend(input.bytes(4)),
            4 => {
                // A number of the entry: the smallest, the largest, or one beside it.
                let at = input.place(damaged.len()) / 4 * 4;
                let width = 8.min(damaged.len() - at);
                let new = input.choose(&[0, 1, u64::MAX, 1 << 62, 1 << 32, 1 << 31, 255]);
                damaged[at..at + width].copy_from_slice(&new.to_le_bytes()[..width]);
            }
            5 => {
                let other = &self.entries[input.place(self.entries.len())];
                value = other.2.clone().unwrap_or_default();
            }
            _ => {
                let at = input.place(damaged.len());
                if let Some(byte) = damaged.get_mut(at) {
                    *byte = byte.wrapping_add(input.u8());
                }
            }
        }
        let family = if how >= 0xf0 { usize::from(input.u8()) } else { family };
        (family, key, Some(value))
    }

    fn copy(&self) -> PathBuf {
        self.copies.set(self.copies.get() + 1);
        let to = self.folder.path().join(format!("copy {}", self.copies.get()));
        copy_folder(&self.folder.path().join("sound"), &to);
        to
    }
}

fn copy_folder(from: &Path, to: &Path) {
    std::fs::create_dir(to).unwrap();
    for entry in from.read_dir().unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy_folder(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}
