//! `hashdb create`: a new, empty database.

use std::path::PathBuf;

use anyhow::Result;
use hashdb::model::{DeviceChoice, Encoder as _, Precision};
use hashdb::{Database, EncoderModel, IndexOptions, Options};
use serde_json::json;

use crate::encoder::EncoderChoice;
use crate::exit::{Exit, Usage};
use crate::indexes::IndexChoice;
use crate::output::Output;
use crate::text;

/// Bits of a code where neither an encoder nor the user says otherwise.
const CODE_BITS: u16 = 256;
/// The same for an address.
const ADDRESS_BITS: u8 = 28;

/// Create an empty database in a directory that is absent or empty
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The database directory
    db: PathBuf,
    /// Bits of a code, 64 to 1024 in steps of 64 [default: the encoder's, or 256]
    #[arg(long, value_name = "BITS")]
    code_bits: Option<u16>,
    /// Bits of an address, 8 to 32 [default: the encoder's, or 28]
    #[arg(long, value_name = "BITS")]
    address_bits: Option<u8>,
    /// The encoder that will fill it: `default`, `kmeans-itq`, `none`, or a weight file of `hashdb train`
    #[arg(long, value_name = "ENCODER", default_value_t = EncoderChoice::Default)]
    encoder: EncoderChoice,
    /// Numbers that the encoder computes with: f32, bf16 or f16. Some codes differ, so a database has one
    #[arg(long, default_value_t)]
    precision: Precision,
    /// Indexes over codes: a list of multi, clusters and prefix, or all, or none [default:
    /// multi,clusters]
    #[arg(long, value_name = "LIST")]
    index: Option<IndexChoice>,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// Creates the database and says what it is.
pub(crate) fn run(args: &Args) -> Result<Exit> {
    let db = Database::create(&args.db, options(args)?)?;
    let stats = db.stats();
    let mut output = Output::new();
    if args.json {
        output.json(&json!({
            "path": stats.path.display().to_string(),
            "database_id": stats.database_id,
            "code_bits": stats.code_bits,
            "address_bits": stats.address_bits,
            "indexes": stats.index.to_string(),
            "encoder": stats.encoder,
        }))?;
    } else {
        let path = text::one_line(&stats.path.display().to_string());
        let widths = format!("{}-bit codes, {}-bit addresses", stats.code_bits, stats.address_bits);
        let encoder = stats.encoder.as_deref().unwrap_or("none");
        output.line(format_args!("created {path}: {widths}, encoder {encoder}"))?;
    }
    output.finish()?;
    Ok(Exit::Done)
}

fn options(args: &Args) -> Result<Options> {
    let index = args.index.map_or_else(IndexOptions::default, |IndexChoice(index)| index);
    let options = Options::new().background(false).index(index);
    // The widths and the weights are the same on every device.
    let Some(encoder) = args.encoder.load_in(DeviceChoice::Cpu, args.precision)? else {
        return Ok(options
            .code_bits(args.code_bits.unwrap_or(CODE_BITS))
            .address_bits(args.address_bits.unwrap_or(ADDRESS_BITS)));
    };
    let (code_bits, address_bits) = (encoder.code_bits(), encoder.address_bits());
    agree("--code-bits", args.code_bits.map(u32::from), code_bits.into())?;
    agree("--address-bits", args.address_bits.map(u32::from), address_bits.into())?;
    let model = EncoderModel {
        fingerprint: encoder.fingerprint().to_string(),
        weights: encoder.to_bytes()?,
    };
    Ok(options.code_bits(code_bits).address_bits(address_bits).encoder(model))
}

/// With an encoder the widths are its own; a flag that says otherwise is a mistake.
fn agree(flag: &str, asked: Option<u32>, encoder: u32) -> Result<()> {
    match asked {
        Some(asked) if asked != encoder => Err(Usage(format!(
            "{flag} {asked} contradicts the encoder, which gives {encoder} bits; leave the flag \
             out, or create with --encoder none"
        ))
        .into()),
        _ => Ok(()),
    }
}
