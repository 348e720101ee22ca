//! Columns of lists of addresses, of Arrow's types: the patch addresses of records.

use arrow_array::Array;
use arrow_array::cast::AsArray as _;
use arrow_schema::DataType;

use super::columns::{Wrong, each_address};

/// Whether a column holds lists of whole numbers.
pub(super) fn is_list(kind: &DataType) -> bool {
    match kind {
        DataType::List(item) | DataType::LargeList(item) | DataType::FixedSizeList(item, _) => {
            item.data_type().is_integer()
        }
        _ => false,
    }
}

/// Hands over the addresses of each row, four bytes each, little-endian; a list that is null is empty.
pub(super) fn each_list(column: &dyn Array, mut push: impl FnMut(&[u8])) -> Result<(), Wrong> {
    let mut bytes = Vec::new();
    for row in 0..column.len() {
        bytes.clear();
        let list = match column.data_type() {
            _ if column.is_null(row) => None,
            DataType::List(_) => Some(column.as_list::<i32>().value(row)),
            DataType::LargeList(_) => Some(column.as_list::<i64>().value(row)),
            DataType::FixedSizeList(..) => Some(column.as_fixed_size_list().value(row)),
            other => return Err((row, format!("its type is {other}"))),
        };
        if let Some(list) = list {
            let append = |address: u32| bytes.extend(address.to_le_bytes());
            each_address(list.as_ref(), append).map_err(|(_, what)| (row, what))?;
        }
        push(&bytes);
    }
    Ok(())
}
