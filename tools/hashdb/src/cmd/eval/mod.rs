//! `hashdb eval`: how good codes are, by labels that only the scorer sees.

mod ball;
mod codes;
mod data;
mod patches;
mod plot;
mod report;
mod sheet;

use std::path::PathBuf;
use std::str::FromStr;

use anyhow::Result;
use clap::ValueEnum;
use hashdb::eval::{CodeStatistics, LabelledCodes, Own, QueryScore, Scorer, Summary};
use hashdb::eval::{baselines, code_statistics, shuffle_labels};
use hashdb::ingest::PIXEL_BYTES;
use hashdb::model::DeviceChoice;
use hashdb::{Error, Level, MAX_PATCH_RADIUS};

use crate::encoder::{EncoderChoice, of_database};
use crate::exit::{Exit, Usage};
use crate::files;
use crate::output::note;
use crate::progress::Mode;
use data::{Items, Protocol};
use sheet::Sheet;

/// Items that the ball of a search in two stages should let through.
const FEW: u64 = 100;
/// Mean average precision above which codes that saw no label have seen the answers.
const LEAK: f64 = 0.90;

/// Score codes by the labels of pictures, as the literature on hashing does
///
/// Every query ranks the whole database. Ties count as the mean over all orders of the tied. mAP@1000
/// divides by the hits among the first 1000, as published figures on CIFAR-10 do. Intervals are of 95 %, by
/// the bootstrap over queries.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Which pictures are the database and which the queries
    #[arg(long, value_enum, required_unless_present_all = ["db", "queries"])]
    protocol: Option<Protocol>,
    /// Where the shards of the protocol are
    #[arg(long, value_name = "DIR", default_value = "cifar10", conflicts_with = "queries")]
    data: PathBuf,
    /// Where labels stand: `names` (`test_cat_0007.jpg`), `folders`, or a CSV file with key and label
    #[arg(long, value_name = "WHERE", default_value = "names")]
    labels: LabelsChoice,
    /// The encoder to score: `default`, `kmeans-itq` or a weight file of `hashdb train`; may be given several times,
    /// and beside --method [default: default]
    #[arg(long, value_name = "ENCODER")]
    encoder: Vec<EncoderChoice>,
    /// Score the codes that a database holds, with the encoder that made them
    #[arg(long, value_name = "DB", conflicts_with = "method")]
    db: Option<PathBuf>,
    /// Pictures that ask the database: folders, files, shards
    #[arg(long, value_name = "PATH", num_args = 1.., requires = "db", conflicts_with = "protocol")]
    queries: Vec<PathBuf>,
    /// Score classical methods on the pixels, with the encoders of --encoder if there are any
    #[arg(long, value_enum, value_delimiter = ',', value_name = "METHOD")]
    method: Vec<Method>,
    /// Bits of the codes; of an encoder's code the first so many, a multiple of eight [default: 256, or all
    /// of the encoder's]
    #[arg(long, value_delimiter = ',', value_name = "N", conflicts_with = "address")]
    bits: Vec<usize>,
    /// Score the encoder's addresses and not its codes
    #[arg(long, conflicts_with = "method")]
    address: bool,
    /// Rank by code only what lies within so many bits of the query's address, a row for each radius: the
    /// two stages of a search that does not look at everything
    #[arg(long, value_delimiter = ',', value_name = "RADIUS", conflicts_with_all = ["method", "address"])]
    ball: Vec<u32>,
    /// Rank by the addresses of patches too (multiple semantic hashing), alone and joined with the codes: for each
    /// radius two rows where the closest patch of a picture counts, and two where every one does
    #[arg(long, conflicts_with_all = ["method", "address", "ball"])]
    patches: bool,
    /// The encoder whose network makes the addresses of patches [default: the one that is scored]
    #[arg(long, value_name = "ENCODER", requires = "patches", conflicts_with = "db")]
    patches_of: Option<EncoderChoice>,
    /// Bits that patches may differ by to score, 0 to 8
    #[arg(long, value_delimiter = ',', value_name = "RADIUS", requires = "patches", default_value = "3",
        value_parser = clap::value_parser!(u32).range(..=i64::from(MAX_PATCH_RADIUS)))]
    patch_radius: Vec<u32>,
    /// Weights of the rank by patches and of the rank by codes where they are joined
    #[arg(
        long,
        value_delimiter = ',',
        value_name = "PATCHES,CODES",
        requires = "patches",
        default_value = "1,1"
    )]
    weights: Vec<f64>,
    /// Spoil something on purpose, to see that the figures follow
    #[arg(long, value_enum)]
    control: Option<Control>,
    /// Fixes every random choice
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Draw precision against recall and against the places into a PNG file
    #[arg(long, value_name = "FILE.png")]
    plot: Option<PathBuf>,
    /// Draw the first query of each of eight classes and its eight nearest by each code into a PNG or JPEG file,
    /// those of the query's class framed
    #[arg(long, value_name = "FILE", conflicts_with_all = ["db", "ball"])]
    sheet: Option<PathBuf>,
    /// Where to compute: auto, cpu, cuda or cuda:N
    #[arg(long, default_value_t)]
    device: DeviceChoice,
    /// How to show progress [default: bar on a terminal, plain otherwise]
    #[arg(long, value_enum)]
    progress: Option<Mode>,
    /// Print one JSON object for each row
    #[arg(long)]
    json: bool,
}

