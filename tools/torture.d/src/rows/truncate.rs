//! `truncate`: files of a closed database are cut, get junk at their end, or stand in each other's
//! place.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};

use crate::Context;
use crate::judge::{Judge, Verdict};
use crate::model::Model;
use crate::plan::{Flavour, generator};
use crate::report::Outcome;
use crate::rows::backups::Folder;
use crate::rows::sections::Large;
use crate::still;

/// Files are cut at multiples of this.
const STEP: usize = 512;
/// In a quick run of all but segments.
const QUICK_STEP: usize = 8192;

pub(crate) fn run(context: &Context) -> Result<Outcome> {
    let folder = context.folder_in_memory()?;
    let (whole, scratch) = (folder.path().join("whole"), folder.path().join("db"));
    let model = still::make(context.seed, Flavour::Still, &whole)?;
    still::replace(&whole, &scratch)?;
    let (judge, outcome) = (Judge::of(&model), Outcome::default());
    let mut bench = Bench { context, judge, whole, scratch, outcome, harmless: 0 };
    bench.cut_a_segment_everywhere()?;
    bench.cut_every_file()?;
    bench.append_junk()?;
    bench.swap_segments(&model)?;
    let full = context.full;
    Large::make(context)?.cuts(context, if full { 2000 } else { 20 }, &mut bench.outcome)?;
    Folder::make(context)?.cuts(context, if full { 100 } else { 4 }, &mut bench.outcome)?;
    bench.outcome.note(format!(
        "{} cuts and junk at the ends of files were harmless: logs, manifests, values of no record",
        bench.harmless
    ));
    Ok(bench.outcome)
}

/// What the damages are done to.
struct Bench<'a> {
    context: &'a Context,
    judge: Judge,
    whole: PathBuf,
    scratch: PathBuf,
    outcome: Outcome,
    /// Damages that were not noticed and changed nothing.
    harmless: u64,
}

