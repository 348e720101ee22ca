//! Writes alone, and an ingest as a whole, on the device and on the CPU.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use hashdb::ingest::{IngestOptions, ingest_in_flight};
use hashdb::model::{Encoded, Encoder as _, Model, Pixels};
use hashdb::{Database, Options, Readable as _, WriteBatch, WriteOptions};
use serde::Serialize;

use super::compare::Difference;
use super::measure::Stage;
use crate::encoder;

/// An ingest of the made JPEGs.
#[derive(Debug, Serialize)]
pub(super) struct Whole {
    pub(super) images: usize,
    pub(super) batch: usize,
    pub(super) images_per_second: f64,
    /// The same on the CPU, in batches of 256.
    pub(super) cpu_images_per_second: f64,
    /// Pictures that gave no record on the device, or on the CPU.
    pub(super) missing: usize,
    /// The records' codes on the device against those on the CPU.
    pub(super) against_cpu: Difference,
}

/// A folder that goes with what is in it.
pub(super) struct Work(PathBuf);

impl Work {
    /// Makes a new folder, below the system's for such files unless the user names one that is absent.
    pub(super) fn new(named: Option<&Path>) -> Result<Self> {
        let unique = format!("hashdb-device-check-{}", std::process::id());
        let path = named.map_or_else(|| std::env::temp_dir().join(unique), Path::to_path_buf);
        make_folder(&path)?;
        Ok(Self(path))
    }

    fn database(&self, name: &str, encoder: &Model) -> Result<Database> {
        let options = Options::new().code_bits(encoder.code_bits());
        Ok(Database::create(self.0.join(name), options.address_bits(encoder.address_bits()))?)
    }
}

impl Drop for Work {
    fn drop(&mut self) {
        // What cannot be removed stays in the folder for such files.
        let _stays = std::fs::remove_dir_all(&self.0);
    }
}

#[expect(clippy::disallowed_methods, reason = "the error names the path")]
fn make_folder(path: &Path) -> Result<()> {
    std::fs::create_dir(path).with_context(|| format!("cannot make {}", path.display()))
}

#[expect(clippy::disallowed_methods, reason = "the error names the path")]
fn write_file(path: &Path, bytes: &[u8]) -> Result<()> {
    std::fs::write(path, bytes).with_context(|| format!("cannot write {}", path.display()))
}

/// Writes the codes of all pictures, a batch after the other, as an ingest does: they are durable in the end.
pub(super) fn write(
    work: &Work,
    device: &Model,
    pictures: &[Pixels],
    batch: usize,
) -> Result<Stage> {
    let encoded = device.encode(pictures)?;
    let db = work.database("written", device)?;
    let mut time = Duration::ZERO;
    for (number, encoded) in encoded.chunks(batch).enumerate() {
        let started = Instant::now();
        let mut records = WriteBatch::new();
        for (row, Encoded { address, code }) in encoded.iter().enumerate() {
            let key = format!("picture-{:012}", number * batch + row);
            records.put(key.as_bytes(), *address, code.clone(), b"");
        }
        db.write(records, WriteOptions { sync: false })?;
        time += started.elapsed();
    }
    let started = Instant::now();
    db.sync()?;
    time += started.elapsed();
    Ok(Stage::new("write", time, pictures.len()))
}

/// Ingests the JPEGs from files, on the device and on the CPU.
pub(super) fn ingest(
    work: &Work,
    device: &Model,
    cpu: &Model,
    jpegs: &[Vec<u8>],
    batch: usize,
    threads: usize,
) -> Result<Whole> {
    let folder = work.0.join("jpegs");
    make_folder(&folder)?;
    let path = |number: usize| folder.join(format!("{number:08}.jpg"));
    for (number, jpeg) in jpegs.iter().enumerate() {
        write_file(&path(number), jpeg)?;
    }
    let run = |name, encoder: &Model, batch| -> Result<(Database, f64)> {
        let db = work.database(name, encoder)?;
        let options = IngestOptions::default().threads(threads).batch(batch);
        let submit = |pictures| encoder::submit(encoder, pictures, false);
        let report =
            ingest_in_flight(&db, std::slice::from_ref(&folder), &options, &submit, &mut ())?;
        db.sync()?;
        Ok((db, report.done as f64 / report.elapsed.as_secs_f64().max(1e-9)))
    };
    let (on_device, images_per_second) = run("device", device, batch)?;
    let (on_cpu, cpu_images_per_second) = run("cpu", cpu, 256)?;
    let (mut codes, mut reference, mut missing) = (Vec::new(), Vec::new(), 0);
    for number in 0..jpegs.len() {
        let key = path(number).into_os_string().into_encoded_bytes();
        match (on_device.get(&key)?, on_cpu.get(&key)?) {
            (Some(one), Some(other)) => {
                codes.push(Encoded { address: one.address, code: one.code });
                reference.push(Encoded { address: other.address, code: other.code });
            }
            _ => missing += 1,
        }
    }
    let against_cpu = Difference::between(&codes, &reference);
    let images = jpegs.len();
    Ok(Whole { images, batch, images_per_second, cpu_images_per_second, missing, against_cpu })
}

impl Whole {
    /// What is wrong, a sentence each.
    pub(super) fn problems(&self, most_f32_share: f64) -> Vec<String> {
        let mut problems = Vec::new();
        if self.missing > 0 {
            problems.push(format!("{} of the ingested pictures gave no record", self.missing));
        }
        let share = self.against_cpu.share;
        if share > most_f32_share {
            problems.push(format!(
                "a share of {share:.2e} of the ingested bits differs from the CPU's, more than {most_f32_share:.0e}"
            ));
        }
        problems
    }
}
