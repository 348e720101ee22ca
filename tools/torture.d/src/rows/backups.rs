//! Part of `flip` and `truncate`: the files of a backup folder with two generations. Verify and restore
//! must both tell.

use std::path::PathBuf;

use anyhow::{Context as _, Result, ensure};
use hashdb::{Backup, Database, WriteOptions};

use crate::Context;
use crate::exam::STEPS_A_GENERATION;
use crate::judge::{Judge, Verdict};
use crate::plan::{Flavour, generator};
use crate::report::Outcome;
use crate::rows::flip::flip_bits;
use crate::still;

/// A backup folder that is whole.
pub(crate) struct Folder {
    _folder: tempfile::TempDir,
    path: PathBuf,
    /// Manifests, then stored files, by their whole names.
    kinds: [Vec<PathBuf>; 2],
    judge: Judge,
}

impl Folder {
    pub(crate) fn make(context: &Context) -> Result<Self> {
        let folder = context.folder_in_memory()?;
        let (db, path) = (folder.path().join("db"), folder.path().join("backups"));
        let mut model = still::make(context.seed, Flavour::Still, &db)?;
        let backup = Backup::at(&path);
        backup.create(&db).context("the first generation")?;
        let open = Database::open(&db, model.plan.options()).context("open")?;
        for _ in 0..STEPS_A_GENERATION {
            let step = model.advance();
            open.write(step.batch(), WriteOptions { sync: step.sync }).context("write")?;
        }
        open.seal().context("seal")?;
        open.backup(&backup).context("the second generation")?;
        drop(open);
        let kinds = ["generations", "files"].map(|name| still::files(&path.join(name)));
        let [manifests, stored] = kinds;
        let (manifests, stored) = (manifests?, stored?);
        ensure!(manifests.len() == 2 && stored.len() > 5, "the folder has other files");
        let mut judge = Judge::of(&model);
        let verdict = judge.ask("backups", &path)?;
        ensure!(verdict == Verdict::Clean, "the whole folder is {verdict:?}");
        Ok(Self { _folder: folder, path, kinds: [manifests, stored], judge })
    }

    /// Puts other bytes in the place of a file, asks, and mends it.
    fn ask(
        &mut self,
        file: &PathBuf,
        bytes: &[u8],
        what: &str,
        outcome: &mut Outcome,
    ) -> Result<()> {
        let whole = std::fs::read(file).context("read a file")?;
        std::fs::write(file, bytes).context("damage a file")?;
        outcome.round();
        let verdict = self.judge.ask("backups", &self.path)?;
        std::fs::write(file, whole).context("mend a file")?;
        match verdict {
            Verdict::Damaged(text) if !text.is_empty() => outcome.damaged += 1,
            verdict => {
                outcome.lost += 1;
                let name = file.strip_prefix(&self.path).unwrap_or(file).display().to_string();
                outcome.fail(format!("backup folder, {name}, {what}: {verdict:?}"));
            }
        }
        Ok(())
    }

    /// Flips bits, in manifests and in stored files in turn.
    pub(crate) fn flips(
        &mut self,
        context: &Context,
        rounds: u64,
        outcome: &mut Outcome,
    ) -> Result<()> {
        for round in 0..rounds {
            if context.stopped() {
                break;
            }
            let mut random = generator(context.seed, 1 << 51 | round);
            let files = &self.kinds[usize::from(round % 4 != 0)];
            let file = files[random.usize(..files.len())].clone();
            let bytes = std::fs::read(&file).context("read a file")?;
            if bytes.is_empty() {
                continue;
            }
            let (flipped, what) = flip_bits(&bytes, &mut random);
            self.ask(&file, &flipped, &what, outcome)?;
        }
        outcome.note(format!("backup folder: {rounds} flips, a quarter of them in manifests"));
        Ok(())
    }

    /// Cuts every file, lets it grow, and takes it away.
    pub(crate) fn cuts(
        &mut self,
        context: &Context,
        cuts_a_file: u64,
        outcome: &mut Outcome,
    ) -> Result<()> {
        let files: Vec<_> = self.kinds.iter().flatten().cloned().collect();
        for (number, file) in files.iter().enumerate() {
            let bytes = std::fs::read(file).context("read a file")?;
            let mut random = generator(context.seed, 1 << 52 | number as u64);
            let mut lengths = vec![0, bytes.len().saturating_sub(1)];
            lengths.extend((2..cuts_a_file).map(|_| random.usize(..bytes.len().max(1))));
            for length in lengths {
                if context.stopped() {
                    return Ok(());
                }
                if length < bytes.len() {
                    self.ask(file, &bytes[..length], &format!("cut at {length}"), outcome)?;
                }
            }
            self.ask(file, &[&bytes[..], &[0]].concat(), "with a byte more", outcome)?;
        }
        outcome.note(format!("backup folder: {} files cut and let grow", files.len()));
        Ok(())
    }
}
