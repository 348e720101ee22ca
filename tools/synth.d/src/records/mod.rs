//! `synth records`: codes, addresses, keys and values as `hashdb load` takes them.
//!
//! Rows are made in chunks, each from a random stream of its own, so that the files do not depend on
//! the number of threads; a few chunks are in memory at a time.

mod measure;
mod mixture;

use std::path::{Path, PathBuf};

use anyhow::{Result, bail};

use crate::draft::Draft;
use crate::random::{Random, mix};
use crate::report::Report;
use crate::work::in_order;
use measure::measure;
use mixture::{MAX_DIMENSION, Mixture, Shape};

/// Rows that are made at once.
const CHUNK_ROWS: u64 = 1 << 14;
/// Bytes of values that are made at once, but for one of more.
const CHUNK_BYTES: u64 = 16 << 20;
const KEYS_FILE: &str = "keys.txt";
const VALUES_FILE: &str = "values.npy";
const ROWS: u64 = 3;
const VALUES: u64 = 4;

/// Make records: FOLDER/codes.npy and addresses.npy, with --keys keys.txt, with --values values.npy
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Where the files go; made if it is not there
    folder: PathBuf,
    /// The number of records
    #[arg(long, value_name = "N")]
    rows: u64,
    /// Bits of a code: 64 to 1024 in steps of 64
    #[arg(long, value_name = "BITS", default_value_t = 256)]
    code_bits: usize,
    /// Bits of an address: the first ones of its code, 8 to 32
    #[arg(long, value_name = "BITS", default_value_t = 28)]
    address_bits: u32,
    /// The number of clusters; their centres take 2 bytes a bit in memory
    #[arg(long, value_name = "N", default_value_t = 1000)]
    clusters: usize,
    /// The dimension of a cluster: independent coordinates behind its codes, 1 to 256
    #[arg(long, value_name = "D", default_value_t = 16)]
    dimension: usize,
    /// How large a cluster is, 0 to 1: its members differ in arccos(1 - S) / pi of their bits on
    /// average, before noise
    #[arg(long, value_name = "S", default_value_t = 0.1)]
    spread: f64,
    /// The probability that a bit is flipped, 0 to 0.5, in 1024ths
    #[arg(long, value_name = "P", default_value_t = 0.015_625)]
    noise: f64,
    /// Write keys, one a line: sixteen hexadecimal digits in no order, each once
    #[arg(long)]
    keys: bool,
    /// Write values of this many bytes, letters and digits; those of more than 1024 bytes bring other codes with them
    #[arg(long, value_name = "BYTES")]
    values: Option<usize>,
    /// The same seed gives the same files
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Threads [default: one a core]
    #[arg(long, value_name = "N")]
    threads: Option<usize>,
}

/// Some rows, column by column.
#[derive(Debug, Default)]
struct Chunk {
    codes: Vec<u8>,
    addresses: Vec<u8>,
    keys: Vec<u8>,
    values: Vec<u8>,
}

/// The files under way.
struct Files {
    codes: Draft,
    addresses: Draft,
    keys: Option<Draft>,
    values: Option<Draft>,
}

/// Makes the files and tells what they are like.
pub(crate) fn run(args: &Args) -> Result<()> {
    let shape = args.shape()?;
    crate::make_folder(&args.folder, |name| {
        (name == KEYS_FILE && !args.keys) || (name == VALUES_FILE && args.values.is_none())
    })?;
    let mixture = Mixture::new(shape, args.seed);
    let mut files = Files::create(args)?;
    let mut report = Report::new("rows", args.rows);
    let (threads, chunks) = (crate::threads(args.threads), args.rows.div_ceil(args.chunk_rows()));
    let make = |number| args.chunk(&mixture, number);
    in_order(threads, chunks, make, |chunk| {
        files.write(&chunk)?;
        report.add(chunk.addresses.len() as u64 / 4);
        Ok(())
    })?;
    files.finish()?;
    let found = measure(&mixture, shape, args.seed);
    report.finish(&format!(
        "{:.1} bits within clusters (expected {:.1}), {:.1} between; dimension about {:.1}, asked for {}",
        found.within, found.within_expected, found.between, found.dimension, shape.dimension
    ));
    Ok(())
}

