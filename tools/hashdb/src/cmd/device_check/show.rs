//! The answer as tables for people.

use anyhow::Result;

use super::Answer;
use crate::output::Output;
use crate::text;

/// Prints the tables.
pub(super) fn show(output: &mut Output, answer: &Answer) -> Result<()> {
    output.facts(&[
        ("device", answer.device.clone()),
        ("encoder", answer.encoder.clone()),
        ("pictures compared", text::count(answer.pictures as u64)),
        ("calibrated batch", text::count(answer.calibrated_batch as u64)),
        ("threads that decode", answer.threads.to_string()),
    ])?;
    output.line(
        "\ncodes: bits that differ from those of the CPU in f32, and in the same precision",
    )?;
    let header = [
        "precision",
        ">bits",
        ">differ",
        ">share",
        ">pictures",
        ">same prec.",
        ">share",
        ">pictures",
        "same again",
        "any batch",
    ];
    output.table(&header, answer.precisions.iter().map(super::Compared::row).collect())?;
    output.line("\nrate, two batches on their way")?;
    let rows = answer.rates.iter().map(|rate| {
        vec![rate.precision.clone(), text::count(rate.batch as u64), whole(rate.images_per_second)]
    });
    output.table(&["precision", ">batch", ">images/s"], rows.collect())?;
    let overlap = &answer.overlap;
    output.line(format_args!(
        "\nbatches of {} on their way at once, images/s: one {}, two {}, four {}",
        text::count(overlap.batch as u64),
        whole(overlap.one),
        whole(overlap.two),
        whole(overlap.four),
    ))?;
    output.line("\nstages, each alone, f32")?;
    let rows = answer.stages.iter().map(|stage| {
        let rate = stage.images_per_second.map_or_else(|| "-".to_owned(), whole);
        vec![stage.stage.to_owned(), format!("{:.2}", stage.microseconds_per_image), rate]
    });
    output.table(&["stage", ">us/image", ">images/s"], rows.collect())?;
    let ingest = &answer.ingest;
    output.line(format_args!(
        "\ningest of {} JPEGs: {} images/s, on the CPU {}; bits that differ: {} ({:.2e})",
        text::count(ingest.images as u64),
        whole(ingest.images_per_second),
        whole(ingest.cpu_images_per_second),
        ingest.against_cpu.bits,
        ingest.against_cpu.share,
    ))?;
    match answer.problems.len() {
        0 => output.line("\nno problem"),
        count => output.line(format_args!("\n{count} problems, see standard error")),
    }
}

/// A rate without its fraction.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a rate to be read")]
fn whole(rate: f64) -> String {
    text::count(rate.round() as u64)
}
