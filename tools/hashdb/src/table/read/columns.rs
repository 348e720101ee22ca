//! Columns of Arrow, as Parquet and Arrow IPC files hold them, as rows. A column may have any type that
//! holds its content without loss; columns of other names are passed over.

use std::path::Path;

use anyhow::{Result, anyhow};
use arrow_array::cast::AsArray as _;
use arrow_array::types::{
    ArrowPrimitiveType, Int8Type, Int16Type, Int32Type, Int64Type, UInt8Type, UInt16Type,
    UInt32Type, UInt64Type,
};
use arrow_array::{Array, RecordBatch};
use arrow_schema::{DataType, Schema};

use super::lists::{each_list, is_list};
use super::{Rows, Widths};
use crate::table::{ADDRESS, ADDRESS_BITS, CODE, KEY, PATCHES, VALUE};

/// Where the columns of a table stand.
#[derive(Debug, Clone, Copy)]
pub(super) struct Layout {
    key: usize,
    code: usize,
    address: Option<usize>,
    value: Option<usize>,
    patches: Option<usize>,
    widths: Widths,
}

impl Layout {
    /// Finds the columns and checks their types.
    pub(super) fn of(path: &Path, schema: &Schema) -> Result<Self> {
        let find = |name: &str, fits: fn(&DataType) -> bool, expected: &str| {
            let Some((column, field)) = schema.column_with_name(name) else { return Ok(None) };
            if fits(field.data_type()) {
                return Ok(Some(column));
            }
            let (path, found) = (path.display(), field.data_type());
            Err(anyhow!("{path}, column {name}: its type is {found}, expected {expected}"))
        };
        let missing = |name: &str| {
            let found: Vec<_> = schema.fields().iter().map(|field| field.name().as_str()).collect();
            let (path, found) = (path.display(), found.join(", "));
            anyhow!("{path} has no column {name}; its columns are {found}")
        };
        let key = find(KEY, is_key, "binary, utf8 or an integer")?.ok_or_else(|| missing(KEY))?;
        let code = find(CODE, is_code, "fixed-size binary, binary or a fixed-size list of uint8")?;
        let code = code.ok_or_else(|| missing(CODE))?;
        let address = find(ADDRESS, DataType::is_integer, "an integer")?;
        let value = find(VALUE, is_bytes, "binary or utf8")?;
        let patches = find(PATCHES, is_list, "a list of an integer")?;
        let code_bytes = match schema.field(code).data_type() {
            DataType::FixedSizeBinary(bytes) | DataType::FixedSizeList(_, bytes) => Some(*bytes),
            _ => None,
        };
        let code_bits = code_bytes.map(|bytes| {
            let bits = u16::try_from(bytes).ok().and_then(|bytes| bytes.checked_mul(8));
            bits.filter(|bits| (64..=1024).contains(bits) && bits.is_multiple_of(64)).ok_or_else(|| {
                let path = path.display();
                anyhow!("{path}, column {CODE}: its codes have {bytes} bytes, expected 8 to 128 in steps of 8")
            })
        });
        let address_bits = schema.metadata().get(ADDRESS_BITS).and_then(|bits| bits.parse().ok());
        let widths = Widths {
            code_bits: code_bits.transpose()?,
            address_bits: address_bits.filter(|bits| (8..=32).contains(bits)),
            has_addresses: address.is_some(),
            is_numbered: false,
        };
        Ok(Self { key, code, address, value, patches, widths })
    }

    /// The columns that are read.
    pub(super) fn indexes(&self) -> Vec<usize> {
        let optional = [self.address, self.value, self.patches].into_iter().flatten();
        let mut indexes: Vec<_> = [self.key, self.code].into_iter().chain(optional).collect();
        indexes.sort_unstable();
        indexes
    }

    /// The same where nothing but these columns is read.
    pub(super) fn projected(&self) -> Self {
        let read = self.indexes();
        let place = |index: usize| read.iter().position(|&other| other == index).unwrap_or(0);
        Self {
            key: place(self.key),
            code: place(self.code),
            address: self.address.map(place),
            value: self.value.map(place),
            patches: self.patches.map(place),
            widths: self.widths,
        }
    }

