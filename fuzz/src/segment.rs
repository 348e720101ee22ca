//! Segment files put together by hand, from storage-format.md and not by the code of the library:
//! sections are laid out, and lengths and checksums made right where damage shall get past them.

const HEADER: usize = 64;
const ENTRY: usize = 32;
const ALIGNMENT: usize = 64;

/// A section: its name and its bytes.
pub(crate) type Section = ([u8; 8], Vec<u8>);

/// The bytes of a file with these sections, sound as far as the file goes.
pub(crate) fn assemble(sections: &[Section]) -> Vec<u8> {
    let mut head = vec![0; HEADER];
    head[..8].copy_from_slice(b"HASHDBSG");
    head[8] = 1;
    head[10..12].copy_from_slice(&u16::try_from(sections.len()).unwrap_or(u16::MAX).to_le_bytes());
    head[16..32].copy_from_slice(b"fuzzed database.");
    head[32] = 1;
    let mut end = (HEADER + ENTRY * sections.len()).next_multiple_of(ALIGNMENT);
    for (tag, bytes) in sections {
        head.extend_from_slice(tag);
        head.extend_from_slice(&(end as u64).to_le_bytes());
        head.extend_from_slice(&(bytes.len() as u64).to_le_bytes());
        head.extend_from_slice(&[0; 8]);
        end = (end + bytes.len()).next_multiple_of(ALIGNMENT);
    }
    let mut file = head;
    for (_, bytes) in sections {
        file.resize(file.len().next_multiple_of(ALIGNMENT), 0);
        file.extend_from_slice(bytes);
    }
    file.resize(file.len().next_multiple_of(ALIGNMENT), 0);
    seal(&mut file);
    file
}

/// Sets the length and every checksum that lies inside the bytes to what it must be.
pub(crate) fn seal(bytes: &mut [u8]) {
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
