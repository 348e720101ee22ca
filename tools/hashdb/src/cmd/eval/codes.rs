//! Codes to be scored: those of an encoder, of a database, of a classical method.

use anyhow::{Result, bail};
use hashdb::eval::baselines::{self, ITERATIONS, Pca, SpectralHash};
use hashdb::ingest::PIXEL_BYTES;
use hashdb::model::{Encoder as _, Model, Pixels};
use serde::Serialize;
use serde_json::json;

use super::data::{Data, Items, Kind};
use super::patches::{self, Patches};
use super::{Args, Codes, Control, Method};
use crate::encoder::EncoderChoice;
use crate::exit::Usage;
use crate::progress::{Meter, State};
use crate::text;

/// Pictures that are encoded between two looks at the progress.
pub(super) const BATCH: usize = 256;
/// Bits of a classical method's codes where none were asked for.
const DEFAULT_BITS: usize = 256;
/// Bytes of an address.
pub(super) const ADDRESS_BYTES: usize = 4;

/// The encoder's codes, of each width that was asked for.
pub(super) fn of_encoder(
    args: &Args,
    data: &Data,
    choice: Option<&EncoderChoice>,
    fingerprint: Option<String>,
    take: &mut dyn FnMut(Codes, Option<&Patches>) -> Result<()>,
) -> Result<()> {
    let loaded;
    let encoder = match &data.encoder {
        Some(encoder) => encoder,
        None => {
            loaded = load(args, choice)?;
            &loaded
        }
    };
    let fingerprint = fingerprint.unwrap_or_else(|| encoder.fingerprint().to_string());
    let name = match (&args.control, choice) {
        (Some(Control::RandomEncoder), _) => "random encoder".to_owned(),
        (_, Some(EncoderChoice::File(path))) => path.display().to_string(),
        (_, Some(EncoderChoice::Named(name))) => (*name).to_owned(),
        _ if data.encoder.is_some() => "encoder of the database".to_owned(),
        _ => "default encoder".to_owned(),
    };
    let full = usize::from(encoder.code_bits());
    if let Some(bits) = args.bits.iter().find(|&&bits| bits > full || bits % 8 != 0) {
        return Err(Usage(format!(
            "--bits {bits} is no multiple of eight up to {full}, the encoder's width"
        ))
        .into());
    }
    let items = encoded(args, encoder, &data.items, "database")?;
    let queries = encoded(args, encoder, &data.queries, "queries")?;
    if args.address {
        let used = usize::from(encoder.address_bits()).div_ceil(8);
        let codes = Codes {
            name: format!("{name}, addresses"),
            fingerprint: Some(fingerprint),
            bits: encoder.address_bits().into(),
            items: heads(&items.1, ADDRESS_BYTES, used),
            queries: heads(&queries.1, ADDRESS_BYTES, used),
            addresses: None,
        };
        return take(codes, None);
    }
    let patches = args.patches.then(|| patches::of_encoder(args, data, encoder)).transpose()?;
    let widths = if args.bits.is_empty() { vec![full] } else { args.bits.clone() };
    for bits in widths {
        let codes = Codes {
            name: if bits < full { format!("{name}, first bits") } else { name.clone() },
            fingerprint: Some(fingerprint.clone()),
            bits: u32::try_from(bits)?,
            items: heads(&items.0, full / 8, bits / 8),
            queries: heads(&queries.0, full / 8, bits / 8),
            addresses: Some((items.1.clone(), queries.1.clone())),
        };
        take(codes, patches.as_ref())?;
    }
    Ok(())
}

fn load(args: &Args, choice: Option<&EncoderChoice>) -> Result<Model> {
    let choice = choice.cloned().unwrap_or(EncoderChoice::Default);
    let Some(encoder) = choice.load(args.device)? else { bail!("there is no encoder") };
    if args.control != Some(Control::RandomEncoder) {
        return Ok(encoder);
    }
    Ok(encoder.untrained(args.seed, args.device)?)
}

/// The first bytes of each row.
fn heads(rows: &[u8], width: usize, taken: usize) -> Vec<u8> {
    rows.chunks_exact(width).flat_map(|row| &row[..taken]).copied().collect()
}