    pub(super) fn widths(&self) -> Widths {
        self.widths
    }

    /// Appends some rows of a batch; the first one has number `row` in the file.
    pub(super) fn append(
        &self,
        path: &Path,
        batch: &RecordBatch,
        row: u64,
        rows: &mut Rows,
    ) -> Result<()> {
        let wrong = |name: &'static str| {
            move |(index, what): (usize, String)| {
                anyhow!("{}, row {}, column {name}: {what}", path.display(), row + index as u64)
            }
        };
        let column = |index: usize| batch.column(index).as_ref();
        each_key(column(self.key), |key| rows.keys.push(key)).map_err(wrong(KEY))?;
        each_code(column(self.code), |code| rows.push_code(code)).map_err(wrong(CODE))?;
        if let Some(address) = self.address {
            let push = |address| rows.addresses.push(address);
            each_address(column(address), push).map_err(wrong(ADDRESS))?;
        }
        if let Some(patches) = self.patches {
            let push = |list: &[u8]| rows.patches.push(list);
            each_list(column(patches), push).map_err(wrong(PATCHES))?;
        }
        match self.value {
            Some(value) => each(column(value), |_, value| {
                rows.values.push(value.unwrap_or_default());
                Ok(())
            })
            .map_err(wrong(VALUE)),
            None => {
                (0..batch.num_rows()).for_each(|_| rows.values.push(b""));
                Ok(())
            }
        }
    }
}

/// What is wrong, and in which row of a batch.
pub(super) type Wrong = (usize, String);

pub(super) fn is_bytes(kind: &DataType) -> bool {
    matches!(
        kind,
        DataType::Utf8
            | DataType::LargeUtf8
            | DataType::Utf8View
            | DataType::Binary
            | DataType::LargeBinary
            | DataType::BinaryView
            | DataType::FixedSizeBinary(_)
    )
}

fn is_key(kind: &DataType) -> bool {
    is_bytes(kind) || kind.is_integer()
}

fn is_code(kind: &DataType) -> bool {
    match kind {
        DataType::FixedSizeList(item, _) => *item.data_type() == DataType::UInt8,
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => false,
        kind => is_bytes(kind),
    }
}

fn null(index: usize) -> Wrong {
    (index, "it is null, expected a value".to_owned())
}

/// Visits strings of bytes in their order, `None` for null.
pub(super) fn each<'a>(
    column: &'a dyn Array,
    mut visit: impl FnMut(usize, Option<&'a [u8]>) -> Result<(), Wrong>,
) -> Result<(), Wrong> {
    macro_rules! all {
        ($array:expr, $bytes:expr) => {
            $array.iter().enumerate().try_for_each(|(index, item)| visit(index, item.map($bytes)))
        };
    }
    match column.data_type() {
        DataType::Utf8 => all!(column.as_string::<i32>(), str::as_bytes),
        DataType::LargeUtf8 => all!(column.as_string::<i64>(), str::as_bytes),
        DataType::Utf8View => all!(column.as_string_view(), str::as_bytes),
        DataType::Binary => all!(column.as_binary::<i32>(), |bytes| bytes),
        DataType::LargeBinary => all!(column.as_binary::<i64>(), |bytes| bytes),
        DataType::BinaryView => all!(column.as_binary_view(), |bytes| bytes),
        DataType::FixedSizeBinary(_) => all!(column.as_fixed_size_binary(), |bytes| bytes),
        other => Err((0, format!("its type is {other}"))),
    }
}

fn each_key(column: &dyn Array, mut push: impl FnMut(&[u8])) -> Result<(), Wrong> {
    if column.data_type().is_integer() {
        return each_integer(column, |_, number| {
            push(number.to_string().as_bytes());
            Ok(())
        });
    }
    each(column, |index, key| {
        push(key.ok_or_else(|| null(index))?);
        Ok(())
    })
}

