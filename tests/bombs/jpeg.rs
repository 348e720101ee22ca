//! JPEG bombs: large, progressive, of many scans, of many pieces of metadata.

/// A segment with its length.
fn segment(marker: u8, body: &[u8]) -> Vec<u8> {
    let length = u16::try_from(body.len() + 2).unwrap();
    [&[0xff, marker], &length.to_be_bytes()[..], body].concat()
}

/// A Huffman table whose one code, a zero bit, stands for `symbol`.
fn table(class_and_number: u8, symbol: u8) -> Vec<u8> {
    let mut counts = [0; 16];
    counts[0] = 1;
    segment(0xc4, &[&[class_and_number][..], &counts, &[symbol]].concat())
}

/// Everything up to the first scan: frame type `0xc0` or `0xc2`, sides, sampling of each component.
fn headers(frame: u8, width: u16, height: u16, sampling: &[u8], ac_symbol: u8) -> Vec<u8> {
    let [h1, h0] = height.to_be_bytes();
    let [w1, w0] = width.to_be_bytes();
    let mut body = vec![8, h1, h0, w1, w0, u8::try_from(sampling.len()).unwrap()];
    for (number, sampling) in (1..).zip(sampling) {
        body.extend([number, *sampling, 0]);
    }
    let quantisation = segment(0xdb, &[&[0][..], &[1; 64]].concat());
    let tables = [table(0x00, 0), table(0x10, ac_symbol)].concat();
    [&[0xff, 0xd8][..], &quantisation, &segment(frame, &body), &tables].concat()
}

/// A scan of some components over a band of coefficients, and its data.
fn scan(components: &[u8], band: [u8; 2], data: &[u8]) -> Vec<u8> {
    let mut body = vec![u8::try_from(components.len()).unwrap()];
    components.iter().for_each(|number| body.extend([*number, 0]));
    body.extend([band[0], band[1], 0]);
    [segment(0xda, &body), data.to_vec()].concat()
}

/// A grey and empty image, row by row.
pub(crate) fn baseline(side: u16) -> Vec<u8> {
    let blocks = usize::from(side).div_ceil(8).pow(2);
    let data = scan(&[1, 2, 3], [0, 63], &vec![0; blocks * 6 / 8 + 1]);
    [headers(0xc0, side, side, &[0x11; 3], 0), data, vec![0xff, 0xd9]].concat()
}

/// An empty image whose coefficients wait for the last scan.
pub(crate) fn progressive(side: u16) -> Vec<u8> {
    let blocks = usize::from(side).div_ceil(8).pow(2);
    let data = scan(&[1, 2, 3], [0, 0], &vec![0; blocks * 3 / 8 + 1]);
    [headers(0xc2, side, side, &[0x11; 3], 0), data, vec![0xff, 0xd9]].concat()
}

/// So many scans, each over all blocks of 1024 x 1024 pixels in two bytes.
pub(crate) fn progressive_scans(count: usize) -> Vec<u8> {
    let first = scan(&[1], [0, 0], &[0; 2049]);
    let more = scan(&[1], [1, 63], &[0x00, 0x01]).repeat(count - 1);
    [headers(0xc2, 1024, 1024, &[0x11], 0xe0), first, more, vec![0xff, 0xd9]].concat()
}

/// A baseline image that gives one component again and again: no decoder counts such scans.
pub(crate) fn baseline_scans(count: usize) -> Vec<u8> {
    let scans = scan(&[1], [0, 63], &[0; 4]).repeat(count);
    [headers(0xc0, 8192, 64, &[0x11; 3], 0), scans, vec![0xff, 0xd9]].concat()
}

/// So many pieces of extended metadata, which are put in order at each segment.
pub(crate) fn pieces_of_metadata(count: u32) -> Vec<u8> {
    let mut bytes = vec![0xff, 0xd8];
    for at in (0..count).rev() {
        let body = [
            &b"http://ns.adobe.com/xmp/extension/\0"[..],
            &[b'0'; 32],
            &count.to_be_bytes(),
            &at.to_be_bytes(),
            b"x",
        ];
        bytes.extend(segment(0xe1, &body.concat()));
    }
    bytes.extend(&baseline(16)[2..]);
    bytes
}

/// EXIF data whose directory is its own successor, with entries that lie about their length.
pub(crate) fn exif() -> Vec<u8> {
    let mut exif = b"Exif\0\0II*\0\x08\0\0\0".to_vec();
    exif.extend(20_u16.to_le_bytes());
    for _ in 0..20 {
        exif.extend([0x0f, 0x01, 2, 0, 0xff, 0xff, 0xff, 0xff, 8, 0, 0, 0]);
    }
    exif.extend([8, 0, 0, 0]);
    [&[0xff, 0xd8][..], &segment(0xe1, &exif), &baseline(16)[2..]].concat()
}
