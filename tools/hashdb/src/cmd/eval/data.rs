//! The pictures of an evaluation and their labels: from the shards of a protocol, or from a database and
//! the pictures that ask it.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, anyhow, bail};
use clap::ValueEnum;
use hashdb::eval::{Classes, LabelSource, LabelTable};
use hashdb::ingest::{IngestOptions, PIXEL_BYTES, Pictures, collect_pictures};
use hashdb::model::{Model, PATCHES};
use hashdb::{Database, Readable as _};

use super::{Args, LabelsChoice};
use crate::decoding::Decoding;
use crate::files;
use crate::output::note;
use crate::text;

/// Longest table of labels that is read, in bytes.
const MAX_LABELS: u64 = 1 << 30;
/// Training shards of CIFAR-10, 5,000 pictures each.
const TRAIN_SHARDS: usize = 10;
/// Test shards of CIFAR-10, 5,000 pictures each.
const TEST_SHARDS: usize = 2;

/// Which pictures are the database and which the queries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Protocol {
    /// CIFAR-10: all 50,000 training pictures, asked by the test pictures at hand
    Cifar10,
    /// CIFAR-10, small: the first 5,000 training pictures, asked by the first 5,000 test pictures
    #[value(name = "cifar10-5k")]
    Cifar10Small,
}

/// Pictures, or codes out of a database, and a label for each.
pub(super) struct Items {
    pub(super) labels: Vec<u16>,
    pub(super) kind: Kind,
}

pub(super) enum Kind {
    Pixels(Vec<u8>),
    /// Codes and addresses of a database: 4 bytes an address, little-endian.
    Codes {
        codes: Vec<u8>,
        addresses: Vec<u8>,
        /// The addresses of patches, [`PATCHES`] a record; none where they were not asked for.
        patches: Vec<u32>,
    },
}

/// What is evaluated.
pub(super) struct Data {
    /// The protocol and its size, for people.
    pub(super) title: String,
    pub(super) items: Items,
    pub(super) queries: Items,
    /// The encoder of the database, where there is one.
    pub(super) encoder: Option<Model>,
    /// Whether queries are items themselves.
    pub(super) inside: bool,
    /// Inputs that are no pictures and were left out.
    pub(super) rejected: u64,
}

impl Items {
    /// The pixels of all, one picture after the other.
    pub(super) fn pixels(&self) -> Result<&[u8]> {
        match &self.kind {
            Kind::Pixels(pixels) => Ok(pixels),
            Kind::Codes { .. } => Err(anyhow!("a database holds no pixels")),
        }
    }
}

impl Data {
    /// Lets as many items of the database ask as there are queries.
    pub(super) fn ask_from_inside(&mut self) {
        let count = self.queries.labels.len().min(self.items.labels.len());
        let first = |bytes: &[u8], all: usize| bytes[..bytes.len() / all.max(1) * count].to_vec();
        let all = self.items.labels.len();
        self.queries.kind = match &self.items.kind {
            Kind::Pixels(pixels) => Kind::Pixels(first(pixels, all)),
            Kind::Codes { codes, addresses, patches } => Kind::Codes {
                codes: first(codes, all),
                addresses: first(addresses, all),
                patches: patches[..patches.len() / all.max(1) * count].to_vec(),
            },
        };
        self.queries.labels = self.items.labels[..count].to_vec();
        self.inside = true;
        self.title += "; queries inside the database";
    }
}

/// The pictures of a protocol.
pub(super) fn of_protocol(args: &Args) -> Result<Data> {
    let protocol = args.protocol.context("neither --protocol nor --db was given")?;
    let (train, test, title) = shards(protocol, &args.data)?;
    let ((items, few), (queries, more)) = (pictures(args, &train)?, pictures(args, &test)?);
    let labels = labels(args)?;
    let mut classes = Classes::default();
    let (items, queries) = labelled(&labels, &mut classes, items, queries)?;
    check_common(&items, &queries)?;
    let title = sized(&title, items.labels.len(), queries.labels.len());
    Ok(Data { title, items, queries, encoder: None, inside: false, rejected: few + more })
}

