//! `hashdb backup`: generations of a database in a backup folder.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use anyhow::Result;
use hashdb::{Backup, BackupCreated, BackupProgress, BackupReport, Generation};
use serde::Serialize;

use crate::damages::{self, DamageLine};
use crate::exit::{Exit, Usage};
use crate::output::{Output, note};
use crate::progress::{Meter, Mode, State};
use crate::text;

/// Add a state of a database to a backup folder, or look at what is in one
///
/// `hashdb backup DB DIR` works also while another process writes to DB. Files that DIR holds already are not written again;
/// a backup that is killed leaves the earlier generations whole, and the next one removes
/// what is left over. `hashdb backup DIR --list` and `hashdb backup DIR --verify` only read.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The database directory and the backup folder, or with --list or --verify the folder alone
    #[arg(value_names = ["DB", "DIR"], num_args = 1..=2, required = true)]
    paths: Vec<PathBuf>,
    /// Remove the oldest generations beyond this many [default: keep all]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    keep: Option<u32>,
    /// Read the stored files that the new generation shares with earlier ones too, and store those that are damaged
    /// again
    #[arg(long)]
    recheck: bool,
    /// Read every byte of every generation and name what is damaged
    #[arg(long)]
    verify: bool,
    /// List the generations
    #[arg(long)]
    list: bool,
    /// How to show progress [default: bar on a terminal, plain otherwise]
    #[arg(long, value_enum)]
    progress: Option<Mode>,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// The answer in JSON; what was not asked for is left out.
#[derive(Debug, Default, Serialize)]
struct Answer {
    path: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    created: Option<Created>,
    #[serde(skip_serializing_if = "Option::is_none")]
    generations: Option<Vec<Listed>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    verified: Option<Verified>,
}

#[derive(Debug, Serialize)]
struct Created {
    #[serde(flatten)]
    generation: Listed,
    new_files: u64,
    new_bytes: u64,
    pruned: Vec<u64>,
    damaged: Vec<u64>,
    seconds: f64,
}

/// A generation in JSON.
#[derive(Debug, Serialize)]
pub(super) struct Listed {
    generation: u64,
    created_unix: u64,
    sequence: u64,
    records: u64,
    files: u64,
    bytes: u64,
}

#[derive(Debug, Serialize)]
struct Verified {
    clean: bool,
    whole: Vec<u64>,
    damaged: Vec<u64>,
    files: u64,
    bytes: u64,
    damages: Vec<DamageLine>,
}

/// Backs up, verifies and lists, as far as that is asked for.
pub(crate) fn run(args: &Args) -> Result<Exit> {
    let (database, folder) = match args.paths.as_slice() {
        [database, folder] => (Some(database), folder),
        [folder] if args.list || args.verify => (None, folder),
        _ => return Err(Usage("name the database and the backup folder".into()).into()),
    };
    for (given, name) in [(args.keep.is_some(), "--keep"), (args.recheck, "--recheck")] {
        if given && database.is_none() {
            let sentence = format!("{name} goes with a new backup: name the database too");
            return Err(Usage(sentence).into());
        }
    }
    let mut backup = Backup::at(folder).recheck(args.recheck);
    if let Some(keep) = args.keep {
        backup = backup.keep(usize::try_from(keep).unwrap_or(usize::MAX));
    }
    let mut answer = Answer { path: folder.display().to_string(), ..Answer::default() };
    if let Some(database) = database {
        answer.created = Some(create(args, &backup, database)?);
    }
    if args.list {
        answer.generations = Some(backup.list()?.iter().map(Listed::from).collect());
    }
    if args.verify {
        let watched = Watched::new(args.progress, "verified");
        let report = watched.finish(watched.watch(&backup).verify())?;
        answer.verified = Some(Verified::from(&report));
    }
    let mut output = Output::new();
    if args.json {
        output.json(&answer)?;
    } else {
        show(&mut output, &answer)?;
    }
    output.finish()?;
    match answer.verified {
        Some(Verified { clean: false, .. }) => {
            let path = text::one_line(&answer.path);
            note(&format!(
                "{path} is damaged; hashdb backup DB {path} --recheck stores again what the database still has"
            ));
            Ok(Exit::Damaged)
        }
        _ => Ok(Exit::Done),
    }
}

fn create(args: &Args, backup: &Backup, database: &Path) -> Result<Created> {
    let started = Instant::now();
    let watched = Watched::new(args.progress, "backed up");
    let created = watched.finish(watched.watch(backup).create(database))?;
    for number in &created.damaged {
        note(&format!("the manifest of generation {number} is damaged; no file is removed"));
    }
    let BackupCreated { generation, new_files, new_bytes, pruned, damaged, .. } = created;
    Ok(Created {
        generation: Listed::from(&generation),
        new_files,
        new_bytes,
        pruned,
        damaged,
        seconds: started.elapsed().as_secs_f64(),
    })
}

