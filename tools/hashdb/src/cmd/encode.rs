//! `hashdb encode`: pictures to addresses and codes, without a database.

use std::path::PathBuf;

use anyhow::Result;
use hashdb::model::{DeviceChoice, Precision};
use serde::Serialize;

use crate::encoder::{EncoderChoice, encode_files};
use crate::exit::{Exit, Usage, of_rejects};
use crate::output::Output;
use crate::text;

/// Print the address and the code of pictures
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The picture files
    #[arg(required = true, value_name = "IMAGE")]
    images: Vec<PathBuf>,
    /// The encoder: `default`, `kmeans-itq` or a weight file of `hashdb train`
    #[arg(long, value_name = "ENCODER", default_value_t = EncoderChoice::Default)]
    encoder: EncoderChoice,
    /// Where to compute: auto, cpu, cuda or cuda:N
    #[arg(long, default_value_t)]
    device: DeviceChoice,
    /// Numbers to compute with: f32, bf16 or f16
    #[arg(long, default_value_t)]
    precision: Precision,
    /// Print one JSON object a picture
    #[arg(long)]
    json: bool,
}

/// One picture in JSON.
#[derive(Debug, Serialize)]
struct Row {
    path: String,
    address: String,
    code: String,
}

/// Encodes the pictures in order.
pub(crate) fn run(args: &Args) -> Result<Exit> {
    let Some(encoder) = args.encoder.load_in(args.device, args.precision)? else {
        return Err(Usage("--encoder none encodes nothing".to_owned()).into());
    };
    let mut output = Output::new();
    let rejected = encode_files(&encoder, &args.images, false, &mut |path, encoded| {
        let path = path.display().to_string();
        let (address, code) = (encoded.address.to_string(), encoded.code.to_string());
        if args.json {
            output.json(&Row { path, address, code })
        } else {
            output.line(format_args!("{address}  {code}  {}", text::one_line(&path)))
        }
    })?;
    output.finish()?;
    Ok(of_rejects(rejected, args.images.len()))
}
