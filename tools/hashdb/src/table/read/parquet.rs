//! Parquet. Only the columns that are needed are read, some rows at a time.

use std::path::{Path, PathBuf};

use anyhow::{Result, bail};
use arrow_array::RecordBatch;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder};
use parquet::basic::Compression;
use parquet::file::metadata::ParquetMetaData;

use super::columns::{Layout, Parts};
use super::damage::reading;
use super::{Rows, Table, Widths};

/// Bytes that are decoded at once, about.
const DECODED_BYTES: u64 = 16 << 20;
/// Rows that are decoded at once, at most.
const DECODED_ROWS: u64 = 16_384;

/// An open file.
pub(super) struct ParquetTable {
    path: PathBuf,
    reader: ParquetRecordBatchReader,
    layout: Layout,
    parts: Parts,
    rows: u64,
    passed: u64,
}

impl ParquetTable {
    /// Reads the footer and checks the columns.
    pub(super) fn open(path: &Path, from: u64) -> Result<Self> {
        let file = super::file(path)?;
        let builder = reading(path, || ParquetRecordBatchReaderBuilder::try_new(file))?;
        let layout = Layout::of(path, builder.schema())?;
        let metadata = builder.metadata();
        check_compression(path, metadata)?;
        let rows = u64::try_from(metadata.file_metadata().num_rows()).unwrap_or(0);
        let step = usize::try_from(decoded_rows(metadata)).unwrap_or(1);
        let mask = ProjectionMask::roots(builder.parquet_schema(), layout.indexes());
        let passed = from.min(rows);
        let offset = usize::try_from(passed).unwrap_or(usize::MAX);
        let reader = builder.with_batch_size(step).with_projection(mask).with_offset(offset);
        let reader = reading(path, || reader.build())?;
        // The columns of a batch are those that were asked for.
        let layout = layout.projected();
        let parts = Parts::at(passed);
        Ok(Self { path: path.to_path_buf(), reader, layout, parts, rows, passed })
    }
}

/// Rows that are decoded at once: fewer where they are large.
pub(super) fn decoded_rows(metadata: &ParquetMetaData) -> u64 {
    let groups = metadata.row_groups().iter();
    let largest = groups.map(|group| {
        let size = |number| u64::try_from(number).unwrap_or(0);
        size(group.total_byte_size()) / size(group.num_rows()).max(1)
    });
    (DECODED_BYTES / largest.max().unwrap_or(0).max(1)).clamp(1, DECODED_ROWS)
}

/// Refuses what this program was built without.
pub(super) fn check_compression(path: &Path, metadata: &ParquetMetaData) -> Result<()> {
    let columns = metadata.row_groups().iter().flat_map(|group| group.columns());
    for column in columns {
        match column.compression() {
            Compression::UNCOMPRESSED
            | Compression::SNAPPY
            | Compression::LZ4
            | Compression::LZ4_RAW
            | Compression::ZSTD(_) => {}
            other => bail!(
                "{}, column {}: it is compressed with {other}, expected none, SNAPPY, LZ4 or ZSTD",
                path.display(),
                column.column_path()
            ),
        }
    }
    Ok(())
}

impl Table for ParquetTable {
    fn widths(&self) -> Widths {
        self.layout.widths()
    }

    fn rows(&self) -> Option<u64> {
        Some(self.rows)
    }

    fn passed(&self) -> u64 {
        self.passed
    }

    fn read(&mut self, rows: &mut Rows) -> Result<()> {
        let Self { path, reader, layout, parts, .. } = self;
        parts.fill(path, layout, rows, || {
            reading(path, || reader.next().transpose()).map(|batch: Option<RecordBatch>| batch)
        })
    }
}