/// Codes and addresses.
fn encoded(
    args: &Args,
    encoder: &Model,
    items: &Items,
    what: &'static str,
) -> Result<(Vec<u8>, Vec<u8>)> {
    let pixels = match &items.kind {
        Kind::Codes { codes, addresses, .. } => return Ok((codes.clone(), addresses.clone())),
        Kind::Pixels(pixels) => pixels,
    };
    let mut meter = Meter::new(args.progress);
    let total = pixels.len() / PIXEL_BYTES;
    let (mut codes, mut addresses, mut done) = (Vec::new(), Vec::new(), 0);
    for batch in pixels.chunks(BATCH * PIXEL_BYTES) {
        let pictures: Result<Vec<_>, _> = batch.chunks(PIXEL_BYTES).map(Pixels::new).collect();
        for encoded in encoder.encode(&pictures?)? {
            codes.extend_from_slice(encoded.code.as_bytes());
            addresses.extend_from_slice(&encoded.address.value().to_le_bytes());
            done += 1;
        }
        meter.show(&Encoding { what, done, total });
    }
    meter.finish(&Encoding { what, done, total });
    Ok((codes, addresses))
}

/// How far the encoder is.
pub(super) struct Encoding {
    pub(super) what: &'static str,
    pub(super) done: usize,
    pub(super) total: usize,
}

impl Serialize for Encoding {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self { what, done, total } = self;
        json!({ "phase": format!("encode {what}"), "done": done, "total": total })
            .serialize(serializer)
    }
}

impl State for Encoding {
    fn line(&self) -> String {
        let [done, total] = [self.done, self.total].map(|count| text::count(count as u64));
        format!("encoded {done} of {total} pictures ({})", self.what)
    }

    fn fraction(&self) -> Option<f64> {
        Some(self.done as f64 / self.total.max(1) as f64)
    }
}

/// What classical methods learn from the database and share.
#[derive(Default)]
pub(super) struct Learned(Option<Pca>);

impl Learned {
    /// The codes of a method, of each width that was asked for.
    pub(super) fn each(
        &mut self,
        args: &Args,
        data: &Data,
        method: Method,
        take: &mut dyn FnMut(Codes),
    ) -> Result<()> {
        let (rows, asked) = (data.items.pixels()?, data.queries.pixels()?);
        let widths = if args.bits.is_empty() { vec![DEFAULT_BITS] } else { args.bits.clone() };
        if let (Method::Lsh, Some(bits)) = (method, widths.iter().find(|&&bits| bits > PIXEL_BYTES))
        {
            bail!("a code of {bits} bits is wider than the picture");
        }
        for &bits in &widths {
            let meter = Meter::new(args.progress);
            let (name, (items, queries)) = match method {
                Method::Lsh => {
                    let projection = baselines::lsh(rows, PIXEL_BYTES, bits, args.seed)?;
                    ("LSH", (projection.codes(rows)?, projection.codes(asked)?))
                }
                Method::Spectral => {
                    let hash = SpectralHash::of(self.pca(args, rows, &widths)?, rows, bits)?;
                    ("spectral hashing", (hash.codes(rows)?, hash.codes(asked)?))
                }
                Method::Itq => {
                    let pca = self.pca(args, rows, &widths)?;
                    let projection = baselines::itq(pca, rows, bits, ITERATIONS, args.seed)?;
                    ("ITQ", (projection.codes(rows)?, projection.codes(asked)?))
                }
                Method::PcaSign => {
                    let projection = self.pca(args, rows, &widths)?.first(bits)?;
                    ("PCA sign", (projection.codes(rows)?, projection.codes(asked)?))
                }
                Method::L2 | Method::L1 => bail!("pixels have no code"),
            };
            if args.progress != Some(crate::progress::Mode::None) {
                meter.note(&format!("{name} of {bits} bits has learned and coded"));
            }
            let bits = u32::try_from(bits)?;
            let name = name.to_owned();
            take(Codes { name, fingerprint: None, bits, items, queries, addresses: None });
        }
        Ok(())
    }

    /// Components enough for the widest code, found once.
    fn pca(&mut self, args: &Args, rows: &[u8], widths: &[usize]) -> Result<&Pca> {
        let most = widths.iter().copied().max().unwrap_or(DEFAULT_BITS);
        if self.0.is_none() {
            if args.progress != Some(crate::progress::Mode::None) {
                Meter::new(args.progress).note("looking for principal components");
            }
            self.0 = Some(Pca::of(rows, PIXEL_BYTES, most)?);
        }
        let Some(pca) = &self.0 else { bail!("there are no principal components") };
        Ok(pca)
    }
}
