//! The figures of an evaluation, as tables and as JSON.

use anyhow::Result;
use hashdb::eval::{CodeStatistics, Estimate, PLACES, Summary};
use serde_json::{Value, json};

use super::data::Data;
use super::{Args, FEW, Passed, Row};
use crate::output::Output;
use crate::text;

/// Prints all rows.
pub(super) fn print(args: &Args, data: &Data, rows: &[Row]) -> Result<()> {
    let mut output = Output::new();
    if args.json {
        for row in rows {
            output.json(&object(args, data, row))?;
        }
        return output.finish();
    }
    output.line(&data.title)?;
    if let Some(control) = args.control {
        output.line(format_args!("control: {}, seed {}", control.name(), args.seed))?;
    }
    output.line("")?;
    let header = [
        "codes",
        ">bits",
        ">mAP@1000",
        "95 %",
        ">mAP@all",
        ">P@1",
        ">P@10",
        ">P@100",
        ">P@1000",
        ">s",
    ];
    output.table(&header, rows.iter().map(scores).collect())?;
    let balls: Vec<_> = rows.iter().filter_map(|row| Some((row, row.passed.as_ref()?))).collect();
    if !balls.is_empty() {
        output.line("")?;
        let few = format!(">below {FEW}");
        let header = ["within a ball", ">radius", ">candidates", ">share", &few];
        let items = data.items.labels.len();
        output
            .table(&header, balls.iter().map(|(row, found)| passed(row, found, items)).collect())?;
    }
    let coded: Vec<_> =
        rows.iter().filter_map(|row| Some((row, row.statistics.as_ref()?))).collect();
    if !coded.is_empty() {
        output.line("")?;
        let header = [
            "codes of the database",
            ">bits",
            ">distinct",
            ">uniform",
            ">shared",
            ">surplus",
            ">uniform",
            ">largest",
            ">mean bucket",
            ">entropy",
            ">least",
            ">correlation",
            ">most",
        ];
        output.table(&header, coded.iter().map(|(row, found)| statistics(row, found)).collect())?;
    }
    output.finish()
}

impl super::Control {
    /// As the argument has it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::ShuffledLabels => "shuffled-labels",
            Self::RandomEncoder => "random-encoder",
            Self::QueriesInside => "queries-inside",
        }
    }
}

fn scores(row: &Row) -> Vec<String> {
    let Summary { map_cut, map_all, precision, .. } = &row.summary;
    let bits = row.statistics.as_ref().map_or("-".to_owned(), |found| found.bits.to_string());
    let interval = format!("{:.4} to {:.4}", map_cut.low, map_cut.high);
    let mut cells =
        vec![row.name.clone(), bits, share(map_cut.mean), interval, share(map_all.mean)];
    cells.extend(precision.iter().map(|precision| share(precision.mean)));
    cells.push(format!("{:.1}", row.seconds));
    cells
}

fn passed(row: &Row, found: &Passed, items: usize) -> Vec<String> {
    vec![
        row.name.clone(),
        found.radius.to_string(),
        format!("{:.1}", found.mean),
        format!("{:.3} %", 100.0 * found.mean / items.max(1) as f64),
        format!("{:.2} %", 100.0 * found.few),
    ]
}

fn statistics(row: &Row, found: &CodeStatistics) -> Vec<String> {
    let percent = |share: f64| format!("{:.2} %", 100.0 * share);
    vec![
        row.name.clone(),
        found.bits.to_string(),
        text::count(found.distinct),
        format!("{:.0}", found.uniform_distinct),
        percent(found.shared),
        percent(found.surplus),
        percent(found.uniform_surplus),
        text::count(found.largest_bucket),
        format!("{:.2}", found.mean_bucket),
        share(found.entropy_mean),
        share(found.entropy_least),
        share(found.correlation_mean),
        share(found.correlation_most),
    ]
}

fn share(number: f64) -> String {
    format!("{number:.4}")
}

fn object(args: &Args, data: &Data, row: &Row) -> Value {
    let Summary { queries, items, map_cut, map_all, precision, curve } = &row.summary;
    let estimate = |estimate: &Estimate| json!({ "mean": estimate.mean, "low": estimate.low, "high": estimate.high });
    let precisions: serde_json::Map<String, Value> = PLACES
        .iter()
        .zip(precision)
        .map(|(places, precision)| (places.to_string(), estimate(precision)))
        .collect();
    let curve: Vec<Value> = curve
        .iter()
        .map(|point| json!({ "places": point.places, "precision": point.precision, "recall": point.recall }))
        .collect();
    json!({
        "evaluation": data.title,
        "codes": row.name,
        "encoder": row.fingerprint,
        "control": args.control.map(super::Control::name),
        "seed": args.seed,
        "items": items,
        "queries": queries,
        "bits": row.statistics.as_ref().map(|found| found.bits),
        "map_1000": estimate(map_cut),
        "map_all": estimate(map_all),
        "precision": precisions,
        "ball": row.passed.as_ref().map(|found| json!({
            "radius": found.radius,
            "candidates_mean": found.mean,
            "queries_below_100": found.few,
        })),
        "patches": row.patches.map(|ranked| json!({
            "radius": ranked.radius,
            "counting": ranked.counting,
            "joined": ranked.joined,
        })),
        "statistics": row.statistics.as_ref().map(bits_object),
        "curve": curve,
        "score_seconds": row.seconds,
    })
}

fn bits_object(found: &CodeStatistics) -> Value {
    json!({
        "codes": found.codes,
        "distinct": found.distinct,
        "uniform_distinct": found.uniform_distinct,
        "shared": found.shared,
        "surplus": found.surplus,
        "uniform_surplus": found.uniform_surplus,
        "largest_bucket": found.largest_bucket,
        "mean_bucket": found.mean_bucket,
        "uniform_mean_bucket": found.uniform_mean_bucket,
        "entropy": { "mean": found.entropy_mean, "least": found.entropy_least },
        "correlation": { "mean": found.correlation_mean, "most": found.correlation_most },
    })
}