/// The codes of a database, and the pictures that ask it.
pub(super) fn of_database(args: &Args, db: &Database, encoder: Model) -> Result<Data> {
    let (test, title) = match args.protocol {
        Some(protocol) => {
            let (_, test, title) = shards(protocol, &args.data)?;
            (test, title)
        }
        None => (args.queries.clone(), args.queries_title()),
    };
    let (mut keys, mut codes, mut addresses) = (Vec::new(), Vec::new(), Vec::new());
    let mut patches = Vec::new();
    for record in db.iter() {
        let record = record?;
        if args.patches {
            if record.patches.len() != PATCHES {
                let (key, found) = (text::key(&record.key), record.patches.len());
                bail!("the record {key} has {found} patch addresses, expected {PATCHES}");
            }
            patches.extend(record.patches.iter().map(|patch| patch.value()));
        }
        keys.push(record.key);
        codes.extend_from_slice(record.code.as_bytes());
        addresses.extend_from_slice(&record.address.value().to_le_bytes());
    }
    if keys.is_empty() {
        bail!("{} holds no record", db.stats().path.display());
    }
    let (asked, rejected) = pictures(args, &test)?;
    warn_of_leak(&keys, &asked.keys);
    let source = labels(args)?;
    let mut classes = Classes::default();
    let both = || keys.iter().chain(&asked.keys).map(Vec::as_slice);
    known(&source, both())?;
    let of_items = classes.numbers(&source, keys.iter().map(Vec::as_slice))?;
    let of_queries = classes.numbers(&source, asked.keys.iter().map(Vec::as_slice))?;
    let title =
        sized(&format!("{}, {title}", db.stats().path.display()), keys.len(), asked.keys.len());
    let items = Items { labels: of_items, kind: Kind::Codes { codes, addresses, patches } };
    let queries = Items { labels: of_queries, kind: Kind::Pixels(asked.pixels) };
    check_common(&items, &queries)?;
    Ok(Data { title, items, queries, encoder: Some(encoder), inside: false, rejected })
}

/// Tells of queries that are records of the database, which each finds first.
fn warn_of_leak(keys: &[Vec<u8>], asked: &[Vec<u8>]) {
    let keys: HashSet<&[u8]> = keys.iter().map(Vec::as_slice).collect();
    let inside = asked.iter().filter(|key| keys.contains(key.as_slice())).count();
    if inside > 0 {
        let [inside, all] = [inside, asked.len()].map(|count| text::count(count as u64));
        note(&format!(
            "leak warning: {inside} of {all} queries have the keys of records, and each finds itself"
        ));
    }
}

/// Refuses labels by which nothing can be found.
fn check_common(items: &Items, queries: &Items) -> Result<()> {
    let known: HashSet<u16> = items.labels.iter().copied().collect();
    if queries.labels.iter().any(|label| known.contains(label)) {
        return Ok(());
    }
    bail!(
        "no query has the label of an item, so nothing can be found; --labels says where labels stand: names, \
         folders or a CSV file"
    )
}

impl Args {
    fn queries_title(&self) -> String {
        let paths = self.queries.iter().map(|path| path.display().to_string());
        format!("asked by {}", paths.collect::<Vec<_>>().join(", "))
    }
}

fn sized(title: &str, items: usize, queries: usize) -> String {
    let [items, queries] = [items, queries].map(|count| text::count(count as u64));
    format!("{title}: {items} items, {queries} queries")
}

