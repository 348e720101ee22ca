//! Failpoints: named places around every step that changes a disk, in which `tools/torture` makes a
//! program die. Without the feature `failpoints` coming by one costs nothing.

/// Every failpoint, in the order in which work comes by.
#[cfg(feature = "failpoints")]
pub const POINTS: &[&str] = &[
    "create.root",
    "create.records",
    "create.batch",
    "durable.written",
    "durable.renamed",
    "create.superblock",
    "open.superblock",
    "open.probed",
    "open.records",
    "open.recovered",
    "open.swept",
    "open.marked",
    "commit.begin",
    "commit.written",
    "commit.published",
    "sync.flushed",
    "seal.begin",
    "segment.created",
    "segment.sections",
    "segment.header",
    "segment.synced",
    "segment.renamed",
    "segment.named",
    "segment.opened",
    "seal.before_batch",
    "seal.after_batch",
    "seal.published",
    "seal.end",
    "superblock.begin",
    "superblock.written",
    "superblock.synced",
    "compact.begin",
    "compact.sealed",
    "merge.begin",
    "merge.gathered",
    "merge.tables",
    "merge.before_batch",
    "merge.after_batch",
    "merge.published",
    "merge.obsolete",
    "merge.end",
    "segment.remove",
    "segment.removed",
    "compact.merged",
    "compact.end",
    "set_index.before_batch",
    "set_index.after_batch",
    "bulk.begin",
    "table.written",
    "bulk.keys",
    "bulk.segment",
    "bulk.built",
    "bulk.before_ingest",
    "bulk.after_ingest",
    "bulk.published",
    "bulk.end",
    "capture.begin",
    "capture.records",
    "capture.end",
    "checkpoint.filled",
    "checkpoint.renamed",
    "checkpoint.end",
    "backup.begin",
    "backup.copied",
    "backup.stored",
    "backup.files",
    "backup.manifest",
    "backup.pruned",
    "backup.swept",
    "restore.begin",
    "restore.file",
    "restore.filled",
    "restore.end",
    "close.begin",
    "close.synced",
    "ballast.allocated",
    "ballast.renamed",
    "ballast.kept",
    "space.begin",
    "space.released",
    "space.opened",
    "space.end",
    "repair.begin",
    "repair.resumed",
    "repair.copied",
    "salvage.skeleton",
    "repair.tables",
    "repair.fresh",
    "repair.planned",
    "repair.opened",
    "repair.derived",
    "repair.rows",
    "repair.aside",
    "repair.batch",
    "repair.ready",
    "repair.away",
    "repair.swapped",
    "repair.superblock",
    "repair.tidied",
    "repair.end",
];

/// Comes by a failpoint.
#[inline]
pub(crate) fn reach(point: &'static str) {
    #[cfg(feature = "failpoints")]
    {
        debug_assert!(POINTS.contains(&point), "{point} is on no list");
        fail::fail_point!(point);
    }
    #[cfg(not(feature = "failpoints"))]
    let _ = point;
}

/// Has `action` called whenever the program comes by `point`.
///
/// # Errors
///
/// The name of a failpoint that does not exist.
#[cfg(feature = "failpoints")]
pub fn set(point: &str, action: impl Fn() + Send + Sync + 'static) -> Result<(), String> {
    if !POINTS.contains(&point) {
        return Err(format!("there is no failpoint {point}"));
    }
    fail::cfg_callback(point, action)
}
