//! What the Huffman codes of a lossless `WebP` stream take. Its decoder builds the tables of every group
//! of codes before the first pixel, as many groups as the entropy image names, and counts them against
//! no limit: twelve bytes of a file can ask for four KiB. So the stream is read up to there as the
//! decoder reads it ("WebP Lossless Bitstream Specification", sections 3 to 6), without keeping a pixel:
//! of the images that come before the codes only the largest number of a group matters, and copies and
//! caches repeat numbers that were there.
//!
//! Invariant: the answer is at least what the decoder holds, wherever the stream breaks off or lies.
//! Where a copy reaches back before the first pixel the decoder stops and this goes on.

use super::super::decode::{MAX_PIXELS, MAX_WORKING_BYTES};

/// Where the lengths of the codes of lengths stand.
const LENGTH_ORDER: [usize; 19] =
    [17, 18, 0, 1, 2, 3, 4, 5, 16, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15];
/// Symbols of the five codes of a group: green and lengths of copies, red, blue, alpha, distances.
const ALPHABETS: [usize; 5] = [256 + 24, 256, 256, 256, 40];
/// The bits that the decoder looks up at once; longer codes go through a tree.
const TABLE_BITS: usize = 10;
/// What the decoder keeps for an entry of a table, for a symbol beyond the table (two nodes of its
/// tree) and for a group (five codes, in a vector that has grown), in bytes.
const ENTRY_BYTES: u64 = 4;
const DEEP_BYTES: u64 = 32;
const GROUP_BYTES: u64 = 3 * 5 * 56;
/// What two vectors of a code take beside their content, in bytes.
const CODE_BYTES: u64 = 48;

/// The tables of an image of its own: the body of a `VP8L` chunk.
pub(super) fn image_tables(body: &[u8]) -> u64 {
    let mut stream = Stream::new(body);
    // What follows the signature is judged as it stands; the decoder looks at it too.
    let header = stream.bits.take(8).and_then(|_| {
        let (width, height) = (stream.bits.take(14)? + 1, stream.bits.take(14)? + 1);
        stream.bits.take(1 + 3)?;
        Some((width, height))
    });
    let _ = header.and_then(|(width, height)| stream.walk(width, height));
    stream.tables
}

/// The tables of the transparency of a lossy image: the body of an `ALPH` chunk.
pub(super) fn alpha_tables(body: &[u8], width: u32, height: u32) -> u64 {
    match body.split_first() {
        Some((info, rest)) if info & 0b11 == 1 => {
            let mut stream = Stream::new(rest);
            // The decoder keeps sixteen bits of each.
            let _ = stream.walk(width & 0xffff, height & 0xffff);
            stream.tables
        }
        _ => 0,
    }
}

struct Stream<'a> {
    bits: Bits<'a>,
    /// Bytes of all tables so far.
    tables: u64,
}

/// `None`: the decoder stops here, or before.
impl<'a> Stream<'a> {
    fn new(bytes: &'a [u8]) -> Self {
        Self { bits: Bits { bytes, place: 0 }, tables: 0 }
    }

    fn walk(&mut self, mut width: u32, height: u32) -> Option<()> {
        if u64::from(width) * u64::from(height) > MAX_PIXELS {
            return None; // refused for its size
        }
        let mut seen = [false; 4];
        while self.bits.flag()? {
            let kind = self.bits.take(2)?;
            if std::mem::replace(&mut seen[kind as usize], true) {
                return None;
            }
            match kind {
                2 => {}
                3 => {
                    let colors = self.bits.take(8)? + 1;
                    self.image(colors, 1)?;
                    let packed = match colors {
                        1..=2 => 3,
                        3..=4 => 2,
                        5..=16 => 1,
                        _ => 0,
                    };
                    width = blocks(width, packed);
                }
                _ => {
                    let side = self.bits.take(3)? + 2;
                    self.image(blocks(width, side), blocks(height, side))?;
                }
            }
        }
        let cache = self.cache()?;
        let groups = if self.bits.flag()? {
            let side = self.bits.take(3)? + 2;
            u64::from(self.image(blocks(width, side), blocks(height, side))?) + 1
        } else {
            1
        };
        for _ in 0..groups {
            self.group(cache)?;
        }
        Some(())
    }