/// A method that needs no network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Method {
    /// Pixels by their Euclidean distance
    L2,
    /// Pixels by the sum of absolute differences
    L1,
    /// Signs of random projections
    Lsh,
    /// Signs of principal components
    PcaSign,
    /// Principal components, turned (iterative quantization)
    Itq,
    /// Waves along principal components (spectral hashing)
    Spectral,
}

/// What is spoiled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Control {
    /// The labels of the database in random order: nothing can be found
    ShuffledLabels,
    /// An encoder of the same shape with random weights
    RandomEncoder,
    /// Queries that are pictures of the database: what a leak looks like
    QueriesInside,
}

/// Where labels stand.
#[derive(Debug, Clone)]
enum LabelsChoice {
    Names,
    Folders,
    File(PathBuf),
}

impl FromStr for LabelsChoice {
    type Err = std::convert::Infallible;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(match text {
            "names" => Self::Names,
            "folders" => Self::Folders,
            path => Self::File(path.into()),
        })
    }
}

/// What one method came to.
struct Row {
    name: String,
    fingerprint: Option<String>,
    /// None where pixels were ranked.
    statistics: Option<CodeStatistics>,
    /// What a ball let through, where there was one: that around the address, or those around patches.
    passed: Option<Passed>,
    /// How patches ranked, where they did.
    patches: Option<patches::Ranked>,
    summary: Summary,
    /// Seconds that ranking and scoring took.
    seconds: f64,
}

/// What balls around addresses let through.
struct Passed {
    radius: u32,
    /// Items in the mean over queries.
    mean: f64,
    /// Share of the queries for which fewer than [`FEW`] pass.
    few: f64,
}

/// Codes of the database and of the queries, each of so many bytes.
struct Codes {
    name: String,
    fingerprint: Option<String>,
    bits: u32,
    items: Vec<u8>,
    queries: Vec<u8>,
    /// Addresses of both, of four bytes each, where an encoder gives them.
    addresses: Option<(Vec<u8>, Vec<u8>)>,
}

/// Scores what was asked for.
pub(crate) fn run(args: &Args) -> Result<Exit> {
    check(args)?;
    let (mut data, fingerprint) = match &args.db {
        Some(db) => {
            let db = super::open_read_only(db)?;
            let encoder = of_database(&db, args.device)?;
            same_encoder(args, &encoder)?;
            (data::of_database(args, &db, encoder)?, db.encoder().map(str::to_owned))
        }
        None => (data::of_protocol(args)?, None),
    };
    match args.control {
        Some(Control::ShuffledLabels) => shuffle_labels(&mut data.items.labels, args.seed),
        Some(Control::QueriesInside) => data.ask_from_inside(),
        Some(Control::RandomEncoder) | None => {}
    }
    let mut rows = Vec::new();
    let mut sheet = Sheet::default();
    let encoders: Vec<Option<&EncoderChoice>> = match &args.encoder[..] {
        [] if args.method.is_empty() => vec![None],
        given => given.iter().map(Some).collect(),
    };
    for encoder in encoders {
        codes::of_encoder(args, &data, encoder, fingerprint.clone(), &mut |codes, patches| {
            if args.sheet.is_some() {
                sheet.add(&data, &codes);
            }
            if codes.addresses.is_some() {
                rows.extend(
                    args.ball.iter().filter_map(|&radius| ball::score(args, &data, &codes, radius)),
                );
            }
            if let Some(patches) = patches {
                patches::score(args, &data, &codes, patches, &mut rows)?;
            }
            rows.push(score(args, &data, codes));
            Ok(())
        })?;
    }
    let mut learned = codes::Learned::default();
    for &method in &args.method {
        let metric = match method {
            Method::L2 => baselines::Metric::L2,
            Method::L1 => baselines::Metric::L1,
            hashing => {
                learned.each(args, &data, hashing, &mut |codes| {
                    if args.sheet.is_some() {
                        sheet.add(&data, &codes);
                    }
                    rows.push(score(args, &data, codes));
                })?;
                continue;
            }
        };
        rows.push(score_pixels(args, &data, metric)?);
    }
    report::print(args, &data, &rows)?;
    for row in rows.iter().filter(|row| row.summary.map_cut.mean > LEAK) {
        let (name, found) = (&row.name, row.summary.map_cut.mean);
        note(&format!(
            "leak warning: {name} has a mAP@1000 of {found:.3} without labels, more than {LEAK:.2}; \
            look for queries inside the database first"
        ));
    }
    if let Some(file) = &args.plot {
        plot::draw(&data.title, &rows, file)?;
    }
    if let Some(file) = &args.sheet {
        sheet.write(&data, file)?;
    }
    Ok(Exit::but_for(data.rejected))
}

