//! The scorer of `hashdb eval` against one that sorts: 10,000 queries over 50,000 codes of 256 bits, all
//! metrics, on one core.
//!
//! `cargo bench --profile dev --features encoder --bench scorer`
#![expect(clippy::print_stdout, reason = "figures are printed")]

use std::time::{Duration, Instant};

use hashdb::Level;
use hashdb::eval::{LabelledCodes, Own, Scorer};

const WIDTH: usize = 32;
const ITEMS: usize = 50_000;
const QUERIES: usize = 10_000;
/// Queries of the slow scorer.
const SORTED: usize = 100;
const CLASSES: u64 = 10;

/// Codes about a centre for each class, so that distances and ties are as those of learned codes.
fn codes(count: usize, mut state: u64) -> (Vec<u8>, Vec<u16>) {
    let mix = |mut mixed: u64| {
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    };
    let (mut codes, mut labels) = (Vec::new(), Vec::new());
    for _ in 0..count {
        let mut random = || {
            state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
            mix(state)
        };
        let label = random() % CLASSES;
        for word in 0..4 {
            // Three bits of eight differ from the centre.
            let noise = random() & (random() | random());
            codes.extend((mix(label * 7 + word + 1) ^ noise).to_le_bytes());
        }
        labels.push(u16::try_from(label).unwrap_or(0));
    }
    (codes, labels)
}

/// Average precision within the first 1000, all places and precisions, by sorting; ties as they come.
fn by_sorting(codes: &[u8], labels: &[u16], query: &[u8], label: u16) -> (f64, f64, [f64; 4]) {
    let distance =
        |row: &[u8]| row.iter().zip(query).map(|(a, b)| (a ^ b).count_ones()).sum::<u32>();
    let mut order: Vec<(u32, bool)> = codes
        .chunks_exact(WIDTH)
        .zip(labels)
        .map(|(row, &of)| (distance(row), of == label))
        .collect();
    order.sort_by_key(|&(distance, _)| distance);
    let (mut hits, mut sum, mut cut) = (0.0, 0.0, 0.0);
    let mut precision = [0.0; 4];
    for (place, &(_, relevant)) in (1..).zip(&order) {
        let place = f64::from(place);
        if relevant {
            hits += 1.0;
            sum += hits / place;
        }
        for (precision, at) in precision.iter_mut().zip([1.0, 10.0, 100.0, 1000.0]) {
            if place == at {
                *precision = hits / at;
            }
        }
        if place == 1000.0 {
            cut = sum / f64::max(hits, 1.0);
        }
    }
    (cut, sum / hits.max(1.0), precision)
}

fn main() {
    let ((items, labels), (queries, asked)) = (codes(ITEMS, 1), codes(QUERIES, 2));
    let began = Instant::now();
    let labelled = LabelledCodes::new(&items, WIDTH, &labels);
    let scores = labelled.scores(Level::best(), &queries, WIDTH, &asked, Own::Absent);
    let summary = Scorer::new(labelled.len()).summary(&scores, 1);
    let counted = began.elapsed();

    let began = Instant::now();
    let mut sums = (0.0, 0.0);
    for (query, &label) in queries.chunks_exact(WIDTH).zip(&asked).take(SORTED) {
        let (cut, all, _) = by_sorting(&items, &labels, query, label);
        sums = (sums.0 + cut, sums.1 + all);
    }
    let sorted = began.elapsed();
    // Both must see the same; one breaks ties as they come, which means little over whole rankings.
    let part: f64 = scores.iter().take(SORTED).map(|score| score.all).sum();
    assert!((part - sums.1).abs() < 0.01 * part, "{part} {}", sums.1);
    let a_query = |time: Duration, queries: usize| time.as_secs_f64() * 1e3 / queries as f64;
    let (fast, slow) = (a_query(counted, QUERIES), a_query(sorted, SORTED));
    println!("mAP@1000 {:.4}, mAP@all {:.4}", summary.map_cut.mean, summary.map_all.mean);
    println!(
        "{QUERIES} queries over {ITEMS} codes, all metrics and intervals: {:.2} s",
        counted.as_secs_f64()
    );
    println!("a query: {fast:.3} ms, by sorting {slow:.3} ms, ratio {:.1}", slow / fast);
}
