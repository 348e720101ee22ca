//! Arrow IPC files, which Feather version 2 is too, uncompressed, so that they can be mapped.

use std::path::Path;

use anyhow::{Result, anyhow};
use arrow_ipc::writer::FileWriter;
use arrow_schema::SchemaRef;

use super::draft::Draft;
use super::{Rows, Shape, Sink, records};

/// A file under way.
pub(super) struct IpcFile {
    writer: FileWriter<Draft>,
    schema: SchemaRef,
    name: String,
}

impl IpcFile {
    pub(super) fn create(path: &Path, shape: Shape) -> Result<Self> {
        let (schema, name) = (records::schema(shape), path.display().to_string());
        let writer = FileWriter::try_new(Draft::create(path)?, &schema);
        let writer = writer.map_err(|error| anyhow!("cannot write {name}: {error}"))?;
        Ok(Self { writer, schema, name })
    }
}

impl Sink for IpcFile {
    fn write(&mut self, rows: &Rows) -> Result<()> {
        let batch = records::batch(&self.schema, rows);
        let written = batch.and_then(|batch| self.writer.write(&batch));
        written.map_err(|error| anyhow!("cannot write {}: {error}", self.name))
    }

    fn finish(self: Box<Self>) -> Result<()> {
        let Self { mut writer, name, .. } = *self;
        let ended = writer.finish().and_then(|()| writer.into_inner());
        ended.map_err(|error| anyhow!("cannot write {name}: {error}"))?.finish()
    }
}