fn show(output: &mut Output, answer: &Answer) -> Result<()> {
    if let Some(created) = &answer.created {
        let Listed { generation, records, files, bytes, .. } = &created.generation;
        output.line(format_args!(
            "generation {generation}: {} records in {files} files, {}",
            text::count(*records),
            text::bytes(*bytes)
        ))?;
        output.line(format_args!(
            "{} new files, {}, in {:.1} s",
            created.new_files,
            text::bytes(created.new_bytes),
            created.seconds
        ))?;
        if !created.pruned.is_empty() {
            output.line(format_args!("removed generations {}", numbers(&created.pruned)))?;
        }
    }
    if let Some(generations) = &answer.generations {
        let header = ["generation", ">age", ">records", ">files", ">bytes", ">sequence"];
        let row = |listed: &Listed| {
            vec![
                listed.generation.to_string(),
                age(listed.created_unix),
                text::count(listed.records),
                listed.files.to_string(),
                text::bytes(listed.bytes),
                listed.sequence.to_string(),
            ]
        };
        output.table(&header, generations.iter().map(row).collect())?;
    }
    if let Some(verified) = &answer.verified {
        damages::show(output, &verified.damages)?;
        let (files, bytes) = (text::count(verified.files), text::bytes(verified.bytes));
        let whole = numbers(&verified.whole);
        match verified.damaged.as_slice() {
            [] => output
                .line(format_args!("no damage: read {files} files, {bytes}; whole: {whole}"))?,
            damaged => output.line(format_args!(
                "damaged: {}; whole: {whole}; read {files} files, {bytes}",
                numbers(damaged)
            ))?,
        }
    }
    Ok(())
}

fn numbers(numbers: &[u64]) -> String {
    match numbers {
        [] => "none".to_owned(),
        numbers => numbers.iter().map(u64::to_string).collect::<Vec<_>>().join(", "),
    }
}

/// How long ago a generation was made.
fn age(created: u64) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |now| now.as_secs());
    text::seconds(now.saturating_sub(created))
}

impl From<&Generation> for Listed {
    fn from(generation: &Generation) -> Self {
        Self {
            generation: generation.number,
            created_unix: generation.created,
            sequence: generation.sequence,
            records: generation.records,
            files: generation.files,
            bytes: generation.bytes,
        }
    }
}

impl From<&BackupReport> for Verified {
    fn from(report: &BackupReport) -> Self {
        Self {
            clean: report.is_clean(),
            whole: report.whole.clone(),
            damaged: report.damaged.clone(),
            files: report.files,
            bytes: report.bytes,
            damages: damages::lines(&report.damages),
        }
    }
}

/// Progress by bytes on standard error.
pub(super) struct Watched {
    shown: Arc<Mutex<(Meter, Bytes)>>,
}

/// How far the reading of files is.
#[derive(Debug, Serialize)]
struct Bytes {
    what: &'static str,
    done_bytes: u64,
    total_bytes: u64,
}

impl State for Bytes {
    fn line(&self) -> String {
        let (done, total) = (text::bytes(self.done_bytes), text::bytes(self.total_bytes));
        format!("{} {done} of {total}", self.what)
    }

    fn fraction(&self) -> Option<f64> {
        Some(self.done_bytes as f64 / self.total_bytes.max(1) as f64)
    }
}

impl Watched {
    pub(super) fn new(mode: Option<Mode>, what: &'static str) -> Self {
        let bytes = Bytes { what, done_bytes: 0, total_bytes: 0 };
        Self { shown: Arc::new(Mutex::new((Meter::new(mode), bytes))) }
    }

    /// The same folder, with its progress shown here.
    pub(super) fn watch(&self, backup: &Backup) -> Backup {
        let shown = Arc::clone(&self.shown);
        backup.clone().progress(move |BackupProgress { done_bytes, total_bytes }| {
            let (meter, bytes) = &mut *shown.lock().unwrap_or_else(PoisonError::into_inner);
            *bytes = Bytes { done_bytes, total_bytes, ..*bytes };
            meter.show(bytes);
        })
    }

    /// Shows the end of a job that came to one.
    pub(super) fn finish<T>(&self, done: hashdb::Result<T>) -> Result<T> {
        let done = done?;
        let (meter, bytes) = &mut *self.shown.lock().unwrap_or_else(PoisonError::into_inner);
        meter.finish(bytes);
        Ok(done)
    }
}
