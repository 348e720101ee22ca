//! Tar shards put together entry by entry, with lies about sizes, names, kinds, extensions, sparse
//! maps and checksums, gzipped or not: the reader ends, rejects what it cannot read, takes no more
//! memory than it says, and finds every picture of an honest archive.

use std::io::Write as _;

use hashdb::ingest::probe_shard;

use super::input::Input;
use super::memory;

const BLOCK: usize = 512;
/// What an entry may take: 64 MiB, in a vector that has just doubled, beside its half.
const ENTRY_BYTES: usize = (64 << 20) * 3 + (8 << 20);
/// Buffers and the headers of an entry.
const BUFFERS: usize = 3 << 20;

thread_local! {
    static FOLDER: tempfile::TempDir = tempfile::tempdir().unwrap();
}

/// An archive under way.
#[derive(Default)]
struct Archive {
    bytes: Vec<u8>,
    /// The name and length of each picture, if nothing in it lies.
    pictures: Vec<(Vec<u8>, u64)>,
    lies: bool,
    sparse: bool,
}

/// Builds the archive, writes it and reads it.
pub fn run(data: &[u8]) {
    let mut input = Input::new(data);
    let mode = input.u8();
    let mut archive = Archive::default();
    if mode & 8 == 8 {
        archive.bytes = input.rest().to_vec();
        (archive.lies, archive.sparse) = (true, true);
    }
    while !input.is_empty() {
        archive.entry(&mut input);
    }
    if mode & 1 == 0 {
        archive.bytes.extend([0; 2 * BLOCK]);
    } else {
        archive.lies = true;
    }
    if mode & 2 == 2 {
        let length = archive.bytes.len() * usize::from(mode >> 4) / 16;
        archive.bytes.truncate(length);
        archive.lies = true;
    }
    let packed = mode & 4 == 4;
    let (name, file) =
        if packed { ("a.tgz", gzip(&archive.bytes)) } else { ("a.tar", archive.bytes) };
    FOLDER.with(|folder| {
        let path = folder.path().join(name);
        std::fs::write(&path, &file).unwrap();
        // What a gzip stream or the holes of a sparse entry unfold to is bounded by the entry alone.
        let unfolds = archive.sparse || file.starts_with(b"\x1f\x8b");
        let most = file.len() * 2 + BUFFERS + if unfolds { ENTRY_BYTES } else { 0 };
        let shard = memory::limited_to(most, || probe_shard(&path, 100));
        let key = [path.as_os_str().as_encoded_bytes(), b"/"].concat();
        assert!(shard.images.iter().all(|(found, _)| found.starts_with(&key)));
        let entries: Vec<_> = folder.path().read_dir().unwrap().collect();
        assert!(entries.len() <= 2, "a shard must not create files");
        if !archive.lies {
            let named = |(name, bytes): &(Vec<u8>, u64)| ([&key[..], name].concat(), *bytes);
            let expected: Vec<_> = archive.pictures.iter().map(named).take(101).collect();
            assert_eq!(shard.images, expected);
        }
    });
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// A number as octal digits, as far as the field goes.
fn octal(field: &mut [u8], number: u64) {
    let digits = format!("{number:0width$o}", width = field.len() - 1);
    let digits = &digits.as_bytes()[digits.len().saturating_sub(field.len() - 1)..];
    field[..digits.len()].copy_from_slice(digits);
}

impl Archive {
    /// Appends a header and what follows it.
    fn entry(&mut self, input: &mut Input<'_>) {
        let how = input.u8();
        let kinds =
            [b'0', 0, b'7', b'5', b'1', b'2', b'3', b'6', b'S', b'L', b'K', b'x', b'g', b'V'];
        let kind = if how & 1 == 1 { input.u8() } else { input.choose(&kinds) };
        let regular = matches!(kind, b'0' | b'7' | 0);
        self.lies |= !matches!(kind, 0 | b'0'..=b'7');
        self.sparse |= kind == b'S';
        let mut header = [0; BLOCK];
        let name = self.name(input);
        header[..name.len()].copy_from_slice(&name);
        header[257..265].copy_from_slice(if how & 2 == 2 { b"ustar  \0" } else { b"ustar\x0000" });
        header[156] = kind;
        let content = self.content(kind, input);
        // Only files have content that follows; a link's size is passed over by some and not by all.
        let length = if regular || self.lies { content.len() as u64 } else { 0 };
        octal(&mut header[124..136], length);
        if how & 4 == 4 {
            self.lies = true;
            match input.u8() % 4 {
                0 => octal(&mut header[124..136], input.u64() >> (input.u8() % 64)),
                1 => {
                    header[124..136].fill(0);
                    header[124] = 0x80 | input.u8();
                    header[128..136].copy_from_slice(&input.u64().to_be_bytes());
                }
                2 => header[124..136].copy_from_slice(&padded::<12>(input.bytes(12))),
                _ => {
                    let place = input.place(BLOCK);
                    header[place] = input.u8();
                }
            }
        }
        if kind == b'S' {
            self.sparse_map(&mut header, input);
        }
        header[148..156].fill(b' ');
        let sum: u64 = header.iter().map(|byte| u64::from(*byte)).sum();
        octal(&mut header[148..155], sum);
        if how & 8 == 8 {
            self.lies = true;
            header[148] ^= input.u8();
        }
        self.bytes.extend(header);
        if regular || self.lies {
            self.bytes.extend(&content);
            self.bytes.resize(self.bytes.len().next_multiple_of(BLOCK), 0);
        }
        if regular && name.ends_with(b".png") {
            self.pictures.push((name, content.len() as u64));
        }
    }

    fn name(&mut self, input: &mut Input<'_>) -> Vec<u8> {
        let long = [&[b'l'; 96][..], b".png"].concat();
        let names: [&[u8]; 8] = [
            b"a.png",
            b"../../up.png",
            b"/abs.png",
            b"folder/",
            b"label.txt",
            b"a\xff.png",
            &long,
            b"inner.tar",
        ];
        match usize::from(input.u8()) {
            index @ 0..200 => names[index % names.len()].to_vec(),
            length => {
                self.lies = true;
                input.bytes(length - 155).to_vec()
            }
        }
    }

    /// What follows a header: any bytes, or the records of an extension.
    fn content(&mut self, kind: u8, input: &mut Input<'_>) -> Vec<u8> {
        let length = input.u8();
        if !matches!(kind, b'x' | b'g') || length & 1 == 1 {
            let bytes = input.bytes(usize::from(length / 2));
            // A few bytes of input make a large entry, too.
            return bytes.repeat(if length >= 250 { 200 } else { 1 });
        }
        let mut records = Vec::new();
        for _ in 0..length % 8 {
            let name = input.choose(&[
                "path",
                "size",
                "linkpath",
                "GNU.sparse.map",
                "GNU.sparse.realsize",
                "GNU.sparse.major",
                "GNU.sparse.name",
                "hdrcharset",
                "",
            ]);
            let digits = input.u8();
            let value = if digits & 1 == 1 {
                (input.u64() >> (digits % 64)).to_string().into_bytes()
            } else {
                input.bytes(usize::from(digits / 8)).to_vec()
            };
            let body = [b" ", name.as_bytes(), b"=", &value, b"\n"].concat();
            let mut said = body.len() + 1;
            while said.to_string().len() + body.len() > said {
                said += 1;
            }
            let said = if digits & 6 == 6 { u64::from(input.u8()) } else { said as u64 };
            records.extend([said.to_string().as_bytes(), &body].concat());
        }
        records
    }

    /// The map of a sparse entry: four pieces, and the size that it claims to have.
    fn sparse_map(&mut self, header: &mut [u8; BLOCK], input: &mut Input<'_>) {
        header[257..265].copy_from_slice(b"ustar  \0");
        let mut number = || {
            let shift = input.u8();
            if shift < 128 { u64::from(shift) * 512 } else { input.u64() >> (shift % 64) }
        };
        for piece in 0..4 {
            octal(&mut header[386 + 24 * piece..][..12], number());
            octal(&mut header[398 + 24 * piece..][..12], number());
        }
        octal(&mut header[483..495], number());
        header[482] = input.u8() & 1;
    }
}

fn padded<const N: usize>(bytes: &[u8]) -> [u8; N] {
    let mut padded = [0; N];
    padded[..bytes.len()].copy_from_slice(bytes);
    padded
}
