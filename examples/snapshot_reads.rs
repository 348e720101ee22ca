//! A snapshot shows one moment, whatever is written after it: the same answers for a report that
//! takes its time while a writer goes on.
//!
//! Run: `cargo run --example snapshot_reads`

use hashdb::{Address, Code, Database, Options, Readable as _};

#[expect(clippy::print_stdout, reason = "an example shows what it finds")]
fn main() -> Result<(), Box<dyn std::error::Error>> {
    let directory = tempfile::tempdir()?;
    let options = Options::new().code_bits(64).address_bits(16);
    let db = Database::create(directory.path().join("db"), options)?;
    let put = |number: u16| {
        let code = Code::from_bytes(&u64::from(number).to_be_bytes())?;
        db.put(format!("key {number}").as_bytes(), Address::new(number.into(), 16)?, code, b"")
    };
    (0..50).try_for_each(put)?;

    let snapshot = db.snapshot();
    let code = Code::from_bytes(&[0; 8])?;
    let before = snapshot.knn(&code, 10)?;

    // Meanwhile records come and go, and the segments are rewritten.
    (50..80).try_for_each(put)?;
    for number in 0..40 {
        db.delete(format!("key {number}").as_bytes())?;
    }
    db.compact()?;

    println!("now {} records, in the snapshot {}", db.len(), snapshot.len());
    assert_eq!((db.len(), snapshot.len()), (40, 50));
    assert_eq!(snapshot.knn(&code, 10)?, before);
    assert_ne!(db.knn(&code, 10)?, before);
    // Records of the snapshot can still be read, deleted or not.
    for neighbor in &before {
        let record = snapshot.record(neighbor)?;
        println!("{} bits: {}", neighbor.distance, String::from_utf8_lossy(&record.key));
    }
    Ok(())
}
