//! Rows as a batch of Arrow: key and value binary, since they may be any bytes, code fixed-size binary,
//! address uint32, patches a list of uint32. No value is null.

use std::collections::HashMap;
use std::sync::Arc;

use arrow_array::builder::{FixedSizeBinaryBuilder, ListBuilder, UInt32Builder};
use arrow_array::{ArrayRef, BinaryArray, RecordBatch, UInt32Array};
use arrow_schema::{ArrowError, DataType, Field, Schema, SchemaRef};

use super::Shape;
use crate::table::{ADDRESS, ADDRESS_BITS, CODE, KEY, PATCHES, Rows, VALUE};

/// The columns of a dump.
pub(super) fn schema(shape: Shape) -> SchemaRef {
    let Shape { code_bits, address_bits, has_patches } = shape;
    let mut fields = vec![
        Field::new(KEY, DataType::Binary, false),
        Field::new(CODE, DataType::FixedSizeBinary(i32::from(code_bits / 8)), false),
        Field::new(ADDRESS, DataType::UInt32, false),
        Field::new(VALUE, DataType::Binary, true),
    ];
    if has_patches {
        fields.push(Field::new_list(PATCHES, patch(), false));
    }
    let metadata = HashMap::from([(ADDRESS_BITS.to_owned(), address_bits.to_string())]);
    Arc::new(Schema::new_with_metadata(fields, metadata))
}

/// An element of the lists of patch addresses.
fn patch() -> Field {
    Field::new_list_field(DataType::UInt32, false)
}

/// The rows as a batch of that schema.
pub(super) fn batch(schema: &SchemaRef, rows: &Rows) -> Result<RecordBatch, ArrowError> {
    let keys = BinaryArray::from_iter_values(rows.iter().map(|row| row.key));
    let width = i32::try_from(rows.code_bytes()).unwrap_or(0);
    let mut codes = FixedSizeBinaryBuilder::with_capacity(rows.len(), width);
    rows.iter().try_for_each(|row| codes.append_value(row.code))?;
    let addresses = UInt32Array::from_iter_values(rows.iter().filter_map(|row| row.address));
    let values = rows.iter().map(|row| Some(row.value).filter(|value| !value.is_empty()));
    let values = BinaryArray::from_iter(values);
    let mut columns: Vec<ArrayRef> =
        vec![Arc::new(keys), Arc::new(codes.finish()), Arc::new(addresses), Arc::new(values)];
    if schema.column_with_name(PATCHES).is_some() {
        let mut lists = ListBuilder::new(UInt32Builder::new()).with_field(patch());
        rows.iter().for_each(|row| lists.append_value(row.patches().map(Some)));
        columns.push(Arc::new(lists.finish()));
    }
    RecordBatch::try_new(Arc::clone(schema), columns)
}
