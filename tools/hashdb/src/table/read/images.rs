//! Images in Parquet files: a column of bytes, or of structs with a field `bytes` as Hugging Face writes them. A row
//! is an entry of the shard; other columns may give its name and its value.

use std::path::Path;
use std::sync::Arc;

use arrow_array::cast::AsArray as _;
use arrow_array::types::{Float32Type, Float64Type};
use arrow_array::{Array, ArrayRef, RecordBatch};
use arrow_schema::{DataType, Field, Schema};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hashdb::ingest::{ShardEntries, ShardEntry, ShardError, ShardFormat};
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::columns::{each, each_integer, is_bytes};
use super::damage::reading;
use super::parquet::{check_compression, decoded_rows};

/// The column of images if none is named.
const IMAGE: &str = "image";
/// The field of a struct that holds the image.
const BYTES: &str = "bytes";

/// Columns that are named where the one that is wanted is not there.
const MOST_NAMED: usize = 30;

/// Which columns to read.
#[derive(Debug, Clone, Default, Deserialize)]
pub(crate) struct ImageColumns {
    /// The images; by default `image`, or the only column of structs with a field `bytes`.
    pub(crate) image: Option<String>,
    /// What keys end with; by default the number of the row, from 0.
    pub(crate) key: Option<String>,
    /// What goes into values.
    pub(crate) values: Vec<String>,
}

impl ImageColumns {
    /// The columns of a label, if it is one.
    pub(crate) fn of_label(label: &str) -> Option<Self> {
        serde_json::from_str(label).ok()
    }

    /// The rows of a file from this one on.
    pub(crate) fn rows(
        &self,
        path: &Path,
        first: u64,
    ) -> Result<ShardEntries<'static>, ShardError> {
        Ok(Box::new(Rows::open(self, path, first)?))
    }
}

impl ShardFormat for ImageColumns {
    fn knows(&self, path: &Path) -> bool {
        path.extension().is_some_and(|ending| ending.eq_ignore_ascii_case("parquet"))
    }

    fn label(&self) -> String {
        let Self { image, key, values } = self;
        json!({ "image": image, "key": key, "values": values }).to_string()
    }

    fn entries(&self, path: &Path, first: u64) -> Result<ShardEntries<'_>, ShardError> {
        self.rows(path, first)
    }
}

/// An open file.
struct Rows {
    path: Arc<Path>,
    reader: ParquetRecordBatchReader,
    layout: Layout,
    batch: Option<RecordBatch>,
    /// The row of the batch that is next, and its number in the file.
    next: usize,
    row: u64,
}

/// Where the columns stand.
struct Layout {
    image: usize,
    key: Option<usize>,
    values: Vec<(String, usize)>,
}

fn damaged(error: &anyhow::Error) -> ShardError {
    ShardError::Damaged(error.to_string())
}

impl Rows {
    fn open(columns: &ImageColumns, path: &Path, first: u64) -> Result<Self, ShardError> {
        let file = super::file(path).map_err(|error| damaged(&error))?;
        let builder = reading(path, || ParquetRecordBatchReaderBuilder::try_new(file));
        let builder = builder.map_err(|error| damaged(&error))?;
        let layout = Layout::of(columns, builder.schema())?;
        let (metadata, read) = (builder.metadata(), layout.indexes());
        check_compression(path, metadata, &read).map_err(|error| damaged(&error))?;
        let step = usize::try_from(decoded_rows(metadata, &read)).unwrap_or(1);
        let mask = ProjectionMask::roots(builder.parquet_schema(), read);
        let offset = usize::try_from(first).unwrap_or(usize::MAX);
        let reader = builder.with_batch_size(step).with_projection(mask).with_offset(offset);
        let reader = reading(path, || reader.build()).map_err(|error| damaged(&error))?;
        let layout = layout.projected();
        Ok(Self { path: Arc::from(path), reader, layout, batch: None, next: 0, row: first })
    }
}

