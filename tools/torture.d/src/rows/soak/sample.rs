//! One look at a process and at the folder of its database.

use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use anyhow::{Context as _, Result};

use super::heap::allocated_bytes;

/// What is measured once a second, as numbers.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Sample {
    /// Seconds since the soak began.
    pub(super) at: f64,
    /// Which process, counted from 0.
    pub(super) life: f64,
    /// Seconds since that process began its work.
    pub(super) age: f64,
    /// Resident memory of its own, in bytes.
    pub(super) anonymous: f64,
    /// Bytes of it that the allocator has handed out.
    pub(super) allocated: f64,
    /// Resident pages of files, in bytes: what the kernel may take back.
    pub(super) file: f64,
    pub(super) threads: f64,
    pub(super) open_files: f64,
    /// Open or mapped files that have no name any more.
    pub(super) unlinked: f64,
    /// Files in the folder of the database.
    pub(super) files: f64,
    /// Bytes that they take on the disk.
    pub(super) disk: f64,
    /// Of these: RocksDB's tables, its blob files, its logs; segments; BALLAST.
    pub(super) tables: f64,
    pub(super) blobs: f64,
    pub(super) logs: f64,
    pub(super) segments: f64,
    pub(super) ballast: f64,
    /// Bytes of keys, codes and values of live records.
    pub(super) live: f64,
    pub(super) records: f64,
    /// Rows of segments and of the memtable that are deleted.
    pub(super) deleted: f64,
    /// Changes that were acknowledged by this process.
    pub(super) changes: f64,
    /// Answers that were checked by this process.
    pub(super) answers: f64,
    /// Snapshots that are held.
    pub(super) snapshots: f64,
    /// 1 while a compaction that was asked for runs.
    pub(super) compacting: f64,
}

/// Its fields in the order of the file.
const COLUMNS: [&str; 23] = [
    "at",
    "life",
    "age",
    "anonymous",
    "allocated",
    "file",
    "threads",
    "open_files",
    "unlinked",
    "files",
    "disk",
    "tables",
    "blobs",
    "logs",
    "segments",
    "ballast",
    "live",
    "records",
    "deleted",
    "changes",
    "answers",
    "snapshots",
    "compacting",
];

impl Sample {
    fn fields(&mut self) -> [&mut f64; 23] {
        [
            &mut self.at,
            &mut self.life,
            &mut self.age,
            &mut self.anonymous,
            &mut self.allocated,
            &mut self.file,
            &mut self.threads,
            &mut self.open_files,
            &mut self.unlinked,
            &mut self.files,
            &mut self.disk,
            &mut self.tables,
            &mut self.blobs,
            &mut self.logs,
            &mut self.segments,
            &mut self.ballast,
            &mut self.live,
            &mut self.records,
            &mut self.deleted,
            &mut self.changes,
            &mut self.answers,
            &mut self.snapshots,
            &mut self.compacting,
        ]
    }

    /// The first line of the file.
    pub(super) fn header() -> String {
        COLUMNS.join(",")
    }

    pub(super) fn line(mut self) -> String {
        self.fields().map(|field| field.to_string()).join(",")
    }

    pub(super) fn parse(line: &str) -> Option<Self> {
        let mut sample = Self::default();
        let mut words = line.split(',');
        for field in sample.fields() {
            *field = words.next()?.parse().ok()?;
        }
        words.next().is_none().then_some(sample)
    }

    /// Measures this process and the folder.
    pub(super) fn measure(&mut self, folder: &Path) -> Result<()> {
        let status = std::fs::read_to_string("/proc/self/status").context("read the status")?;
        let value = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name))?;
            line.split_whitespace().next()?.parse::<f64>().ok()
        };
        self.anonymous = value("RssAnon:").context("no RssAnon")? * 1024.0;
        self.file = value("RssFile:").context("no RssFile")? * 1024.0;
        self.threads = value("Threads:").context("no Threads")?;
        self.allocated = allocated_bytes();
        self.measure_handles()?;
        self.measure_folder(folder);
        Ok(())
    }

    fn measure_handles(&mut self) -> Result<()> {
        (self.open_files, self.unlinked) = (0.0, 0.0);
        for entry in std::fs::read_dir("/proc/self/fd").context("list open files")? {
            // One of them is the handle of this listing, and another may be closed meanwhile.
            let Ok(target) = entry.and_then(|entry| std::fs::read_link(entry.path())) else {
                continue;
            };
            self.open_files += 1.0;
            self.unlinked += f64::from(u8::from(target.to_string_lossy().ends_with("(deleted)")));
        }
        let maps = std::fs::read_to_string("/proc/self/maps").context("read the mappings")?;
        let unlinked = maps.lines().filter(|line| line.ends_with("(deleted)")).count();
        self.unlinked += unlinked as f64;
        Ok(())
    }

    /// What vanishes on the way was not there.
    fn measure_folder(&mut self, folder: &Path) {
        let mut folders = vec![folder.to_path_buf()];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
                let Ok(metadata) = entry.metadata() else { continue };
                let path = entry.path();
                let bytes = (metadata.blocks() * 512) as f64;
                self.disk += bytes;
                if metadata.is_dir() {
                    folders.push(path);
                    continue;
                }
                self.files += 1.0;
                let kind = path.extension().and_then(|kind| kind.to_str());
                let part = match kind {
                    Some("sst") => &mut self.tables,
                    Some("blob") => &mut self.blobs,
                    Some("log") => &mut self.logs,
                    _ if path.ends_with("BALLAST") => &mut self.ballast,
                    _ if path.components().any(|part| part.as_os_str() == "segments") => {
                        &mut self.segments
                    }
                    _ => continue,
                };
                *part += bytes;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Sample;

    #[test]
    fn a_line_is_read_back_as_it_was_written() {
        let mut sample = Sample { at: 1.5, compacting: 1.0, ..Sample::default() };
        sample.measure(&std::env::temp_dir()).unwrap();
        assert!(sample.anonymous > 0.0 && sample.open_files > 0.0 && sample.threads >= 1.0);
        assert_eq!(Sample::parse(&sample.line()), Some(sample));
        assert_eq!(Sample::header().split(',').count(), sample.line().split(',').count());
        assert_eq!(Sample::parse("1,2"), None);
    }
}
