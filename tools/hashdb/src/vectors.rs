//! Codes and addresses in `.npy` files, as queries and rows of a database.

use std::ops::Range;
use std::path::Path;

use anyhow::{Result, anyhow, bail};
use hashdb::{Address, Code, Query, Stats};

use crate::npy::{Kind, Npy};
use crate::request::{Mode, Request};

/// Queries that are asked before a measurement.
const STRANGERS: usize = 16;

/// The bits of the codes in a file, if they are those of codes at all.
pub(crate) fn check_width(codes: &Npy) -> Result<u16> {
    let bits = codes.columns().checked_mul(8).and_then(|bits| u16::try_from(bits).ok());
    bits.filter(|bits| (64..=1024).contains(bits) && bits.is_multiple_of(64)).ok_or_else(|| {
        let (path, found) = (codes.path().display(), codes.columns());
        anyhow!("{path} has rows of {found} bytes, expected 8 to 128 in steps of 8")
    })
}

/// Checks that the codes in a file have the width of a database.
pub(crate) fn check_codes(codes: &Npy, expected: u16) -> Result<()> {
    let found = check_width(codes)?;
    if found != expected {
        let path = codes.path().display();
        bail!("{path} holds codes of {found} bits, expected {expected}, as the database has");
    }
    Ok(())
}

/// The first bits of a code as an address.
pub(crate) fn top_bits(code: &[u8], bits: u8) -> u32 {
    let first = code.first_chunk().copied().unwrap_or_default();
    u32::from_be_bytes(first) >> (32 - u32::from(bits))
}

/// A file of queries that suits a database and a search.
#[derive(Debug)]
pub(crate) struct Vectors {
    npy: Npy,
    address_bits: u8,
}

impl Vectors {
    /// Opens a file of codes, or, for balls, of addresses.
    pub(crate) fn open(path: &Path, mode: Mode, stats: &Stats) -> Result<Self> {
        let kinds: &[Kind] = match mode {
            Mode::Ball => &[Kind::Addresses, Kind::Codes],
            Mode::Knn | Mode::Range | Mode::Approx => &[Kind::Codes],
        };
        let npy = Npy::open(path, kinds)?;
        if npy.kind() == Kind::Codes {
            check_codes(&npy, stats.code_bits)?;
        }
        Ok(Self { npy, address_bits: stats.address_bits })
    }

    /// The number of queries.
    pub(crate) fn len(&self) -> usize {
        self.npy.rows()
    }

    /// Some of the queries, as the request wants them answered.
    pub(crate) fn queries(&self, rows: Range<usize>, request: &Request) -> Result<Vec<Query>> {
        self.read(rows, request, |_| {}, |address| address)
    }

    /// A few queries that resemble those in the file and are none of them: their halves are
    /// exchanged.
    pub(crate) fn strangers(&self, request: &Request) -> Result<Vec<Query>> {
        let bits = self.address_bits;
        let (half, unused) = (bits / 2, 32 - bits);
        let exchange =
            |address: u32| (address >> half | address << (bits - half)) << unused >> unused;
        let rotate = |code: &mut [u8]| code.rotate_left(code.len() / 2);
        self.read(0..self.len().min(STRANGERS), request, rotate, exchange)
    }

    /// Reads queries, each changed on the way.
    fn read(
        &self,
        rows: Range<usize>,
        request: &Request,
        change_code: impl Fn(&mut [u8]),
        change_address: impl Fn(u32) -> u32,
    ) -> Result<Vec<Query>> {
        if self.npy.kind() == Kind::Addresses {
            let addresses = self.npy.read_u32(rows.clone())?.into_iter();
            let query = |(row, value)| {
                let address = self.address(value, row)?;
                let address = Address::new(change_address(address.value()), self.address_bits)?;
                Ok(request.of_address(address))
            };
            return rows.zip(addresses).map(query).collect();
        }
        let mut bytes = Vec::new();
        self.npy.read(rows, &mut bytes)?;
        let query = |code: &mut [u8]| {
            change_code(code);
            if request.mode == Mode::Ball {
                let address = top_bits(code, self.address_bits);
                return Ok(request.of_address(Address::new(address, self.address_bits)?));
            }
            Ok(request.of_code(Code::from_bytes(code)?))
        };
        bytes.chunks_exact_mut(self.npy.columns()).map(query).collect()
    }

    fn address(&self, value: u32, row: usize) -> Result<Address> {
        Address::new(value, self.address_bits)
            .map_err(|error| anyhow!("{}, row {row}: {error}", self.npy.path().display()))
    }
}
