//! Parquet files, compressed with Snappy, which every reader knows.

use std::path::Path;

use anyhow::{Result, anyhow};
use arrow_schema::SchemaRef;
use parquet::arrow::ArrowWriter;
use parquet::basic::Compression;
use parquet::errors::ParquetError;
use parquet::file::properties::{EnabledStatistics, WriterProperties};

use super::draft::Draft;
use super::{Rows, Shape, Sink, records};

/// A group of rows ends at this many bytes, which are in memory until then.
const GROUP_BYTES: usize = 64 << 20;
/// A group of rows ends at this many rows.
const GROUP_ROWS: usize = 1 << 20;

/// A file under way.
pub(super) struct ParquetFile {
    writer: ArrowWriter<Draft>,
    schema: SchemaRef,
    name: String,
}

impl ParquetFile {
    pub(super) fn create(path: &Path, shape: Shape) -> Result<Self> {
        let (schema, name) = (records::schema(shape), path.display().to_string());
        let properties = WriterProperties::builder()
            .set_compression(Compression::SNAPPY)
            // Keys and codes hardly ever repeat.
            .set_dictionary_enabled(false)
            .set_statistics_enabled(EnabledStatistics::None)
            .set_max_row_group_row_count(Some(GROUP_ROWS))
            .build();
        let writer =
            ArrowWriter::try_new(Draft::create(path)?, SchemaRef::clone(&schema), Some(properties));
        let writer = writer.map_err(|error| anyhow!("cannot write {name}: {error}"))?;
        Ok(Self { writer, schema, name })
    }

    fn append(&mut self, rows: &Rows) -> Result<(), ParquetError> {
        self.writer.write(&records::batch(&self.schema, rows)?)?;
        if self.writer.memory_size() >= GROUP_BYTES {
            self.writer.flush()?;
        }
        Ok(())
    }
}

impl Sink for ParquetFile {
    fn write(&mut self, rows: &Rows) -> Result<()> {
        self.append(rows).map_err(|error| anyhow!("cannot write {}: {error}", self.name))
    }

    fn finish(self: Box<Self>) -> Result<()> {
        let Self { writer, name, .. } = *self;
        let ended = writer.into_inner();
        ended.map_err(|error| anyhow!("cannot write {name}: {error}"))?.finish()
    }
}
