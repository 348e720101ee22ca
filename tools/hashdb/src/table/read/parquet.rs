//! Parquet. Only the columns that are needed are read, some rows at a time.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Result, bail};
use arrow_array::RecordBatch;
use arrow_schema::{DataType, Field, Fields, Schema};
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReader,
    ParquetRecordBatchReaderBuilder,
};
use parquet::basic::Compression;
use parquet::errors::ParquetError;
use parquet::file::metadata::{ColumnChunkMetaData, ParquetMetaData, RowGroupMetaData};

use super::columns::{Layout, Parts};
use super::damage::reading;
use super::{Rows, Table, Widths};

/// Bytes that are decoded at once, about.
const DECODED_BYTES: u64 = 16 << 20;
/// Rows that are decoded at once, at most.
const DECODED_ROWS: u64 = 16_384;
/// In a group of no more bytes any rows may be decoded at once, however large some of them are.
const EVEN_BYTES: u64 = 256 << 20;
/// Rows of a larger group that are decoded at once, at most.
const UNEVEN_ROWS: u64 = 256;

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
        let found = reading(path, || ArrowReaderMetadata::load(&file, Default::default()))?;
        let layout = Layout::of(path, found.schema())?;
        let columns = layout.indexes();
        let metadata = found.metadata();
        check_compression(path, metadata, &columns)?;
        let step = usize::try_from(decoded_rows(metadata, &columns)).unwrap_or(1);
        let rows = u64::try_from(metadata.file_metadata().num_rows()).unwrap_or(0);
        let found = reading(path, || with_room(&found, &columns))?;
        let builder = ParquetRecordBatchReaderBuilder::new_with_metadata(file, found);
        let mask = ProjectionMask::roots(builder.parquet_schema(), columns);
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

/// Rows that are decoded at once, of the columns that are read: fewer where rows are large, and far fewer where some may
/// be much larger than others.
pub(super) fn decoded_rows(metadata: &ParquetMetaData, columns: &[usize]) -> u64 {
    let groups = metadata.row_groups().iter().map(|group| {
        let bytes = group_bytes(metadata, group, columns);
        let rows = u64::try_from(group.num_rows()).unwrap_or(0).max(1);
        let most = if bytes > EVEN_BYTES { UNEVEN_ROWS } else { DECODED_ROWS };
        (DECODED_BYTES / (bytes / rows).max(1)).clamp(1, most)
    });
    groups.min().unwrap_or(DECODED_ROWS)
}

/// Bytes of a group of rows in the columns that are read, decompressed.
fn group_bytes(metadata: &ParquetMetaData, group: &RowGroupMetaData, columns: &[usize]) -> u64 {
    let chunks = chunks(metadata, group, columns);
    chunks.map(|chunk| u64::try_from(chunk.uncompressed_size()).unwrap_or(0)).sum()
}

/// What a group of rows holds of the columns that are read, which are numbered as those of Arrow are.
fn chunks<'m>(
    metadata: &'m ParquetMetaData,
    group: &'m RowGroupMetaData,
    columns: &'m [usize],
) -> impl Iterator<Item = &'m ColumnChunkMetaData> {
    let schema = metadata.file_metadata().schema_descr();
    let read = move |leaf: usize| columns.contains(&schema.get_column_root_idx(leaf));
    group.columns().iter().enumerate().filter(move |(leaf, _)| read(*leaf)).map(|(_, chunk)| chunk)
}

/// Has strings counted by 64 bits where more of them may be decoded at once than 32 bits count.
fn with_room(
    found: &ArrowReaderMetadata,
    columns: &[usize],
) -> Result<ArrowReaderMetadata, ParquetError> {
    let metadata = found.metadata();
    let mut groups = metadata.row_groups().iter();
    if !groups.any(|group| group_bytes(metadata, group, columns) > i32::MAX as u64) {
        return Ok(found.clone());
    }
    let large = |field: &Arc<Field>| {
        let field = field.as_ref().clone();
        Arc::new(match field.data_type() {
            DataType::Binary => field.with_data_type(DataType::LargeBinary),
            DataType::Utf8 => field.with_data_type(DataType::LargeUtf8),
            _ => field,
        })
    };
    let fields = Fields::from_iter(found.schema().fields().iter().map(large));
    let options = ArrowReaderOptions::new().with_schema(Arc::new(Schema::new(fields)));
    ArrowReaderMetadata::try_new(Arc::clone(metadata), options)
}