/// The shards of the database and of the queries, and what they are called.
fn shards(protocol: Protocol, folder: &Path) -> Result<(Vec<PathBuf>, Vec<PathBuf>, String)> {
    let shard = |split: &str, number: usize| {
        let name = format!("{split}-{number:05}");
        let names = [".tar.gz", ".tgz", ".tar", ".tar.zst"].map(|kind| format!("{name}{kind}"));
        let found = names.iter().map(|name| folder.join(name)).find(|path| path.is_file());
        found.ok_or(name)
    };
    let wanted = match protocol {
        Protocol::Cifar10 => TRAIN_SHARDS,
        Protocol::Cifar10Small => 1,
    };
    let (mut train, mut test, mut missing) = (Vec::new(), Vec::new(), Vec::new());
    for number in 0..wanted {
        match shard("train", number) {
            Ok(path) => train.push(path),
            Err(name) => missing.push(name),
        }
    }
    let asking = if protocol == Protocol::Cifar10 { TEST_SHARDS } else { 1 };
    test.extend((0..asking).filter_map(|number| shard("test", number).ok()));
    if test.is_empty() {
        missing.push("test-00000".to_owned());
    }
    let (name, folder) = (protocol.to_possible_value(), folder.display());
    let name = name.map_or(String::new(), |name| name.get_name().to_owned());
    if let Some(first) = missing.first() {
        bail!(
            "protocol {name} needs the shards train-00000 to train-{:05} and test-00000 (.tar.gz, .tgz, .tar or \
            .tar.zst) in {folder}: {} missing, the first is {first}; say with --data where they are",
            wanted - 1,
            match missing.len() {
                1 => "1 is".to_owned(),
                more => format!("{more} are"),
            }
        );
    }
    let title = format!("{name}, {} of {asking} test shards", test.len());
    Ok((train, test, title))
}

/// Where labels stand.
fn labels(args: &Args) -> Result<LabelSource> {
    let path = match &args.labels {
        LabelsChoice::Names => return Ok(LabelSource::Names),
        LabelsChoice::Folders => return Ok(LabelSource::Folders),
        LabelsChoice::File(path) => path,
    };
    let bytes = files::read(path, MAX_LABELS)?;
    let shown = path.display();
    let mut reader =
        csv::ReaderBuilder::new().has_headers(false).flexible(true).from_reader(&bytes[..]);
    let mut pairs = Vec::new();
    for (at, record) in reader.byte_records().enumerate() {
        let record = record.map_err(|error| anyhow!("cannot read {shown}: {error}"))?;
        let line = record.position().map_or(0, csv::Position::line);
        let (Some(key), Some(label), 2) = (record.get(0), record.get(1), record.len()) else {
            bail!(
                "{shown}, line {line}: {} columns where key and label were expected",
                record.len()
            );
        };
        let label = std::str::from_utf8(label)
            .map_err(|_| anyhow!("{shown}, line {line}: the label is not UTF-8"))?;
        // A header is allowed.
        if !(at == 0 && key == b"key" && label == "label") {
            pairs.push((key.to_vec(), label.to_owned()));
        }
    }
    let table = LabelTable::new(pairs).map_err(|error| anyhow!("{shown}: {error}"))?;
    Ok(LabelSource::Table(table))
}

fn known<'a>(source: &LabelSource, keys: impl Iterator<Item = &'a [u8]>) -> Result<()> {
    match source {
        LabelSource::Table(table) => Ok(table.check_known(keys)?),
        LabelSource::Names | LabelSource::Folders => Ok(()),
    }
}

fn labelled(
    source: &LabelSource,
    classes: &mut Classes,
    items: Pictures,
    queries: Pictures,
) -> Result<(Items, Items)> {
    known(source, items.keys.iter().chain(&queries.keys).map(Vec::as_slice))?;
    let mut of = |pictures: Pictures| -> Result<Items> {
        let labels = classes.numbers(source, pictures.keys.iter().map(Vec::as_slice))?;
        Ok(Items { labels, kind: Kind::Pixels(pictures.pixels) })
    };
    Ok((of(items)?, of(queries)?))
}

/// Decodes pictures; those that are broken are named, left out and counted.
fn pictures(args: &Args, paths: &[PathBuf]) -> Result<(Pictures, u64)> {
    let mut decoding = Decoding::new(args.progress);
    let (pictures, report) = collect_pictures(paths, &IngestOptions::default(), &mut decoding)?;
    decoding.finish();
    let first = paths.first().map_or(String::new(), |path| path.display().to_string());
    if report.done == 0 {
        bail!("there is no picture in {first}");
    }
    let rejected = report.rejected_count();
    if rejected > 0 {
        note(&format!("{} pictures were rejected and are left out", text::count(rejected)));
    }
    debug_assert_eq!(pictures.pixels.len(), pictures.keys.len() * PIXEL_BYTES);
    Ok((pictures, rejected))
}
