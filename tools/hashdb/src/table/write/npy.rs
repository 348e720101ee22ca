//! A folder of numpy's arrays: `codes.npy`, `addresses.npy`, and the bytes of keys and values beside their
//! lengths, `keys.npy` and `keys.lengths.npy`, `values.npy` and `values.lengths.npy`; so are patch addresses, if there
//! are any, `patches.npy` and `patches.lengths.npy`. What arrays do not tell is in `hashdb.json`.

use std::path::Path;

use anyhow::Result;
use serde_json::json;

use super::draft::{Draft, DraftFolder};
use super::{Rows, Shape, Sink};
use crate::table::read::{FACTS, LENGTHS};

/// Bytes of a header, whatever the shape.
const HEADER_BYTES: usize = 128;

/// A folder under way.
pub(super) struct NpyFolder {
    codes: Array,
    addresses: Array,
    keys: [Array; 2],
    values: [Array; 2],
    patches: Option<[Array; 2]>,
    shape: Shape,
    rows: usize,
    /// Last: the folder goes after its files.
    folder: DraftFolder,
}

/// An array under way.
struct Array {
    draft: Draft,
    descr: &'static str,
    elements: usize,
}

impl NpyFolder {
    pub(super) fn create(path: &Path, shape: Shape) -> Result<Self> {
        let folder = DraftFolder::create(path)?;
        let array = |name: &str, descr| Array::create(folder.create_file(name)?, descr);
        let bytes = |name: &str| array(&format!("{name}.npy"), "|u1");
        let numbers = |name: &str| array(name, "<u4");
        let strings = |name: &str| {
            Ok::<_, anyhow::Error>([bytes(name)?, numbers(&format!("{name}.{LENGTHS}"))?])
        };
        let patches =
            || Ok::<_, anyhow::Error>([numbers("patches.npy")?, numbers("patches.lengths.npy")?]);
        Ok(Self {
            codes: bytes("codes")?,
            addresses: numbers("addresses.npy")?,
            keys: strings("keys")?,
            values: strings("values")?,
            patches: shape.has_patches.then(patches).transpose()?,
            shape,
            rows: 0,
            folder,
        })
    }
}

impl Sink for NpyFolder {
    fn write(&mut self, rows: &Rows) -> Result<()> {
        self.codes.append(&rows.codes, rows.codes.len())?;
        for row in rows.iter() {
            self.addresses.append(&row.address.unwrap_or(0).to_le_bytes(), 1)?;
            for ([bytes, lengths], string) in
                [(&mut self.keys, row.key), (&mut self.values, row.value)]
            {
                bytes.append(string, string.len())?;
                lengths.append_length(string.len())?;
            }
            if let Some([patches, lengths]) = &mut self.patches {
                patches.append(row.patches.as_flattened(), row.patches.len())?;
                lengths.append_length(row.patches.len())?;
            }
        }
        self.rows += rows.len();
        Ok(())
    }

    fn finish(self: Box<Self>) -> Result<()> {
        let Self { codes, addresses, keys, values, patches, shape, rows, folder } = *self;
        let Shape { code_bits, address_bits, .. } = shape;
        codes.finish(&format!("({rows}, {})", code_bits / 8))?;
        let lists = patches.into_iter().flatten();
        for array in [addresses].into_iter().chain(keys).chain(values).chain(lists) {
            let shape = format!("({},)", array.elements);
            array.finish(&shape)?;
        }
        let facts = json!({ "code_bits": code_bits, "address_bits": address_bits, "rows": rows });
        let mut file = folder.create_file(FACTS)?;
        file.append(format!("{facts}\n").as_bytes())?;
        file.finish()?;
        folder.finish()
    }
}

impl Array {
    fn create(mut draft: Draft, descr: &'static str) -> Result<Self> {
        draft.append(&[0; HEADER_BYTES])?;
        Ok(Self { draft, descr, elements: 0 })
    }

    fn append(&mut self, bytes: &[u8], elements: usize) -> Result<()> {
        self.elements += elements;
        self.draft.append(bytes)
    }

    fn append_length(&mut self, length: usize) -> Result<()> {
        self.append(&u32::try_from(length).unwrap_or(u32::MAX).to_le_bytes(), 1)
    }

    fn finish(mut self, shape: &str) -> Result<()> {
        let descr = self.descr;
        let text = format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}");
        let length = HEADER_BYTES - 10;
        let text = format!("{text:<width$}\n", width = length - 1);
        let length = u16::try_from(length).unwrap_or(0).to_le_bytes();
        self.draft.write_start(&[b"\x93NUMPY\x01\x00", &length[..], text.as_bytes()].concat())?;
        self.draft.finish()
    }
}
