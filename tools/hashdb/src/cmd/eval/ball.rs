//! Two stages, as Krizhevsky and Hinton 2011 search: the ball around the short address picks candidates, the
//! long code ranks them. What the ball leaves out counts as never found.

use hashdb::Level;
use hashdb::eval::{Ball, LabelledCodes, Scorer};

use super::codes::ADDRESS_BYTES;
use super::data::Data;
use super::{Args, Codes, FEW, Passed, Row};

/// Ranks and scores what lies within the ball of each query; none without addresses.
pub(super) fn score(args: &Args, data: &Data, codes: &Codes, radius: u32) -> Option<Row> {
    let (of_items, of_queries) = codes.addresses.as_ref()?;
    let width = (codes.bits as usize).div_ceil(8);
    let began = std::time::Instant::now();
    let items = LabelledCodes::new(&codes.items, width, &data.items.labels);
    let addresses = LabelledCodes::new(of_items, ADDRESS_BYTES, &data.items.labels);
    let scorer = Scorer::new(items.len());
    let (mut scores, mut passed, mut few) = (Vec::new(), 0, 0_u32);
    let queries = codes.queries.chunks_exact(width).zip(of_queries.chunks_exact(ADDRESS_BYTES));
    for ((query, centre), &label) in queries.zip(&data.queries.labels) {
        let ball = Ball { centre, radius };
        let ties = items.rank_in_ball(Level::best(), &addresses, ball, query, label);
        let found: u64 = ties.iter().map(|tie| tie.items).sum();
        passed += found;
        few += u32::from(found < FEW);
        scores.push(scorer.score_part(&ties, items.relevant(label)));
    }
    let asked = scores.len().max(1) as f64;
    let passed = Passed { radius, mean: passed as f64 / asked, few: f64::from(few) / asked };
    let summary = scorer.summary(&scores, args.seed);
    let seconds = began.elapsed().as_secs_f64();
    let name = format!("{}, ball of {radius}", codes.name);
    let fingerprint = codes.fingerprint.clone();
    let (statistics, passed, patches) = (None, Some(passed), None);
    Some(Row { name, fingerprint, statistics, passed, patches, summary, seconds })
}
