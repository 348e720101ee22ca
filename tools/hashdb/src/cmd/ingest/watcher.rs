//! Watches an ingest: shows how far it is, and keeps what was rejected.

use std::collections::HashSet;
use std::fs::File;
use std::hash::{BuildHasher as _, RandomState};
use std::io::{BufWriter, Write as _};
use std::path::{Path, PathBuf};

use anyhow::Result;
use hashdb::ingest::{
    IngestError, NotedReject, Observer, Progress, Reject, Stage, for_each_noted_reject,
    write_reject,
};
use hashdb::{Database, Error};

use super::shown::{Rates, Shown};
use crate::output::note;
use crate::progress::{Meter, Mode};
use crate::signals::Interrupt;
use crate::{files, text};

/// Rejects that are named on standard error where no file takes them.
const NAMED_REJECTS: u64 = 10;

/// Shows progress and keeps the rejects.
pub(super) struct Watcher {
    meter: Meter,
    rejects: Option<Rejects>,
    last: Progress,
    rates: Rates,
    rejected: u64,
    told: Told,
    interrupt: Interrupt,
    /// The user knows that the interrupt was seen.
    stopping: bool,
}

/// What was rejected in this run: hashes of the keys, since there may be millions.
#[derive(Default)]
struct Told {
    hashers: [RandomState; 2],
    hashes: HashSet<[u64; 2]>,
}

impl Told {
    fn hash(&self, key: &[u8]) -> [u64; 2] {
        self.hashers.each_ref().map(|hasher| hasher.hash_one(key))
    }

    fn insert(&mut self, key: &[u8]) {
        self.hashes.insert(self.hash(key));
    }

    fn contains(&self, key: &[u8]) -> bool {
        self.hashes.contains(&self.hash(key))
    }
}

/// The file that names every reject.
struct Rejects {
    path: PathBuf,
    file: BufWriter<File>,
}

impl Rejects {
    fn create(path: &Path) -> Result<Self> {
        let file = BufWriter::new(files::create(path)?);
        Ok(Self { path: path.to_path_buf(), file })
    }

    fn write(&mut self, key: &[u8], stage: Stage, kind: &str, cause: &str) -> Result<(), Error> {
        write_reject(&mut self.file, key, stage, kind, cause).map_err(self.failed())
    }

    fn failed(&self) -> impl FnOnce(std::io::Error) -> Error {
        let path = self.path.clone();
        move |source| Error::Io { path, op: "write", source }
    }
}

impl Observer for Watcher {
    fn progress(&mut self, progress: &Progress) {
        self.last = progress.clone();
        if self.interrupt.is_set() && !self.stopping {
            self.stopping = true;
            self.meter
                .note("stopping: what is decoded is still written; Ctrl-C again ends at once");
        }
        self.rates.learn(progress);
        self.meter.show(&Shown::new(progress, &self.rates));
    }

    fn reject(&mut self, reject: Reject) -> Result<(), IngestError> {
        self.rejected += 1;
        self.told.insert(&reject.key);
        if let Some(rejects) = &mut self.rejects {
            rejects.write(&reject.key, reject.stage, reject.kind, &reject.cause)?;
        } else if self.rejected <= NAMED_REJECTS {
            let (key, cause) = (text::key(&reject.key), text::one_line(&reject.cause));
            self.meter.note(&format!("rejected {key}: {cause}"));
        }
        Ok(())
    }
}

impl Watcher {
    pub(super) fn new(
        progress: Option<Mode>,
        rejects: Option<&Path>,
        interrupt: Interrupt,
    ) -> Result<Self> {
        Ok(Self {
            meter: Meter::new(progress),
            rejects: rejects.map(Rejects::create).transpose()?,
            last: Progress::default(),
            rates: Rates::default(),
            rejected: 0,
            told: Told::default(),
            interrupt,
            stopping: false,
        })
    }

    /// Tells of the end, and of the rejects of earlier runs that were passed over in this one.
    pub(super) fn finish(
        mut self,
        db: &Database,
        given: &[PathBuf],
        listed: &[PathBuf],
    ) -> Result<()> {
        self.meter.finish(&Shown::new(&self.last, &self.rates));
        let mut earlier = 0;
        for_each_noted_reject(
            db,
            given,
            listed,
            &mut |NotedReject { key, stage, kind, cause }| {
                if !self.told.contains(&key) {
                    earlier += 1;
                    if let Some(rejects) = &mut self.rejects {
                        rejects.write(&key, stage, &kind, &cause)?;
                    }
                }
                Ok(())
            },
        )?;
        if earlier > 0 {
            let count = text::count(earlier);
            note(&format!(
                "{count} that earlier runs rejected were passed over; --retry-rejects tries them again"
            ));
        }
        match &mut self.rejects {
            Some(rejects) => {
                let flushed = rejects.file.flush();
                flushed.map_err(rejects.failed())?;
            }
            None if self.rejected > NAMED_REJECTS => {
                let more = text::count(self.rejected - NAMED_REJECTS);
                note(&format!("and {more} more rejects; --rejects FILE names them all"));
            }
            None => {}
        }
        Ok(())
    }
}
