//! A sound segment with every section and index, damaged on purpose and then given checksums that
//! agree with the damage: an error, or a segment that can be searched without a panic, a read out of
//! range or an endless loop. Three things hold beyond that:
//!
//! - without damage every index answers as brute force does;
//! - damage whose checksums were not made right is always noticed;
//! - a file that is mapped answers as the same bytes in memory.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

use hashdb::internals::db::{Probe, ProbeAnswer, ProbedSegment};
use hashdb::internals::index::{
    ClusterColumns, MultiIndexColumns, Neighbor, PairTableColumns, PrefixColumn,
};
use hashdb::{Error, Level};

use super::input::Input;
use super::memory;
use super::oracle::Random;
use super::segment::{Section, assemble, seal};

/// What the base of an input is built from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Shape {
    code_bytes: usize,
    address_bits: u8,
    rows: usize,
    skewed: bool,
    /// Bit 0: multi-index, bit 1: cluster lists, bit 2: prefixes.
    indexes: u8,
}

/// A sound segment and its rows, sorted by address and id.
struct Base {
    sections: Vec<Section>,
    rows: Vec<(u32, u64, Vec<u8>)>,
}

thread_local! {
    static BASES: RefCell<HashMap<Shape, Rc<Base>>> = RefCell::default();
    static FOLDER: tempfile::TempDir = tempfile::tempdir().unwrap();
}

/// Builds, damages, opens and asks.
pub fn run(data: &[u8]) {
    let mut input = Input::new(data);
    let shape = shape(&mut input);
    let probe = probe(&mut input);
    let mode = input.u8();
    let base = BASES.with_borrow_mut(|bases| {
        Rc::clone(bases.entry(shape).or_insert_with(|| Rc::new(Base::new(shape))))
    });
    let mut sections = base.sections.clone();
    let mut damages = 0;
    while !input.is_empty() && damages < 8 && input.clone().u8() < 0xf0 {
        damage(&mut sections, &mut input);
        damages += 1;
    }
    input.u8();
    let mut file = assemble(&sections);
    if mode & 1 == 1 {
        // Header and directory with damage of their own, under checksums that agree.
        let head = 64 + 32 * sections.len();
        let place = input.place(head);
        write(&mut file, place, &mut input);
        seal(&mut file);
    }
    if mode & 2 == 2 {
        let sound = file.clone();
        let place = u64_place(&mut input, file.len());
        write(&mut file, place, &mut input);
        if file != sound {
            assert!(ask(&file, &probe).is_err(), "damage at byte {place} was not noticed");
            return;
        }
    }
    let answer = ask(&file, &probe);
    if mode & 4 == 4 {
        let mapped = ask_mapped(&file, &probe);
        assert_eq!(answer.as_ref().ok(), mapped.as_ref().ok(), "mapped or not");
    }
    if damages == 0 && mode & 3 == 0 {
        let answer = answer.unwrap_or_else(|error| panic!("{shape:?} without damage: {error}"));
        base.check(shape, &probe, &answer);
    }
}

fn shape(input: &mut Input<'_>) -> Shape {
    let choice = input.u8();
    // The tables of a multi-index take 256 KiB for every 16 bits: codes are short with it, and it is
    // built for one input in eight only.
    let multi = choice & 0x31 == 1;
    Shape {
        code_bytes: if multi { 8 } else { input.choose(&[8, 16, 24, 32, 128]) },
        address_bits: input.choose(&[8, 9, 13, 16, 24]),
        rows: input.choose(&[0, 1, 2, 17, 64, 300]),
        skewed: choice & 8 == 8,
        indexes: choice & 6 | u8::from(multi),
    }
}

fn probe(input: &mut Input<'_>) -> Probe {
    let radius = u32::from(input.u8());
    let far = [1023, 1024, 1025, 65_535, 65_536, u32::MAX];
    let radius = match radius.checked_sub(250) {
        Some(index) => far[index as usize % far.len()],
        None => radius,
    };
    Probe {
        level: input.choose(&Level::available()),
        address: input.u32(),
        radius,
        code: input.u8(),
        k: input.choose(&[10, 0, 1, 3, 100, 101, usize::MAX]),
    }
}

