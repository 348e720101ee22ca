//! `hashdb put`: one record, by its codes or by a picture.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use anyhow::Result;
use hashdb::ingest::Encoding;
use hashdb::model::DeviceChoice;
use hashdb::{Address, Database, MAX_VALUE_BYTES, WriteBatch, WriteOptions};
use serde_json::json;

use crate::encoder;
use crate::exit::Exit;
use crate::files;
use crate::output::Output;
use crate::patches;
use crate::text;

/// Insert a record, or replace the one with its key
#[derive(Debug, clap::Args)]
#[command(
    override_usage = "hashdb put [OPTIONS] <DB> <KEY> <--code <HEX> --address <HEX>|--image <FILE>>"
)]
#[command(group = clap::ArgGroup::new("content").required(true).args(["code", "image"]))]
pub(crate) struct Args {
    /// The database directory
    db: PathBuf,
    /// The record's key, 1 to 4096 bytes
    key: OsString,
    /// The record's code, in hexadecimal
    #[arg(long, value_name = "HEX", requires = "address")]
    code: Option<String>,
    /// The record's address, in hexadecimal
    #[arg(long, value_name = "HEX", requires = "code")]
    address: Option<String>,
    /// A picture, from which the database's encoder makes code and address, and patch addresses if an ingest
    /// stored them
    #[arg(long, value_name = "FILE")]
    image: Option<PathBuf>,
    /// The record's value, as text
    #[arg(long, value_name = "TEXT", conflicts_with = "value_file")]
    value: Option<String>,
    /// A file with the record's value
    #[arg(long, value_name = "FILE")]
    value_file: Option<PathBuf>,
    /// Where to encode a picture: auto, cpu, cuda or cuda:N
    #[arg(long, default_value_t)]
    device: DeviceChoice,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// Writes the record durably and says whether it is new.
pub(crate) fn run(args: &Args) -> Result<Exit> {
    let db = super::open(&args.db)?;
    let value = value(args.value.as_deref(), args.value_file.as_deref())?;
    let Encoding { address, code, patches } = content(args, &db)?;
    let mut batch = WriteBatch::new();
    batch.put_with_patches(args.key.as_encoded_bytes(), address, code, &value, &patches);
    let written = db.write(batch, WriteOptions::default())?;
    let mut output = Output::new();
    if args.json {
        output.json(&json!({ "inserted": written.inserted, "replaced": written.replaced }))?;
    } else {
        let done = if written.replaced > 0 { "replaced" } else { "inserted" };
        output.line(format_args!("{done} {}", text::key(args.key.as_encoded_bytes())))?;
    }
    output.finish()?;
    Ok(Exit::Done)
}

fn value(text: Option<&str>, file: Option<&Path>) -> Result<Vec<u8>> {
    match file {
        Some(path) => files::read(path, MAX_VALUE_BYTES as u64),
        None => Ok(text.unwrap_or_default().into()),
    }
}

fn content(args: &Args, db: &Database) -> Result<Encoding> {
    if let (Some(code), Some(address)) = (&args.code, &args.address) {
        let address = Address::from_hex(address, db.stats().address_bits)?;
        return Ok((address, code.parse()?).into());
    }
    let encoder = encoder::of_database(db, args.device)?;
    let with_patches = patches::are_stored(db)?;
    if with_patches {
        patches::check(db, &encoder)?;
    }
    let image = args.image.as_deref().unwrap_or(Path::new(""));
    encoder::encode_file(&encoder, image, with_patches)
}