impl Bench<'_> {
    fn files(&self) -> Result<Vec<(PathBuf, &'static str)>> {
        let files = still::files(&self.whole)?.into_iter().map(|file| {
            let kind = still::kind_of(&file);
            (file.strip_prefix(&self.whole).unwrap_or(&file).to_path_buf(), kind)
        });
        Ok(files.filter(|(_, kind)| *kind != "messages").collect())
    }

    /// Judges the scratch copy. `must` be noticed, or it may turn out not to matter.
    fn judge(&mut self, verb: &str, what: &str, must: bool) -> Result<()> {
        let verdict = self.judge.ask(verb, &self.scratch)?;
        self.outcome.round();
        let failure = match verdict {
            Verdict::Clean if must => "not noticed".to_owned(),
            Verdict::Clean => {
                self.harmless += 1;
                return Ok(());
            }
            Verdict::Refused(text) if text.is_empty() => "refused without a word".to_owned(),
            Verdict::Refused(_) | Verdict::Damaged(_) => {
                self.outcome.damaged += 1;
                return Ok(());
            }
            Verdict::Wrong(text) => {
                self.outcome.lost += 1;
                text
            }
            Verdict::Short(steps) => {
                self.outcome.lost += 1;
                format!("{steps} steps are silently gone")
            }
            Verdict::Crashed(text) => format!("crashed: {text}"),
        };
        self.outcome.fail(format!("{verb} {what} (seed {}): {failure}", self.context.seed));
        Ok(())
    }

    /// Puts `bytes` in the place of a file, judges, and mends it.
    fn with(
        &mut self,
        name: &Path,
        bytes: &[u8],
        what: &str,
        must: bool,
        write: bool,
    ) -> Result<()> {
        std::fs::write(self.scratch.join(name), bytes).context("damage a file")?;
        self.judge("read", what, must)?;
        if write {
            // Opening for writing mends a slot of the superblock that is gone.
            self.judge("write", what, must && name != Path::new("SUPERBLOCK"))?;
            still::replace(&self.whole, &self.scratch)
        } else {
            std::fs::copy(self.whole.join(name), self.scratch.join(name)).context("mend a file")?;
            Ok(())
        }
    }

    fn cut_a_segment_everywhere(&mut self) -> Result<()> {
        let segments = self.files()?.into_iter().filter(|(_, kind)| *kind == "seg");
        let sized = segments.map(|(name, _)| {
            let length = self.whole.join(&name).metadata().map_or(0, |file| file.len());
            (length, name)
        });
        let (length, name) = sized.max().context("a segment")?;
        let verdict = self.judge.ask("cuts", &self.whole.join(&name))?;
        self.outcome.rounds += length;
        self.outcome.damaged += length;
        if verdict != Verdict::Clean {
            self.outcome.fail(format!("cuts of {}: {verdict:?}", name.display()));
        }
        self.outcome.note(format!("a segment of {length} bytes was cut at every byte"));
        Ok(())
    }

    fn cut_every_file(&mut self) -> Result<()> {
        for (name, kind) in self.files()? {
            let bytes = std::fs::read(self.whole.join(&name)).context("read a file")?;
            let step = if self.context.full || kind == "seg" { STEP } else { QUICK_STEP };
            // The last bytes too: the end of a log or a manifest is the end of a record.
            let tail = bytes.len().saturating_sub(40)..bytes.len();
            let tail = tail.step_by(if self.context.full { 1 } else { 13 });
            for length in (0..bytes.len()).step_by(step).chain(tail) {
                if self.context.stopped() {
                    return Ok(());
                }
                let what = format!("{} cut at {length} of {}", name.display(), bytes.len());
                let write = length.is_multiple_of(8 * STEP) && kind != "seg";
                // What a blob file holds may belong to no record any more; where a value is missing
                // that a record has, the judge finds it.
                let must = matches!(kind, "seg" | "superblock" | "sst" | "current" | "weights");
                self.with(&name, &bytes[..length], &what, must, write)?;
            }
        }
        Ok(())
    }

    fn append_junk(&mut self) -> Result<()> {
        for (name, kind) in self.files()? {
            for length in [1, 64, 5000] {
                let mut random = generator(self.context.seed, 1 << 42 | length);
                let mut bytes = std::fs::read(self.whole.join(&name)).context("read a file")?;
                let zeros = random.bool();
                let junk = std::iter::repeat_with(|| if zeros { 0 } else { random.u8(..) });
                bytes.extend(junk.take(usize::try_from(length)?));
                let what = format!("{} with {length} bytes of junk", name.display());
                self.with(&name, &bytes, &what, kind == "seg", true)?;
            }
        }
        Ok(())
    }

    /// Two segments change places; an old one stands where a newer one was.
    fn swap_segments(&mut self, model: &Model) -> Result<()> {
        let segments: Vec<_> =
            self.files()?.into_iter().filter(|(_, kind)| *kind == "seg").collect();
        ensure!(segments.len() >= 2, "one segment only, after {} steps", model.steps);
        let read = |name: &PathBuf| std::fs::read(self.whole.join(name)).context("read a segment");
        let pairs: Vec<_> = segments.windows(2).map(|pair| (&pair[0].0, &pair[1].0)).collect();
        for (old, new) in pairs {
            let (old_bytes, new_bytes) = (read(old)?, read(new)?);
            std::fs::write(self.scratch.join(old), &new_bytes).context("swap segments")?;
            std::fs::write(self.scratch.join(new), &old_bytes).context("swap segments")?;
            let what = format!("{} and {} swapped", old.display(), new.display());
            let verdict = self.judge.ask("read", &self.scratch)?;
            note(&mut self.outcome, verdict, &what);
            std::fs::write(self.scratch.join(old), &old_bytes).context("mend a segment")?;
            let what = format!("{} in place of {}", old.display(), new.display());
            let verdict = self.judge.ask("read", &self.scratch)?;
            note(&mut self.outcome, verdict, &what);
            std::fs::write(self.scratch.join(new), &new_bytes).context("mend a segment")?;
        }
        Ok(())
    }
}

fn note(outcome: &mut Outcome, verdict: Verdict, what: &str) {
    outcome.round();
    match verdict {
        Verdict::Refused(_) => outcome.damaged += 1,
        other => outcome.fail(format!("{what}: {other:?}")),
    }
}