fn each_code(
    column: &dyn Array,
    mut push: impl FnMut(&[u8]) -> Result<(), String>,
) -> Result<(), Wrong> {
    let mut push = |index, code: &[u8]| push(code).map_err(|what| (index, what));
    if let Some(list) = column.as_fixed_size_list_opt() {
        return list.iter().enumerate().try_for_each(|(index, code)| {
            let code = code.ok_or_else(|| null(index))?;
            let bytes = code.as_primitive::<UInt8Type>();
            if bytes.null_count() > 0 {
                return Err((index, "it holds a null, expected a byte".to_owned()));
            }
            push(index, bytes.values())
        });
    }
    each(column, |index, code| push(index, code.ok_or_else(|| null(index))?))
}

pub(super) fn each_address(column: &dyn Array, mut push: impl FnMut(u32)) -> Result<(), Wrong> {
    each_integer(column, |index, number| {
        let address = u32::try_from(number);
        push(address.map_err(|_| (index, format!("it is {number}, expected 0 to 4294967295")))?);
        Ok(())
    })
}

/// Visits whole numbers, none of which may be null.
pub(super) fn each_integer(
    column: &dyn Array,
    mut visit: impl FnMut(usize, i128) -> Result<(), Wrong>,
) -> Result<(), Wrong> {
    fn all<T: ArrowPrimitiveType<Native: Into<i128>>>(
        column: &dyn Array,
        mut visit: impl FnMut(usize, i128) -> Result<(), Wrong>,
    ) -> Result<(), Wrong> {
        let numbers = column.as_primitive::<T>().iter().enumerate();
        numbers
            .into_iter()
            .try_for_each(|(index, number)| visit(index, number.ok_or_else(|| null(index))?.into()))
    }
    match column.data_type() {
        DataType::UInt8 => all::<UInt8Type>(column, &mut visit),
        DataType::UInt16 => all::<UInt16Type>(column, &mut visit),
        DataType::UInt32 => all::<UInt32Type>(column, &mut visit),
        DataType::UInt64 => all::<UInt64Type>(column, &mut visit),
        DataType::Int8 => all::<Int8Type>(column, &mut visit),
        DataType::Int16 => all::<Int16Type>(column, &mut visit),
        DataType::Int32 => all::<Int32Type>(column, &mut visit),
        DataType::Int64 => all::<Int64Type>(column, &mut visit),
        other => Err((0, format!("its type is {other}"))),
    }
}

/// A batch that is handed on in parts.
#[derive(Debug)]
pub(super) struct Parts {
    batch: Option<RecordBatch>,
    /// The number of its first row in the file.
    pub(super) row: u64,
}

impl Parts {
    /// Begins with row `row` of the file.
    pub(super) fn at(row: u64) -> Self {
        Self { batch: None, row }
    }

    /// Passes over rows of the batches that `next` reads, up to row `row`.
    pub(super) fn pass_over(
        &mut self,
        row: u64,
        mut next: impl FnMut() -> Result<Option<RecordBatch>>,
    ) -> Result<()> {
        while self.row < row {
            let Some(batch) = next()? else { return Ok(()) };
            let left = usize::try_from(row - self.row).unwrap_or(usize::MAX);
            let passed = left.min(batch.num_rows());
            self.row += passed as u64;
            let rest = batch.num_rows() - passed;
            self.batch = (rest > 0).then(|| batch.slice(passed, rest));
        }
        Ok(())
    }

    /// Fills `rows` from batch after batch, which `next` reads.
    pub(super) fn fill(
        &mut self,
        path: &Path,
        layout: &Layout,
        rows: &mut Rows,
        mut next: impl FnMut() -> Result<Option<RecordBatch>>,
    ) -> Result<()> {
        /// Rows between two looks at how much there is: values may be large.
        const STEP: usize = 64;
        rows.clear(self.row);
        while rows.room() > 0 {
            let batch = match self.batch.take() {
                Some(batch) => batch,
                None => match next()? {
                    Some(batch) => batch,
                    None => return Ok(()),
                },
            };
            let step = batch.num_rows().min(STEP).min(rows.room());
            layout.append(path, &batch.slice(0, step), self.row, rows)?;
            self.row += step as u64;
            let rest = batch.num_rows() - step;
            self.batch = (rest > 0).then(|| batch.slice(step, rest));
        }
        Ok(())
    }
}