/// Opens within the bounds of memory, asks everything, and reads every byte at last.
fn ask(file: &[u8], probe: &Probe) -> Result<ProbeAnswer, Error> {
    let segment = memory::limited(file.len(), || {
        let segment = ProbedSegment::of_bytes(file)?;
        segment.open_indexes().map(|()| segment)
    });
    finish(&segment?, probe)
}

/// The same through a mapped file, whose bytes are not in memory: nothing but the constant may be.
fn ask_mapped(file: &[u8], probe: &Probe) -> Result<ProbeAnswer, Error> {
    FOLDER.with(|folder| {
        let path = folder.path().join("a.seg");
        std::fs::write(&path, file).unwrap();
        let segment = memory::limited(file.len(), || {
            let segment = ProbedSegment::of_mapped_file(&path)?;
            segment.open_indexes().map(|()| segment)
        });
        finish(&segment?, probe)
    })
}

fn finish(segment: &ProbedSegment, probe: &Probe) -> Result<ProbeAnswer, Error> {
    let answer = segment.ask(probe)?;
    // Damage under right checksums may be seen by this alone; what was answered was not wrong
    // by a fault of the reader then.
    segment.verify().map(|()| answer)
}

/// One change to the sections.
fn damage(sections: &mut Vec<Section>, input: &mut Input<'_>) {
    let (op, at) = (input.u8() % 10, usize::from(input.u8()) % sections.len().max(1));
    let other = usize::from(input.u8());
    let count = sections.len();
    let Some((tag, bytes)) = sections.get_mut(at) else { return };
    let place = u64_place(input, bytes.len() + usize::from(matches!(op, 2 | 3)));
    match op {
        0 | 1 => write(bytes, place, input),
        2 => bytes.truncate(place),
        3 => drop(bytes.splice(place..place, input.bytes(other).iter().copied())),
        4 => bytes.resize(bytes.len() + other * other, 0),
        5 => *bytes = input.bytes(other).to_vec(),
        6 => {
            let length = input.place(bytes.len().saturating_sub(place) + 1);
            bytes[place..][..length].fill(other.to_le_bytes()[0]);
        }
        7 => drop(sections.remove(at)),
        8 => {
            let copy = (*tag, bytes.clone());
            sections.insert(other % (count + 1), copy);
        }
        _ => {
            let bytes = std::mem::take(bytes);
            let (_, others) = &mut sections[other % count];
            let theirs = std::mem::replace(others, bytes);
            sections[at].1 = theirs;
        }
    }
}

/// A place in something of so many bytes; every second one is a multiple of four.
fn u64_place(input: &mut Input<'_>, length: usize) -> usize {
    let place = input.u32() as usize % length.max(1);
    if place.is_multiple_of(2) { place / 4 * 4 } else { place }
}

/// Writes a number, or adds one, as far as there is room.
fn write(bytes: &mut [u8], place: usize, input: &mut Input<'_>) {
    let how = input.u8();
    let room = &mut bytes[place..];
    let width = [1, 2, 4, 8][usize::from(how % 4)].min(room.len());
    let mut now = [0; 8];
    now[..width].copy_from_slice(&room[..width]);
    let now = u64::from_le_bytes(now);
    let new = match how / 4 % 6 {
        0 => input.u64(),
        1 => now.wrapping_add(1),
        2 => now.wrapping_sub(1),
        3 => u64::MAX,
        4 => now ^ 1 << (input.u8() % 64),
        _ => 0,
    };
    room[..width].copy_from_slice(&new.to_le_bytes()[..width]);
}