    /// Passes over an image of a transform or of groups; the largest number of a group in it.
    fn image(&mut self, width: u32, height: u32) -> Option<u32> {
        let pixels = u64::from(width) * u64::from(height);
        let cache = self.cache()?;
        let [green, red, blue, alpha, distance] = self.group(cache)?;
        let (mut at, mut largest) = (0, 0);
        while at < pixels {
            let symbol = green.read(&mut self.bits)?;
            match symbol {
                ..256 => {
                    let number = red.read(&mut self.bits)? << 8 | symbol;
                    largest = largest.max(number);
                    blue.read(&mut self.bits)?;
                    alpha.read(&mut self.bits)?;
                    at += 1;
                    if [&green, &red, &blue, &alpha].iter().all(|code| code.is_single()) {
                        return Some(largest); // the same for ever, without a bit
                    }
                }
                256..280 => {
                    at += self.distance(symbol - 256)?;
                    let symbol = distance.read(&mut self.bits)?;
                    self.distance(symbol)?;
                    if at > pixels {
                        return None;
                    }
                }
                _ => {
                    cache?;
                    at += 1;
                    if green.is_single() {
                        return Some(largest); // the cache stays as empty as it is
                    }
                }
            }
        }
        Some(largest)
    }

    /// A length or a distance of a copy by its prefix.
    fn distance(&mut self, prefix: u32) -> Option<u64> {
        if prefix < 4 {
            return Some(u64::from(prefix) + 1);
        }
        let extra = (prefix - 2) >> 1;
        let offset = u64::from(2 + (prefix & 1)) << extra;
        Some(offset + u64::from(self.bits.take(extra)?) + 1)
    }

    /// Symbols that the cache of colours adds, if there is one.
    #[expect(clippy::option_option, reason = "outside: the stream ends; inside: no cache")]
    fn cache(&mut self) -> Option<Option<usize>> {
        if !self.bits.flag()? {
            return Some(None);
        }
        let bits = self.bits.take(4)?;
        (1..=11).contains(&bits).then_some(Some(1 << bits))
    }

    /// The five codes of a group.
    fn group(&mut self, cache: Option<usize>) -> Option<[Code; 5]> {
        self.tables += GROUP_BYTES;
        let [mut green, red, blue, alpha, distance] = ALPHABETS;
        green += cache.unwrap_or(0);
        let mut code = |alphabet| self.code(alphabet);
        Some([code(green)?, code(red)?, code(blue)?, code(alpha)?, code(distance)?])
    }

    /// A code and what its tables take; `None` also once there is more than any image may take.
    fn code(&mut self, alphabet: usize) -> Option<Code> {
        if self.tables > MAX_WORKING_BYTES {
            return None;
        }
        let code = if self.bits.flag()? { self.simple(alphabet)? } else { self.normal(alphabet)? };
        if let Code::Many { counts, .. } = &code {
            let longest = counts.iter().rposition(|&count| count != 0)?;
            let deep = counts.iter().skip(TABLE_BITS + 1).map(|&count| u64::from(count));
            let entries = 1 << longest.min(TABLE_BITS);
            self.tables +=
                ENTRY_BYTES * entries + DEEP_BYTES * deep.sum::<u64>().max(2) + CODE_BYTES;
        }
        Some(code)
    }

    /// One or two symbols.
    fn simple(&mut self, alphabet: usize) -> Option<Code> {
        let two = self.bits.flag()?;
        let width = if self.bits.flag()? { 8 } else { 1 };
        let known = |&symbol: &u32| (symbol as usize) < alphabet;
        let first = self.bits.take(width).filter(known)?;
        if !two {
            return Some(Code::Single(first));
        }
        let second = self.bits.take(8).filter(known)?;
        let mut counts = [0; 16];
        counts[1] = 2;
        Some(Code::Many { counts, symbols: vec![first, second] })
    }

