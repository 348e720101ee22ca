//! From pictures to neighbours: the default encoder, the engine, and a search with a noisy copy.
//! Programs that have files call `hashdb::ingest::ingest_with`; here the pictures are drawn.
//!
//! Run: `cargo run --features encoder --example image_search`

use hashdb::model::{DeviceChoice, Encoder as _, Pixels, default_encoder};
use hashdb::{Database, EncoderModel, Options, Query, Readable as _, WriteBatch, WriteOptions};

const SIDE: u32 = 32;

/// A disc on a ground, each in a colour of its own.
fn draw(number: u32, noise: u32) -> Vec<u8> {
    let (left, top, radius) = (6 + number * 7 % 20, 6 + number * 11 % 20, 3 + number * 5 % 9);
    let mut pixels = Vec::new();
    for (row, column) in (0..SIDE).flat_map(|row| (0..SIDE).map(move |column| (row, column))) {
        let inside = row.abs_diff(top).pow(2) + column.abs_diff(left).pow(2) <= radius * radius;
        for channel in 0..3 {
            let tone = if inside { number * 83 + channel * 57 } else { number * 29 + channel * 91 };
            let grain = (row * 31 + column * 17 + channel) % (noise + 1);
            pixels.push(u8::try_from((tone % 224 + grain) % 256).unwrap_or(u8::MAX));
        }
    }
    pixels
}

#[expect(clippy::print_stdout, reason = "an example shows what it finds")]
fn main() -> Result<(), Box<dyn std::error::Error>> {
    let encoder = default_encoder(DeviceChoice::Cpu)?;
    let directory = tempfile::tempdir()?;
    // The database keeps the encoder's weights and refuses codes of any other.
    let fingerprint = encoder.fingerprint().to_string();
    let model = EncoderModel { fingerprint, weights: encoder.to_bytes()? };
    let options = Options::new().encoder(model);
    let db = Database::create(directory.path().join("db"), options)?;

    let pictures =
        (0..60).map(|number| Pixels::new(draw(number, 0))).collect::<Result<Vec<_>, _>>()?;
    let mut batch = WriteBatch::new();
    for (number, encoded) in encoder.encode(&pictures)?.into_iter().enumerate() {
        batch.put(format!("disc {number}").as_bytes(), encoded.address, encoded.code, b"");
    }
    db.write(batch, WriteOptions::default())?;

    // A noisy copy of picture 17, by code, and by code within a ball around its address.
    let noisy = encoder.encode(&[Pixels::new(draw(17, 12))?])?.remove(0);
    for query in [
        Query::knn(noisy.code.clone(), 3),
        Query::ball_then_code(noisy.address, 8, noisy.code.clone(), 3),
    ] {
        let answer = db.search(&query)?;
        println!("{}:", answer.stats.plan);
        for neighbor in &answer.neighbors {
            let key = db.record(neighbor)?.key;
            println!("  {:3} bits  {}", neighbor.distance, String::from_utf8_lossy(&key));
        }
    }
    let nearest = db.knn(&noisy.code, 1)?;
    assert_eq!(db.record(&nearest[0])?.key, b"disc 17");
    Ok(())
}
