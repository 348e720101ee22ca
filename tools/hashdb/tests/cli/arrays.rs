//! `.npy` files written byte by byte, and what is in them.

use std::path::PathBuf;

use crate::Place;

/// A file as numpy writes it, in a version of the format.
pub(crate) fn npy(version: u8, descr: &str, shape: &str, data: &[u8]) -> Vec<u8> {
    let mut header =
        format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}").into_bytes();
    let length_bytes = if version == 1 { 2 } else { 4 };
    while !(8 + length_bytes + header.len() + 1).is_multiple_of(64) {
        header.push(b' ');
    }
    header.push(b'\n');
    let length = u32::try_from(header.len()).unwrap().to_le_bytes();
    [b"\x93NUMPY", &[version, 0][..], &length[..length_bytes], &header, data].concat()
}

/// Random codes of `WIDTH` bytes around a few centres, the same for the same seed.
pub(crate) fn codes<const WIDTH: usize>(count: usize, seed: u64) -> Vec<[u8; WIDTH]> {
    let mut state = seed;
    let mut random = || {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (state ^ state >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    };
    let code = |_| {
        let centre = random() % 8;
        std::array::from_fn(|index| {
            let index = u64::try_from(index).unwrap();
            let base = (centre + 1)
                .wrapping_mul(0x9e37_79b9_7f4a_7c15)
                .rotate_left((index * 7 % 64) as u32);
            // Two draws and: a quarter of the bits are flipped.
            base.to_le_bytes()[0] ^ (random() & random()).to_le_bytes()[0]
        })
    };
    (0..count).map(code).collect()
}

impl Place {
    /// Writes codes as an array.
    pub(crate) fn array_of_codes<const WIDTH: usize>(&self, name: &str, codes: &[[u8; WIDTH]]) {
        let shape = format!("({}, {WIDTH})", codes.len());
        crate::write(&self.path(name), &npy(1, "|u1", &shape, codes.as_flattened()));
    }

    /// Writes addresses as an array.
    pub(crate) fn array_of_addresses(&self, name: &str, addresses: &[u32]) {
        let data: Vec<_> = addresses.iter().flat_map(|address| address.to_le_bytes()).collect();
        crate::write(&self.path(name), &npy(1, "<u4", &format!("({},)", addresses.len()), &data));
    }

    /// Writes distances as an array.
    pub(crate) fn array_of_distances(&self, name: &str, rows: &[Vec<u32>]) {
        let shape = format!("({}, {})", rows.len(), rows.first().map_or(0, Vec::len));
        let distances = rows.iter().flatten().map(|&distance| i32::try_from(distance).unwrap());
        let data: Vec<_> = distances.flat_map(i32::to_le_bytes).collect();
        crate::write(&self.path(name), &npy(1, "<i4", &shape, &data));
    }

    /// A folder with `codes.npy` of 64-bit codes and a database `db` that holds them.
    pub(crate) fn with_loaded(codes: &[[u8; 8]]) -> Self {
        let place = Self::empty();
        place.array_of_codes("codes.npy", codes);
        place.ok(&["load", "db", "--codes", "codes.npy", "--progress", "none"]);
        place
    }

    /// Where a file lies, if it is there.
    pub(crate) fn existing(&self, name: &str) -> Option<PathBuf> {
        Some(self.path(name)).filter(|path| path.exists())
    }
}

/// The bits in which two codes differ.
pub(crate) fn distance(a: &[u8], b: &[u8]) -> u32 {
    a.iter().zip(b).map(|(a, b)| (a ^ b).count_ones()).sum()
}

/// The first 28 bits of a code.
pub(crate) fn address(code: &[u8]) -> u32 {
    u32::from_be_bytes(*code.first_chunk().unwrap()) >> 4
}

/// Two lower-case digits a byte.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
