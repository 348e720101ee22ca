//! Multiple semantic hashing: rankings by the addresses of patches, alone and joined with those by codes.

use std::time::Instant;

use anyhow::{Result, anyhow, bail};
use hashdb::eval::{LabelledPatches, PatchAsker, PatchRule, QueryScore, Scorer, code_statistics};
use hashdb::ingest::PIXEL_BYTES;
use hashdb::model::{Encoder as _, Model, PATCHES, Pixels};
use hashdb::{Level, PatchCounting};

use super::codes::{BATCH, Encoding};
use super::data::{Data, Items, Kind};
use super::{Args, Codes, FEW, Passed, Row};
use crate::progress::Meter;

/// Both rules, by what rows call them.
const COUNTINGS: [(PatchCounting, &str); 2] =
    [(PatchCounting::Closest, "closest"), (PatchCounting::Every, "every")];

/// The addresses of all patches, in the order of the items and of the queries.
pub(super) struct Patches {
    bits: u8,
    items: Vec<u32>,
    queries: Vec<u32>,
}

/// How a row came by its ranking.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ranked {
    pub(super) radius: u32,
    pub(super) counting: &'static str,
    pub(super) joined: bool,
}

/// Which net makes the addresses: that of the encoder that is scored, unless another was named.
pub(super) fn of_encoder(args: &Args, data: &Data, encoder: &Model) -> Result<Patches> {
    let other = match &args.patches_of {
        Some(choice) => choice.load(args.device)?,
        None => None,
    };
    let encoder = other.as_ref().unwrap_or(encoder);
    let Some(bits) = encoder.patch_bits() else {
        bail!(
            "the encoder {} has no network for patches: hashdb train --preset kh2011-patch adds one, \
            --patches-of names an encoder that has one",
            encoder.fingerprint()
        );
    };
    let items = addresses(args, encoder, &data.items, "patches of the database")?;
    let queries = addresses(args, encoder, &data.queries, "patches of queries")?;
    Ok(Patches { bits, items, queries })
}

fn addresses(args: &Args, encoder: &Model, items: &Items, what: &'static str) -> Result<Vec<u32>> {
    let pixels = match &items.kind {
        Kind::Codes { patches, .. } => return Ok(patches.clone()),
        Kind::Pixels(pixels) => pixels,
    };
    let mut meter = Meter::new(args.progress);
    let total = pixels.len() / PIXEL_BYTES;
    let (mut addresses, mut done) = (Vec::with_capacity(total * PATCHES), 0);
    for batch in pixels.chunks(BATCH * PIXEL_BYTES) {
        let pictures: Result<Vec<_>, _> = batch.chunks(PIXEL_BYTES).map(Pixels::new).collect();
        for of_picture in encoder.patch_addresses(&pictures?)? {
            addresses.extend_from_slice(&of_picture);
            done += 1;
        }
        meter.show(&Encoding { what, done, total });
    }
    meter.finish(&Encoding { what, done, total });
    Ok(addresses)
}

/// Scores both rules of counting at each radius, by patches alone and joined with the codes.
pub(super) fn score(
    args: &Args,
    data: &Data,
    codes: &Codes,
    patches: &Patches,
    rows: &mut Vec<Row>,
) -> Result<()> {
    let width = (codes.bits as usize).div_ceil(8);
    let labels = &data.items.labels;
    let items = LabelledPatches::new(
        (&patches.items, PATCHES, patches.bits),
        (&codes.items, width),
        labels,
    )?;
    // All addresses there are, as if each were a code of its own.
    let used = usize::from(patches.bits).div_ceil(8);
    let bytes = patches.items.iter().flat_map(|patch| patch.to_le_bytes().into_iter().take(used));
    let mut statistics = Some(code_statistics(&bytes.collect::<Vec<_>>(), u32::from(patches.bits)));
    let [patch_weight, code_weight] = args.weights[..] else { bail!("two weights are needed") };
    for &radius in &args.patch_radius {
        for (counting, called) in COUNTINGS {
            let began = Instant::now();
            let rule = PatchRule { radius, counting, patch_weight, code_weight };
            let found = rank_all(data, codes, patches, &items, rule)?;
            let scorer = Scorer::new(items.len());
            let asked = found.scored.len().max(1) as f64;
            let mean = found.scored.iter().sum::<u64>() as f64 / asked;
            let few = found.scored.iter().filter(|scored| **scored < FEW).count() as f64 / asked;
            let seconds = began.elapsed().as_secs_f64();
            let name = format!("patches within {radius}, {called}");
            for (joined, scores) in [(false, &found.by_patches), (true, &found.joined)] {
                let ranked = Ranked { radius, counting: called, joined };
                rows.push(Row {
                    name: if joined {
                        format!("{}, joined with {name}", codes.name)
                    } else {
                        name.clone()
                    },
                    fingerprint: codes.fingerprint.clone(),
                    statistics: if joined { None } else { statistics.take() },
                    passed: (!joined).then_some(Passed { radius, mean, few }),
                    patches: Some(ranked),
                    summary: scorer.summary(scores, args.seed),
                    seconds,
                });
            }
        }
    }
    Ok(())
}

/// The scores of all queries.
#[derive(Default)]
struct Found {
    by_patches: Vec<QueryScore>,
    joined: Vec<QueryScore>,
    /// Items that score anything.
    scored: Vec<u64>,
}

/// Ranks for all queries, on all processors.
fn rank_all(
    data: &Data,
    codes: &Codes,
    patches: &Patches,
    items: &LabelledPatches,
    rule: PatchRule,
) -> Result<Found> {
    let width = (codes.bits as usize).div_ceil(8);
    let queries: Vec<_> = codes
        .queries
        .chunks_exact(width)
        .zip(patches.queries.chunks_exact(PATCHES))
        .zip(&data.queries.labels)
        .map(|((code, patches), &label)| PatchAsker { patches, code, label })
        .collect();
    let scorer = Scorer::new(items.len());
    let rank = |queries: &[PatchAsker<'_>]| -> Result<Found> {
        let mut found = Found::default();
        for &query in queries {
            let ranking = items.rank(Level::best(), query, rule)?;
            found.by_patches.push(scorer.score(&ranking.by_patches));
            found.joined.push(scorer.score(&ranking.joined));
            found.scored.push(ranking.scored);
        }
        Ok(found)
    };
    let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let share = queries.len().div_ceil(threads).max(1);
    let parts = std::thread::scope(|scope| {
        let running: Vec<_> =
            queries.chunks(share).map(|part| scope.spawn(|| rank(part))).collect();
        let joined = running.into_iter().map(std::thread::ScopedJoinHandle::join);
        joined.collect::<Result<Vec<_>, _>>()
    });
    let mut all = Found::default();
    for part in parts.map_err(|_| anyhow!("a thread that ranked patches failed"))? {
        let part = part?;
        all.by_patches.extend(part.by_patches);
        all.joined.extend(part.joined);
        all.scored.extend(part.scored);
    }
    Ok(all)
}