impl Base {
    fn new(shape: Shape) -> Self {
        let Shape { code_bytes, address_bits, rows, skewed, indexes } = shape;
        let mut random = Random::new(rows as u64);
        let row = |number: u64| {
            let address = random.address(address_bits, skewed).value();
            let code = random.code(u16::try_from(code_bytes * 8).unwrap(), skewed);
            (address, number * 3 + 1, code.as_bytes().to_vec())
        };
        let mut rows: Vec<_> = (0..rows as u64).map(row).collect();
        rows.sort_unstable();
        let ids: Vec<u8> = rows.iter().flat_map(|row| row.1.to_le_bytes()).collect();
        let addresses: Vec<u8> = rows.iter().flat_map(|row| row.0.to_le_bytes()).collect();
        let codes: Vec<u8> = rows.iter().flat_map(|row| row.2.clone()).collect();
        let mut info = (rows.len() as u64).to_le_bytes().to_vec();
        info.extend(u16::try_from(code_bytes * 8).unwrap().to_le_bytes());
        info.extend([address_bits, 0, 0, 0, 0, 0]);
        info.extend(rows.iter().map(|row| row.1).min().unwrap_or(0).to_le_bytes());
        info.extend(rows.iter().map(|row| row.1).max().unwrap_or(0).to_le_bytes());
        let mut sections = vec![
            (*b"INFO    ", info),
            (*b"IDS     ", ids),
            (*b"ADDRESS ", addresses.clone()),
            (*b"CODES   ", codes.clone()),
        ];
        // The pair table belongs to segments of some size and to no others.
        if rows.len() * 4 >= 1 << address_bits.div_ceil(2) {
            let table = PairTableColumns::build(&addresses, address_bits).unwrap();
            sections.extend([
                (*b"BALL.HO ", table.high_offsets),
                (*b"BALL.LS ", table.low_suffixes),
                (*b"BALL.LO ", table.low_offsets),
                (*b"BALL.HS ", table.high_suffixes),
                (*b"BALL.POS", table.positions),
            ]);
        }
        if indexes & 1 == 1 {
            let multi = MultiIndexColumns::build(&codes, code_bytes).unwrap();
            sections.extend([
                (*b"MULTI.OR", multi.order),
                (*b"MULTI.OF", multi.offsets),
                (*b"MULTI.PA", multi.partners),
                (*b"MULTI.RO", multi.rows),
                (*b"MULTI.SE", multi.selectivity),
            ]);
        }
        if indexes & 2 == 2 {
            let clusters = ClusterColumns::build(Level::best(), &codes, code_bytes).unwrap();
            sections.extend([
                (*b"CLUST.CE", clusters.centroids),
                (*b"CLUST.OF", clusters.offsets),
                (*b"CLUST.RO", clusters.rows),
                (*b"CLUST.DI", clusters.distances),
                (*b"CLUST.CO", clusters.codes),
                (*b"CLUST.CA", clusters.calibration),
            ]);
        }
        if indexes & 4 == 4
            && let Some(prefixes) = PrefixColumn::build(&codes, code_bytes)
        {
            sections.push((*b"PREFIX  ", prefixes.bytes));
        }
        Self { sections, rows }
    }

    /// Holds an answer against brute force.
    fn check(&self, shape: Shape, probe: &Probe, answer: &ProbeAnswer) {
        let mask = u32::MAX >> (32 - u32::from(shape.address_bits));
        let address = probe.address & mask;
        let away = |row: &(u32, u64, Vec<u8>)| (row.0 ^ address).count_ones();
        let near = self.rows.iter().filter(|row| away(row) <= probe.radius);
        let mut ball: Vec<_> = near.map(|row| (row.1, away(row))).collect();
        ball.sort_unstable();
        assert_eq!(answer.ball, ball, "{shape:?}");
        let far = |code: &[u8]| code.iter().map(|byte| (byte ^ probe.code).count_ones()).sum();
        let neighbor = |row: &(u32, u64, Vec<u8>)| Neighbor {
            distance: far(&row.2),
            id: row.1,
            address: row.0,
        };
        let mut all: Vec<_> = self.rows.iter().map(neighbor).collect();
        all.sort_unstable();
        assert_eq!(answer.nearest, all[..probe.k.min(all.len())], "{shape:?}");
        all.retain(|neighbor| neighbor.distance <= probe.radius);
        for (index, within) in answer.within.iter().enumerate() {
            assert_eq!(within, &all, "{shape:?}, index {index}");
        }
    }
}