/// What the parser cannot see.
fn check(args: &Args) -> Result<()> {
    let refuse = |sentence: &str| Err(Usage(sentence.to_owned()).into());
    let random = args.control == Some(Control::RandomEncoder);
    if random && (args.db.is_some() || !args.method.is_empty()) {
        return refuse(
            "--control random-encoder takes the place of an encoder: leave out --db and --method",
        );
    }
    if args.encoder.contains(&EncoderChoice::None) {
        return refuse("--encoder none has no codes to score");
    }
    if args.db.is_some() && args.encoder.len() > 1 {
        return refuse("a database has codes of one encoder: give one --encoder or none");
    }
    let sound = |weight: &f64| weight.is_finite() && *weight >= 0.0;
    if args.weights.len() != 2 || !args.weights.iter().all(sound) || args.weights == [0.0, 0.0] {
        return refuse("--weights takes two numbers, finite, not negative and not both 0");
    }
    if args.bits.contains(&0) {
        return refuse("--bits 0 leaves nothing to score");
    }
    let pixels = |method: &Method| matches!(method, Method::L2 | Method::L1);
    let encoders = !args.encoder.is_empty() || args.method.is_empty();
    if !args.bits.is_empty() && !encoders && args.method.iter().all(pixels) {
        return refuse("--bits has no meaning for pixels");
    }
    files::check_replaceable(args.plot.iter().chain(&args.sheet))
}

/// Refuses an encoder that did not make the codes of the database.
fn same_encoder(args: &Args, of_database: &dyn hashdb::model::Encoder) -> Result<()> {
    let Some(choice) = args.encoder.first() else { return Ok(()) };
    let Some(given) = choice.load(args.device)? else { return Ok(()) };
    let (expected, found) =
        (of_database.fingerprint(), hashdb::model::Encoder::fingerprint(&given));
    if expected != found {
        let (expected, found) = (expected.to_string(), found.to_string());
        return Err(Error::EncoderMismatch { expected, found }.into());
    }
    Ok(())
}

/// Ranks and scores codes.
fn score(args: &Args, data: &data::Data, codes: Codes) -> Row {
    let Codes { name, fingerprint, bits, items, queries, .. } = codes;
    let width = (bits as usize).div_ceil(8);
    let statistics = code_statistics(&items, bits);
    let began = std::time::Instant::now();
    let labelled = LabelledCodes::new(&items, width, &data.items.labels);
    let own = if data.inside { Own::Found } else { Own::Absent };
    let scores = labelled.scores(Level::best(), &queries, width, &data.queries.labels, own);
    let summary = Scorer::new(labelled.len()).summary(&scores, args.seed);
    let seconds = began.elapsed().as_secs_f64();
    let statistics = Some(statistics);
    Row { name, fingerprint, statistics, passed: None, patches: None, summary, seconds }
}

/// Ranks pixels on all processors, and scores the rankings.
fn score_pixels(args: &Args, data: &data::Data, metric: baselines::Metric) -> Result<Row> {
    let began = std::time::Instant::now();
    let (Items { labels, .. }, queries) = (&data.items, &data.queries);
    let (pixels, asked) = (data.items.pixels()?, queries.pixels()?);
    let scorer = Scorer::new(labels.len() as u64);
    let items = baselines::LabelledRows::new(pixels, PIXEL_BYTES, labels);
    let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let share = queries.labels.len().div_ceil(threads).max(1);
    let parts = asked.chunks(share * PIXEL_BYTES).zip(queries.labels.chunks(share));
    let score_part = |(rows, labels)| {
        let mut scores: Vec<QueryScore> = Vec::new();
        let queries = baselines::LabelledRows::new(rows, PIXEL_BYTES, labels);
        items.rank(metric, &queries, &mut |ties| scores.push(scorer.score(ties)));
        scores
    };
    let scores = std::thread::scope(|scope| {
        let running: Vec<_> = parts.map(|part| scope.spawn(move || score_part(part))).collect();
        let joined = running.into_iter().map(std::thread::ScopedJoinHandle::join);
        joined.collect::<Result<Vec<_>, _>>()
    });
    let scores =
        scores.map_err(|_| anyhow::anyhow!("a thread that ranked pixels failed"))?.concat();
    let name = match metric {
        baselines::Metric::L2 => "pixels, L2",
        baselines::Metric::L1 => "pixels, L1",
    };
    let (summary, seconds) = (scorer.summary(&scores, args.seed), began.elapsed().as_secs_f64());
    let name = name.to_owned();
    let (fingerprint, statistics, passed, patches) = (None, None, None, None);
    Ok(Row { name, fingerprint, statistics, passed, patches, summary, seconds })
}