/// Refuses columns that are read and compressed with what this program was built without.
pub(super) fn check_compression(
    path: &Path,
    metadata: &ParquetMetaData,
    columns: &[usize],
) -> Result<()> {
    let groups = metadata.row_groups().iter();
    for chunk in groups.flat_map(|group| chunks(metadata, group, columns)) {
        match chunk.compression() {
            Compression::UNCOMPRESSED
            | Compression::SNAPPY
            | Compression::LZ4
            | Compression::LZ4_RAW
            | Compression::ZSTD(_) => {}
            other => bail!(
                "{}, column {}: it is compressed with {other}, expected none, SNAPPY, LZ4 or ZSTD",
                path.display(),
                chunk.column_path().string()
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

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::sync::Arc;

    use parquet::basic::{Compression, GzipLevel};
    use parquet::file::metadata::{
        ColumnChunkMetaData, FileMetaData, ParquetMetaData, RowGroupMetaData,
    };
    use parquet::schema::parser::parse_message_type;
    use parquet::schema::types::SchemaDescriptor;

    use super::{check_compression, decoded_rows};

    /// A file with a group of `rows` rows: columns `a`, of a list, `b` and `c`, of which `b` is compressed with gzip and
    /// takes `bytes` bytes, the others a thousand.
    fn file(rows: i64, bytes: i64) -> ParquetMetaData {
        let message = "message m { repeated group a { required int32 x; required int32 y; } required binary b; required binary c; }";
        let schema = parse_message_type(message).unwrap();
        let schema = Arc::new(SchemaDescriptor::new(Arc::new(schema)));
        let chunks = schema.columns().iter().map(|column| {
            let is_b = column.name() == "b";
            let gzip = Compression::GZIP(GzipLevel::default());
            ColumnChunkMetaData::builder(Arc::clone(column))
                .set_compression(if is_b { gzip } else { Compression::SNAPPY })
                .set_total_uncompressed_size(if is_b { bytes } else { 1000 })
                .build()
                .unwrap()
        });
        let group = RowGroupMetaData::builder(Arc::clone(&schema))
            .set_num_rows(rows)
            .set_column_metadata(chunks.collect())
            .build()
            .unwrap();
        let facts = FileMetaData::new(2, rows, None, None, schema, None);
        ParquetMetaData::new(facts, vec![group])
    }

    #[test]
    fn columns_that_are_not_read_may_be_compressed_in_any_way() {
        let file = file(10, 1000);
        check_compression(Path::new("f"), &file, &[0, 2]).unwrap();
        let refused = check_compression(Path::new("f"), &file, &[0, 1]).unwrap_err().to_string();
        assert!(refused.starts_with("f, column b: it is compressed with GZIP"), "{refused}");
    }

    #[test]
    fn fewer_rows_are_decoded_at_once_where_they_are_large_or_may_be() {
        let rows = |rows, bytes, columns: &[usize]| decoded_rows(&file(rows, bytes), columns);
        assert_eq!(rows(1_000_000, 100 << 20, &[0, 1]), 16_384);
        assert_eq!(rows(1000, 100 << 20, &[1]), 160);
        assert_eq!(rows(1000, 100 << 20, &[0, 2]), 16_384);
        // A gigabyte in a million rows: some may be of many megabytes.
        assert_eq!(rows(1_000_000, 1 << 30, &[1]), 256);
        assert_eq!(rows(1, 1 << 30, &[1]), 1);
    }
}