    /// Any symbols: their lengths, which are written by a code of their own.
    fn normal(&mut self, alphabet: usize) -> Option<Code> {
        let mut lengths = [0; LENGTH_ORDER.len()];
        let given = self.bits.take(4)? as usize + 4;
        for &place in LENGTH_ORDER.iter().take(given) {
            lengths[place] = self.bits.take(3)?;
        }
        let code = self.built(&lengths)?;
        let mut left = alphabet;
        if self.bits.flag()? {
            let width = 2 + 2 * self.bits.take(3)?;
            left = self.bits.take(width)? as usize + 2;
            if left > alphabet {
                return None;
            }
        }
        let (mut lengths, mut last) = (Vec::with_capacity(alphabet), 8);
        while lengths.len() < alphabet && left > 0 {
            left -= 1;
            let (length, times) = match code.read(&mut self.bits)? {
                16 => (last, 3 + self.bits.take(2)?),
                17 => (0, 3 + self.bits.take(3)?),
                18 => (0, 11 + self.bits.take(7)?),
                length => (length, 1),
            };
            if length != 0 {
                last = length;
            }
            lengths.resize(lengths.len() + times as usize, length);
        }
        if lengths.len() > alphabet {
            return None;
        }
        self.built(&lengths)
    }

    /// The code of these lengths, by symbol.
    fn built(&mut self, lengths: &[u32]) -> Option<Code> {
        let mut counts = [0_u16; 16];
        lengths.iter().for_each(|&length| counts[length as usize] += 1);
        counts[0] = 0;
        let used = |&(_, &length): &(usize, &u32)| length != 0;
        let mut symbols: Vec<_> = lengths.iter().enumerate().filter(used).collect();
        if let [(symbol, _)] = symbols[..] {
            return u32::try_from(symbol).ok().map(Code::Single);
        }
        let longest = counts.iter().rposition(|&count| count != 0)?;
        let taken = (1..=longest).map(|length| u32::from(counts[length]) << (longest - length));
        let taken = taken.sum::<u32>();
        if taken != 1 << longest {
            if (2 * taken) % (1 << 16) == (2 << longest) % (1 << 16) {
                // The decoder counts in sixteen bits and takes it for a code; no encoder writes it.
                self.tables = u64::MAX / 2;
            }
            return None;
        }
        symbols.sort_by_key(|&(symbol, &length)| (length, symbol));
        let symbols = symbols.iter().map(|&(symbol, _)| u32::try_from(symbol));
        Some(Code::Many { counts, symbols: symbols.collect::<Result<_, _>>().ok()? })
    }
}

/// A canonical Huffman code.
enum Code {
    /// One symbol, which takes no bit.
    Single(u32),
    /// How many symbols there are of each length, and which, in the order of their codes.
    Many { counts: [u16; 16], symbols: Vec<u32> },
}

impl Code {
    fn is_single(&self) -> bool {
        matches!(self, Self::Single(_))
    }

    fn read(&self, bits: &mut Bits<'_>) -> Option<u32> {
        let (counts, symbols) = match self {
            Self::Single(symbol) => return Some(*symbol),
            Self::Many { counts, symbols } => (counts, symbols),
        };
        let (mut code, mut first, mut before) = (0, 0, 0);
        for &count in &counts[1..] {
            code |= bits.take(1)?;
            let count = u32::from(count);
            if code < first + count {
                return symbols.get((before + code - first) as usize).copied();
            }
            before += count;
            first = (first + count) << 1;
            code <<= 1;
        }
        None
    }
}

/// Bits, the lowest of a byte first.
struct Bits<'a> {
    bytes: &'a [u8],
    place: usize,
}

impl Bits<'_> {
    /// The next bits, up to 25 of them.
    fn take(&mut self, count: u32) -> Option<u32> {
        let end = self.place + count as usize;
        if end > 8 * self.bytes.len() {
            return None;
        }
        let mut window = [0; 4];
        let rest = &self.bytes[self.place / 8..];
        let there = rest.len().min(4);
        window[..there].copy_from_slice(&rest[..there]);
        let shifted = u32::from_le_bytes(window) >> (self.place % 8);
        self.place = end;
        Some(shifted & ((1 << count) - 1))
    }

    fn flag(&mut self) -> Option<bool> {
        self.take(1).map(|bit| bit == 1)
    }
}

/// Blocks of two to the power of `side` pixels that cover so many.
fn blocks(pixels: u32, side: u32) -> u32 {
    pixels.div_ceil(1 << side)
}
