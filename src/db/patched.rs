//! How many records have patch addresses: counted where it is asked for, since a delete would have to look it up.

use crate::db::view::View;
use crate::error::Result;

/// The records of a view that have patches: rows with any of which the record lives.
pub(crate) fn patched_records(view: &View) -> Result<u64> {
    let mut count = 0;
    for run in view.memtable.runs() {
        let rows = run.rows();
        let patched = (0..run.len()).filter(|&row| run.patches.of(row).len() > 0);
        count += patched.filter(|&row| view.is_live(rows.id(row))).count() as u64;
    }
    for segment in &view.segments {
        let Some(patched) = segment.patched_rows()? else { continue };
        let rows = segment.places()?;
        let patched = patched.into_iter().enumerate().filter(|(_, patched)| *patched);
        count += patched.filter(|&(row, _)| view.is_live(rows.id(row))).count() as u64;
    }
    Ok(count)
}
