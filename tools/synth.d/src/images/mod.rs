//! `synth images`: JPEGs in tar shards, named as in `WebDataset`.
//!
//! A picture is a function of seed, size and index alone, so that a shard does not depend on the
//! number of threads or on other shards.

mod draw;
mod fields;

use std::path::PathBuf;

use anyhow::{Context as _, Result, bail};
use image::codecs::jpeg::JpegEncoder;
use image::{ExtendedColorType, ImageEncoder as _};

use crate::draft::Draft;
use crate::report::Report;
use crate::work::in_order;
use draw::Picture;

/// Pictures that are made at once.
const CHUNK: u64 = 32;

/// Make pictures: FOLDER/shard-000000.tar and so on, with 000000000.jpg and so on in them
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Where the shards go; made if it is not there
    folder: PathBuf,
    /// The number of pictures
    #[arg(long, value_name = "N")]
    count: u64,
    /// Width and height in pixels, 8 to 4096
    #[arg(long, value_name = "PIXELS", default_value_t = 256)]
    size: u32,
    /// Pictures of a shard
    #[arg(long, value_name = "N", default_value_t = 10_000)]
    per_shard: u64,
    /// Add a .json to each picture: index, seed, width, height, quality
    #[arg(long)]
    json: bool,
    /// Add a .txt to each picture: what is on it
    #[arg(long)]
    text: bool,
    /// The same seed gives the same shards
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Threads [default: one a core]
    #[arg(long, value_name = "N")]
    threads: Option<usize>,
}

/// A picture as it goes into a shard.
struct Entry {
    index: u64,
    jpeg: Vec<u8>,
    picture: Picture,
}

/// Makes the shards.
pub(crate) fn run(args: &Args) -> Result<()> {
    if !(8..=4096).contains(&args.size) {
        bail!("--size must be 8 to 4096, not {}", args.size);
    }
    if args.per_shard == 0 {
        bail!("--per-shard must be 1 or more, not 0");
    }
    let shards = args.count.div_ceil(args.per_shard);
    crate::make_folder(&args.folder, |name| {
        number_of(name).is_some_and(|number| number >= shards)
    })?;
    let mut report = Report::new("pictures", args.count);
    let (mut shard, mut bytes) = (None, 0);
    let make = |chunk| args.chunk(chunk);
    let chunks = args.count.div_ceil(CHUNK);
    in_order(crate::threads(args.threads), chunks, make, |chunk: Result<Vec<Entry>>| {
        for entry in chunk? {
            bytes += entry.jpeg.len() as u64;
            let last = (entry.index + 1).is_multiple_of(args.per_shard);
            let mut tar = match shard.take() {
                Some(tar) => tar,
                None => args.shard(entry.index / args.per_shard)?,
            };
            args.append(&mut tar, &entry)?;
            if last {
                finish(tar)?;
            } else {
                shard = Some(tar);
            }
            report.add(1);
        }
        Ok(())
    })?;
    shard.map_or(Ok(()), finish)?;
    report.finish(&format!("{} bytes on average", bytes / args.count.max(1)));
    Ok(())
}

impl Args {
    /// Draws and encodes a few pictures.
    fn chunk(&self, number: u64) -> Result<Vec<Entry>> {
        let indexes = number * CHUNK..self.count.min((number + 1) * CHUNK);
        indexes.map(|index| self.entry(index)).collect()
    }

    fn entry(&self, index: u64) -> Result<Entry> {
        let mut pixels = Vec::new();
        let picture = Picture::draw(self.seed, index, self.size, &mut pixels);
        let mut jpeg = Vec::new();
        JpegEncoder::new_with_quality(&mut jpeg, picture.quality)
            .write_image(&pixels, self.size, self.size, ExtendedColorType::Rgb8)
            .with_context(|| format!("picture {index} cannot be encoded"))?;
        Ok(Entry { index, jpeg, picture })
    }

    fn shard(&self, number: u64) -> Result<tar::Builder<Draft>> {
        let path = self.folder.join(format!("shard-{number:06}.tar"));
        Ok(tar::Builder::new(Draft::create(&path)?))
    }

    /// Appends a picture and its siblings.
    fn append(&self, tar: &mut tar::Builder<Draft>, entry: &Entry) -> Result<()> {
        let Entry { index, jpeg, picture } = entry;
        let mut append = |kind: &str, bytes: &[u8]| {
            // No time, owner or rights of the moment: the same bytes every time.
            let mut header = tar::Header::new_ustar();
            header.set_size(bytes.len() as u64);
            header.set_mode(0o644);
            header.set_mtime(0);
            let name = format!("{index:09}.{kind}");
            let appended = tar.append_data(&mut header, &name, bytes);
            appended.with_context(|| format!("cannot write {name}"))
        };
        append("jpg", jpeg)?;
        if self.json {
            let (seed, size, quality) = (self.seed, self.size, picture.quality);
            let json = format!(
                r#"{{"index":{index},"seed":{seed},"width":{size},"height":{size},"quality":{quality}}}"#
            );
            append("json", json.as_bytes())?;
        }
        if self.text {
            append("txt", picture.caption.as_bytes())?;
        }
        Ok(())
    }
}

/// The number of a shard by its name.
fn number_of(name: &str) -> Option<u64> {
    name.strip_prefix("shard-")?.strip_suffix(".tar")?.parse().ok()
}

fn finish(tar: tar::Builder<Draft>) -> Result<()> {
    tar.into_inner().context("cannot end a shard")?.finish()
}
