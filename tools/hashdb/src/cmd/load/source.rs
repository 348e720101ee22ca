//! The files that a load reads, held against each other before anything is written.

use std::ops::Range;
use std::path::Path;

use anyhow::{Result, anyhow, bail};
use hashdb::{Address, Code, WriteBatch};

use super::keys::Keys;
use crate::npy::{Kind, Npy};
use crate::vectors;

/// Addresses that are checked at once.
const CHECKED_ROWS: usize = 1 << 16;
/// Bits of an address where neither a file nor the user says otherwise.
const ADDRESS_BITS: u8 = 28;

/// Codes and what belongs to them, row by row.
#[derive(Debug)]
pub(super) struct Source {
    codes: Npy,
    addresses: Option<Addresses>,
    keys: Option<Keys>,
}

/// A file of addresses and the largest of them, if there is any.
#[derive(Debug)]
struct Addresses {
    npy: Npy,
    largest: Option<u32>,
}

impl Source {
    /// Opens the files, which must hold as many rows as each other.
    pub(super) fn open(
        codes: &Path,
        addresses: Option<&Path>,
        keys: Option<&Path>,
    ) -> Result<Self> {
        let codes = Npy::open(codes, &[Kind::Codes])?;
        vectors::check_width(&codes)?;
        let addresses = addresses.map(|path| Addresses::open(path, codes.rows())).transpose()?;
        let keys = keys.map(|path| Keys::open(path, codes.rows())).transpose()?;
        Ok(Self { codes, addresses, keys })
    }

    /// The number of rows.
    pub(super) fn rows(&self) -> usize {
        self.codes.rows()
    }

    /// Bits of a code.
    pub(super) fn code_bits(&self) -> Result<u16> {
        vectors::check_width(&self.codes)
    }

    /// Bits that suit the addresses: those of the largest, in whole hexadecimal digits.
    pub(super) fn address_bits(&self) -> u8 {
        let largest = self.addresses.as_ref().and_then(|addresses| addresses.largest);
        let needed = largest.map(|largest| 32 - largest.leading_zeros());
        needed.map_or(ADDRESS_BITS, |bits| {
            u8::try_from(bits.next_multiple_of(4)).unwrap_or(32).max(8)
        })
    }

    /// Checks the files against the widths of a database.
    pub(super) fn check(&self, code_bits: u16, address_bits: u8) -> Result<()> {
        vectors::check_codes(&self.codes, code_bits)?;
        let Some(Addresses { npy, largest: Some(largest) }) = &self.addresses else {
            return Ok(());
        };
        if Address::new(*largest, address_bits).is_err() {
            bail!(
                "{} holds address {largest:x}, expected addresses of {address_bits} bits",
                npy.path().display()
            );
        }
        Ok(())
    }

    /// Goes to a row.
    pub(super) fn skip(&mut self, rows: usize) -> Result<()> {
        self.keys.as_mut().map_or(Ok(()), |keys| keys.skip(rows))
    }

    /// The records of the next rows.
    pub(super) fn batch(&mut self, rows: Range<usize>, address_bits: u8) -> Result<WriteBatch> {
        let mut codes = Vec::new();
        self.codes.read(rows.clone(), &mut codes)?;
        let given = self.addresses.as_ref();
        let given = given.map(|addresses| addresses.npy.read_u32(rows.clone())).transpose()?;
        let mut key = Vec::new();
        let mut batch = WriteBatch::new();
        for (index, code) in codes.chunks_exact(self.codes.columns()).enumerate() {
            let row = rows.start + index;
            let address = match &given {
                Some(addresses) => addresses[index],
                None => vectors::top_bits(code, address_bits),
            };
            let address = Address::new(address, address_bits)?;
            match &mut self.keys {
                Some(keys) => keys.expect(&mut key)?,
                None => key = row.to_string().into_bytes(),
            }
            batch.put(&key, address, Code::from_bytes(code)?, b"");
        }
        Ok(batch)
    }
}

impl Addresses {
    fn open(path: &Path, rows: usize) -> Result<Self> {
        let npy = Npy::open(path, &[Kind::Addresses])?;
        if npy.rows() != rows {
            let (path, found) = (path.display(), npy.rows());
            return Err(anyhow!("{path} holds {found} addresses, expected {rows}, one a code"));
        }
        let mut largest = None;
        for start in (0..rows).step_by(CHECKED_ROWS) {
            let addresses = npy.read_u32(start..rows.min(start + CHECKED_ROWS))?;
            largest = largest.max(addresses.into_iter().max());
        }
        Ok(Self { npy, largest })
    }
}