impl Iterator for Rows {
    type Item = Result<ShardEntry, ShardError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(batch) = self.batch.as_ref().filter(|batch| self.next < batch.num_rows()) {
                let entry = self.layout.entry(&batch.slice(self.next, 1), self.row);
                (self.next, self.row) = (self.next + 1, self.row + 1);
                return Some(entry.map_err(ShardError::Damaged));
            }
            let Self { path, reader, .. } = self;
            match reading(path, || reader.next().transpose()) {
                Ok(batch) => (self.batch, self.next) = (Some(batch?), 0),
                Err(error) => return Some(Err(damaged(&error))),
            }
        }
    }
}

impl Layout {
    fn of(columns: &ImageColumns, schema: &Schema) -> Result<Self, ShardError> {
        let found = || {
            let column =
                |field: &Arc<Field>| format!("{} ({})", field.name(), kind(field.data_type()));
            let mut shown = Vec::from_iter(schema.fields().iter().take(MOST_NAMED).map(column));
            if let Some(more @ 1..) = schema.fields().len().checked_sub(MOST_NAMED) {
                shown.push(format!("and {more} more"));
            }
            shown.join(", ")
        };
        let find = |name: &str, fits: fn(&DataType) -> bool, expected: &str| {
            let missing = || format!("it has no column {name}; its columns are {}", found());
            let (index, field) = schema.column_with_name(name).ok_or_else(missing)?;
            if fits(field.data_type()) {
                return Ok(index);
            }
            let kind = kind(field.data_type());
            Err(format!("column {name}: its type is {kind}, expected {expected}"))
        };
        let image = match &columns.image {
            Some(name) => find(name, is_image, "binary or a struct with a field bytes")
                .map_err(ShardError::NoImages)?,
            None => {
                let fields = schema.fields().iter().enumerate();
                let usual =
                    schema.column_with_name(IMAGE).filter(|(_, field)| is_image(field.data_type()));
                let structs = fields.filter(|(_, field)| is_struct_of_bytes(field.data_type()));
                let mut structs = structs.map(|(index, _)| index);
                let only = structs.next().filter(|_| structs.next().is_none());
                usual.map(|(index, _)| index).or(only).ok_or_else(|| {
                    let found = found();
                    let what =
                        format!("it has no column {IMAGE} of images; its columns are {found}");
                    ShardError::NoImages(what)
                })?
            }
        };
        let is_key: fn(&DataType) -> bool = |kind| is_bytes(kind) || kind.is_integer();
        let key = columns.key.as_ref().map(|name| find(name, is_key, "binary, utf8 or an integer"));
        let value = |name: &String| {
            let expected = "binary, utf8, a number or a boolean";
            Ok((name.clone(), find(name, is_value, expected)?))
        };
        let values = columns.values.iter().map(value).collect::<Result<_, String>>();
        let wrong = ShardError::WrongSchema;
        Ok(Self { image, key: key.transpose().map_err(wrong)?, values: values.map_err(wrong)? })
    }

    fn indexes(&self) -> Vec<usize> {
        let values = self.values.iter().map(|(_, index)| *index);
        let mut indexes: Vec<_> = [self.image].into_iter().chain(self.key).chain(values).collect();
        indexes.sort_unstable();
        indexes.dedup();
        indexes
    }

    /// The same where nothing but these columns is read.
    fn projected(self) -> Self {
        let read = self.indexes();
        let place = |index: usize| read.iter().position(|&other| other == index).unwrap_or(0);
        let values = self.values.into_iter().map(|(name, index)| (name, place(index)));
        Self { image: place(self.image), key: self.key.map(place), values: values.collect() }
    }