impl Args {
    fn shape(&self) -> Result<Shape> {
        let &Self { code_bits, clusters, dimension, spread, noise, .. } = self;
        if !(64..=1024).contains(&code_bits) || !code_bits.is_multiple_of(64) {
            bail!("--code-bits must be 64 to 1024 in steps of 64, not {code_bits}");
        }
        if !(8..=32).contains(&self.address_bits) {
            bail!("--address-bits must be 8 to 32, not {}", self.address_bits);
        }
        if !(1..=1 << 24).contains(&clusters) {
            bail!("--clusters must be 1 to 16777216, not {clusters}");
        }
        if !(1..=MAX_DIMENSION).contains(&dimension) {
            bail!("--dimension must be 1 to {MAX_DIMENSION}, not {dimension}");
        }
        if !(0.0..=1.0).contains(&spread) || !(0.0..=0.5).contains(&noise) {
            bail!("--spread must be 0 to 1 and --noise 0 to 0.5, not {spread} and {noise}");
        }
        Ok(Shape { code_bits, clusters, dimension, spread, noise })
    }

    /// Rows that are made at once: fewer where their values are long.
    fn chunk_rows(&self) -> u64 {
        let bytes = self.values.map_or(1, |bytes| bytes.max(1) as u64);
        (CHUNK_BYTES / bytes).clamp(1, CHUNK_ROWS)
    }

    /// The rows of one chunk, from nothing but the seed and its number.
    fn chunk(&self, mixture: &Mixture, number: u64) -> Chunk {
        let most = self.chunk_rows();
        let rows = number * most..self.rows.min((number + 1) * most);
        let mut random = Random::new(self.seed, ROWS, number);
        let mut of_values = Random::new(self.seed, VALUES, number);
        let mut chunk = Chunk::default();
        chunk.codes.reserve_exact(self.code_bits / 8 * usize::try_from(most).unwrap_or(0));
        for row in rows {
            let start = chunk.codes.len();
            mixture.draw(&mut random, &mut chunk.codes);
            let first = chunk.codes[start..].first_chunk().copied().unwrap_or_default();
            let address = u32::from_be_bytes(first) >> (32 - self.address_bits);
            chunk.addresses.extend(address.to_le_bytes());
            if self.keys {
                push_hex(mix(row ^ mix(self.seed)), &mut chunk.keys);
                chunk.keys.push(b'\n');
            }
            if let Some(bytes) = self.values {
                push_letters(bytes, &mut of_values, &mut chunk.values);
            }
        }
        chunk
    }
}

impl Files {
    fn create(args: &Args) -> Result<Self> {
        let path = |name: &str| -> PathBuf { Path::join(&args.folder, name) };
        let Args { rows, code_bits, .. } = args;
        let matrix = |name, columns: usize| {
            Draft::array(&path(name), "|u1", &format!("({rows}, {columns})"))
        };
        Ok(Self {
            codes: matrix("codes.npy", code_bits / 8)?,
            addresses: Draft::array(&path("addresses.npy"), "<u4", &format!("({rows},)"))?,
            keys: args.keys.then(|| Draft::create(&path(KEYS_FILE))).transpose()?,
            values: args.values.map(|bytes| matrix(VALUES_FILE, bytes)).transpose()?,
        })
    }

    fn write(&mut self, chunk: &Chunk) -> Result<()> {
        self.codes.write(&chunk.codes)?;
        self.addresses.write(&chunk.addresses)?;
        self.keys.as_mut().map_or(Ok(()), |keys| keys.write(&chunk.keys))?;
        self.values.as_mut().map_or(Ok(()), |values| values.write(&chunk.values))
    }

    fn finish(self) -> Result<()> {
        self.codes.finish()?;
        self.addresses.finish()?;
        self.keys.map_or(Ok(()), Draft::finish)?;
        self.values.map_or(Ok(()), Draft::finish)
    }
}

fn push_hex(number: u64, out: &mut Vec<u8>) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    out.extend(
        number
            .to_be_bytes()
            .iter()
            .flat_map(|byte| [DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]]),
    );
}

/// Appends letters and digits, six bits of chance in each.
fn push_letters(count: usize, random: &mut Random, out: &mut Vec<u8>) {
    const LETTERS: &[u8; 64] = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789 .";
    let end = out.len() + count;
    while out.len() < end {
        let word = random.next();
        let letters = (0..10).map(|place| word >> (6 * place) & 63);
        out.extend(letters.map(|letter| LETTERS[usize::try_from(letter).unwrap_or(0)]));
    }
    out.truncate(end);
}
