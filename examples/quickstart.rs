//! The library in one page: create, write, find, delete. Needs no feature.
//!
//! Run: `cargo run --example quickstart`

use hashdb::{Address, Code, Database, Options, Query, Readable as _, WriteBatch, WriteOptions};

#[expect(clippy::print_stdout, reason = "an example shows what it finds")]
fn main() -> Result<(), Box<dyn std::error::Error>> {
    let directory = tempfile::tempdir()?;
    let db = Database::create(directory.path().join("db"), Options::new())?;

    // A record has a key, an address (28 bits by default), a code (256 bits) and a value. Codes come
    // from an encoder; here every record differs from the one before it in one bit.
    let address = |number: u32| Address::new(0x0abc_def0 ^ (1 << (number % 28)), 28);
    let code = |number: usize| {
        let mut bytes = [0_u8; 32];
        (0..number).for_each(|bit| bytes[bit / 8] |= 0x80 >> (bit % 8));
        Code::from_bytes(&bytes)
    };
    let mut batch = WriteBatch::new();
    for number in 0..100_u32 {
        let key = format!("picture {number}");
        let value = format!("taken on day {number}");
        batch.put(key.as_bytes(), address(number)?, code(number as usize)?, value.as_bytes());
    }
    // All or nothing, and on the disk when the call returns.
    let written = db.write(batch, WriteOptions::default())?;
    println!("{} records inserted", written.inserted);

    // By key.
    let record = db.get(b"picture 42")?.ok_or("picture 42 is there")?;
    let value = String::from_utf8(db.value(&record)?)?;
    println!("picture 42 is at {}: {value}", record.address);

    // By code: the five nearest, exact, ties by id.
    for neighbor in db.knn(&record.code, 5)? {
        let found = db.record(&neighbor)?;
        println!("  {} bits away: {}", neighbor.distance, String::from_utf8_lossy(&found.key));
    }

    // By address: everything within a Hamming radius, and of that the nearest by code.
    println!("{} records within 2 bits", db.ball(record.address, 2)?.len());
    let query = Query::ball_then_code(record.address, 2, record.code, 3);
    let answer = db.search(&query)?;
    println!("{} found by {}", answer.neighbors.len(), answer.stats.plan);

    assert!(db.delete(b"picture 42")?);
    assert_eq!(db.len(), 99);
    Ok(())
}
