//! Any bytes as a segment: an error, or a segment that can be searched without a panic, a read out of
//! range or an endless loop. The last byte chooses whether checksums are made right first, which lets
//! mutations through to the checks behind them.
#![no_main]

use hashdb::internals::db::probe_segment;
use libfuzzer_sys::fuzz_target;

const HEADER: usize = 64;
const ENTRY: usize = 32;

fuzz_target!(|data: &[u8]| {
    let Some((&[address, radius, reseal], bytes)) = data.split_last_chunk::<3>().map(|(b, t)| (t, b))
    else {
        return;
    };
    let mut bytes = bytes.to_vec();
    if reseal & 1 == 1 {
        seal(&mut bytes);
    }
    let address = u32::from(address) * 0x0101_0101;
    if let Err(error) = probe_segment(&bytes, address, u32::from(radius % 33)) {
        assert!(!error.to_string().is_empty());
    }
});

/// Sets the length and every checksum that lies inside the bytes to what it must be.
fn seal(bytes: &mut [u8]) {
    if bytes.len() < HEADER {
        return;
    }
    let length = bytes.len() as u64;
    bytes[40..48].copy_from_slice(&length.to_le_bytes());
    let sections = usize::from(u16::from_le_bytes([bytes[10], bytes[11]]));
    let head = HEADER + ENTRY * sections;
    if head > bytes.len() {
        return;
    }
    for section in 0..sections {
        let at = HEADER + ENTRY * section;
        let number = |from: usize| {
            let field: [u8; 8] = bytes[from..from + 8].try_into().unwrap_or_default();
            usize::try_from(u64::from_le_bytes(field)).unwrap_or(usize::MAX)
        };
        let (offset, size) = (number(at + 8), number(at + 16));
        let end = offset.saturating_add(size);
        if let Some(content) = bytes.get(offset..end) {
            let checksum = crc32c::crc32c(content);
            bytes[at + 24..at + 28].copy_from_slice(&checksum.to_le_bytes());
        }
    }
    bytes[12..16].fill(0);
    let checksum = crc32c::crc32c(&bytes[..head]);
    bytes[12..16].copy_from_slice(&checksum.to_le_bytes());
}