    /// The entry of a batch of one row.
    fn entry(&self, row: &RecordBatch, number: u64) -> Result<ShardEntry, String> {
        let name = match self.key {
            Some(key) => text(row.column(key))?.filter(|name| !name.is_empty()),
            None => Some(number.to_string().into_bytes()),
        };
        let image = match &name {
            Some(_) => image(row.column(self.image))?.ok_or_else(|| "its image is null".to_owned()),
            None => Err("its key is null or empty".to_owned()),
        };
        let mut value = Map::new();
        for (name, index) in &self.values {
            value.insert(name.clone(), json_of(row.column(*index))?);
        }
        let value =
            if value.is_empty() { Vec::new() } else { Value::Object(value).to_string().into() };
        let name = name.unwrap_or_else(|| number.to_string().into_bytes());
        Ok(ShardEntry { name, image, value })
    }
}

/// A type in few words.
fn kind(kind: &DataType) -> String {
    match kind {
        DataType::Struct(fields) => {
            let names: Vec<_> = fields.iter().map(|field| field.name().as_str()).collect();
            format!("struct of {}", names.join(", "))
        }
        other => other.to_string(),
    }
}

fn is_binary(kind: &DataType) -> bool {
    is_bytes(kind) && !matches!(kind, DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View)
}

fn is_struct_of_bytes(kind: &DataType) -> bool {
    let DataType::Struct(fields) = kind else { return false };
    fields.find(BYTES).is_some_and(|(_, field)| is_binary(field.data_type()))
}

fn is_image(kind: &DataType) -> bool {
    is_binary(kind) || is_struct_of_bytes(kind)
}

fn is_value(kind: &DataType) -> bool {
    let is_number = kind.is_integer() || matches!(kind, DataType::Float32 | DataType::Float64);
    is_bytes(kind) || is_number || matches!(kind, DataType::Boolean | DataType::Null)
}

/// The bytes of a column of one row, `None` for null.
fn bytes(column: &dyn Array) -> Result<Option<Vec<u8>>, String> {
    let mut found = None;
    let visited = each(column, |_, bytes| {
        found = bytes.map(<[u8]>::to_vec);
        Ok(())
    });
    visited.map(|()| found).map_err(|(_, what)| what)
}

fn image(column: &ArrayRef) -> Result<Option<Vec<u8>>, String> {
    match column.as_struct_opt() {
        Some(parts) if parts.is_null(0) => Ok(None),
        Some(parts) => parts.column_by_name(BYTES).map_or(Ok(None), |column| bytes(column)),
        None => bytes(column),
    }
}

/// What a key ends with, `None` for null.
fn text(column: &ArrayRef) -> Result<Option<Vec<u8>>, String> {
    if !column.data_type().is_integer() {
        return bytes(column);
    }
    Ok(integer(column)?.map(|number| number.to_string().into_bytes()))
}

fn integer(column: &ArrayRef) -> Result<Option<i128>, String> {
    if column.is_null(0) {
        return Ok(None);
    }
    let mut found = None;
    let visited = each_integer(column, |_, number| {
        found = Some(number);
        Ok(())
    });
    visited.map(|()| found).map_err(|(_, what)| what)
}

fn json_of(column: &ArrayRef) -> Result<Value, String> {
    if column.is_null(0) || *column.data_type() == DataType::Null {
        return Ok(Value::Null);
    }
    Ok(match column.data_type() {
        DataType::Boolean => json!(column.as_boolean().value(0)),
        // As a double has more digits, 0.1 would be 0.10000000149.
        DataType::Float32 => {
            json!(column.as_primitive::<Float32Type>().value(0).to_string().parse::<f64>().ok())
        }
        DataType::Float64 => json!(column.as_primitive::<Float64Type>().value(0)),
        kind if kind.is_integer() => {
            let number = integer(column)?;
            let signed = number.and_then(|number| i64::try_from(number).ok()).map(Value::from);
            signed.unwrap_or_else(|| json!(number.and_then(|number| u64::try_from(number).ok())))
        }
        _ => match String::from_utf8(bytes(column)?.unwrap_or_default()) {
            Ok(text) => Value::String(text),
            Err(other) => json!({ "base64": STANDARD.encode(other.as_bytes()) }),
        },
    })
}
