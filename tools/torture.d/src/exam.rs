//! What the judge asks of files beside records: an encoder's weights, a segment that carries every
//! index, a backup folder.

use std::path::Path;

use anyhow::{Context as _, Result};
use hashdb::internals::db::{Probe, ProbedSegment};
use hashdb::model::{Autoencoder, DeviceChoice, Encoder as _, Pixels};
use hashdb::{Backup, Database, EncoderModel, Level};

use crate::child::remove;
use crate::judge::Verdict;
use crate::model::{Model, read};

/// Steps between the two generations of a backup folder that is damaged.
pub(crate) const STEPS_A_GENERATION: u64 = 15;

/// A small encoder, the same for the same seed.
fn encoder(seed: u64) -> Result<Autoencoder> {
    Ok(Autoencoder::random(&[8, 192], &[8, 12], seed, DeviceChoice::Cpu)?)
}

/// The same as a database takes it.
pub(crate) fn encoder_model(seed: u64) -> Result<EncoderModel> {
    let encoder = encoder(seed)?;
    let fingerprint = encoder.fingerprint().to_string();
    Ok(EncoderModel { fingerprint, weights: encoder.to_bytes()? })
}

/// Loads the encoder of a database, as the command does. `Ok(Some(text))` is damage that was named;
/// an error an encoder that was loaded and is another.
pub(crate) fn weights(db: &Database, seed: u64) -> Result<Option<String>> {
    let Some(name) = db.encoder() else { return Ok(None) };
    let bytes = match db.read_model() {
        Ok(bytes) => bytes,
        Err(error) => return Ok(Some(error.to_string())),
    };
    let loaded = match Autoencoder::from_bytes(&bytes, DeviceChoice::Cpu) {
        Ok(loaded) => loaded,
        Err(error) => return Ok(Some(error.to_string())),
    };
    if loaded.fingerprint().to_string() != name {
        return Ok(Some(format!("the encoder has fingerprint {}", loaded.fingerprint())));
    }
    let mut random = fastrand::Rng::with_seed(seed);
    let pixels: Vec<u8> = (0..Pixels::BYTES).map(|_| random.u8(..)).collect();
    let picture = [Pixels::new(pixels)?];
    let (expected, found) = (encoder(seed)?.margins(&picture)?, loaded.margins(&picture)?);
    anyhow::ensure!(expected == found, "the encoder has its fingerprint and other weights");
    Ok(None)
}

/// Opens bytes as a segment and asks it everything.
pub(crate) fn probe(bytes: &[u8]) -> hashdb::Result<()> {
    let segment = ProbedSegment::of_bytes(bytes)?;
    segment.open_indexes()?;
    segment.ask(&Probe { level: Level::best(), address: 77, radius: 2, code: 0x5a, k: 10 })?;
    segment.verify()
}

/// A segment file by itself.
pub(crate) fn segment(path: &Path) -> Result<Verdict> {
    let bytes = std::fs::read(path).context("read the segment")?;
    Ok(match probe(&bytes) {
        Ok(()) => Verdict::Clean,
        Err(error) => Verdict::Refused(error.to_string()),
    })
}

/// Every cut of a segment file must be refused.
pub(crate) fn cuts(path: &Path) -> Result<Verdict> {
    let bytes = std::fs::read(path).context("read the segment")?;
    if let Err(error) = probe(&bytes) {
        return Ok(Verdict::Wrong(format!("the whole segment is refused: {error}")));
    }
    for length in 0..bytes.len() {
        if probe(&bytes[..length]).is_ok() {
            return Ok(Verdict::Wrong(format!("a cut at byte {length} was not noticed")));
        }
    }
    Ok(Verdict::Clean)
}

/// A backup folder with two generations, the newer one of the state of `model`. What verify says and
/// what restoring says must agree, and what is restored must be right.
pub(crate) fn backups(path: &Path, model: &Model) -> Result<Verdict> {
    let backup = Backup::at(path);
    let told = match backup.verify() {
        Err(error) => Some(error.to_string()),
        Ok(report) => report.damages.first().map(|damage| damage.description.clone()),
    };
    let mut refused = None;
    for number in [1, 2] {
        let target = path.with_extension("restored");
        remove(&target)?;
        if let Err(error) = backup.restore(Some(number), &target) {
            if Database::exists(&target) {
                return Ok(Verdict::Wrong("a restore that failed left a database".to_owned()));
            }
            refused.get_or_insert(error.to_string());
            continue;
        }
        let mut then = Model::new(model.plan);
        then.advance_to(model.steps - (2 - number) * STEPS_A_GENERATION);
        let held = Database::open(&target, model.plan.options()).context("open").and_then(|db| {
            anyhow::ensure!(read(&db)? == then.records, "it holds other records");
            then.check(&db)?;
            weights(&db, model.plan.seed)
        });
        match held {
            Ok(None) => {}
            Ok(Some(text)) => return Ok(Verdict::Wrong(format!("restored with weights: {text}"))),
            Err(error) => {
                return Ok(Verdict::Wrong(format!("generation {number} restored: {error:#}")));
            }
        }
    }
    Ok(match (told, refused) {
        (None, None) => Verdict::Clean,
        (Some(told), Some(_)) => Verdict::Damaged(told),
        (Some(told), None) => Verdict::Wrong(format!("all is restored, verify says: {told}")),
        (None, Some(text)) => Verdict::Wrong(format!("verify says nothing, restore: {text}")),
    })
}
