//! A superblock of two slots whose fields are the fuzzer's: the newer of the slots that can be read,
//! field by field, or an error; never a slot whose checksum is wrong.

use hashdb::internals::db::{ProbedSuperblock, probe_superblock};

use super::input::Input;
use super::memory;

const SLOT: usize = 4096;
const BODY: usize = 72;

/// What a slot says, told without the library; nothing if it must not be believed.
fn decode(slot: &[u8]) -> Option<ProbedSuperblock> {
    let number = |at: usize| u64::from_le_bytes(slot[at..at + 8].try_into().unwrap());
    let sealed = crc32c::crc32c(&slot[..68]).to_le_bytes() == slot[68..72];
    let sound =
        &slot[..10] == b"HASHDBSB\x01\x00" && sealed && slot[BODY..].iter().all(|b| *b == 0);
    sound.then(|| ProbedSuperblock {
        database_id: slot[16..32].try_into().unwrap(),
        bits: (u16::from_le_bytes([slot[10], slot[11]]), slot[12]),
        numbers: [number(32), number(40), number(48), number(56)],
        torn: false,
    })
}

fn is_newer(slot: &[u8]) -> bool {
    let sealed = crc32c::crc32c(&slot[..68]).to_le_bytes() == slot[68..72];
    &slot[..8] == b"HASHDBSB" && slot[8..10] != [1, 0] && sealed
}

/// A slot: 68 bytes as they come or a sound one, a checksum that is right or not, and stray bytes.
fn slot(input: &mut Input<'_>) -> Vec<u8> {
    let mut slot = vec![0; SLOT];
    let how = input.u8();
    if how & 1 == 1 {
        let bytes = input.bytes(68);
        slot[..bytes.len()].copy_from_slice(bytes);
    } else {
        slot[..10].copy_from_slice(b"HASHDBSB\x01\x00");
        slot[10..12].copy_from_slice(&input.u16().to_le_bytes());
        slot[12] = input.u8();
        slot[16..32].copy_from_slice(b"fuzzed database.");
        for field in 0..4 {
            slot[32 + 8 * field..][..8].copy_from_slice(&input.u64().to_le_bytes());
        }
    }
    let checksum = crc32c::crc32c(&slot[..68]);
    let checksum = if how & 2 == 2 { input.u32() } else { checksum };
    slot[68..72].copy_from_slice(&checksum.to_le_bytes());
    if how & 4 == 4 {
        let place = input.place(SLOT);
        slot[place] ^= input.u8();
    }
    slot
}

/// Builds both slots, cuts the file where the input says so, and reads it.
pub fn run(data: &[u8]) {
    let mut input = Input::new(data);
    let mut file = [slot(&mut input), slot(&mut input)].concat();
    let whole = input.u8() & 1 == 0;
    if !whole {
        let length = input.place(file.len() + 1);
        file.truncate(length);
    }
    let read = memory::limited(file.len(), || probe_superblock(&file));
    let slots = [file.get(..SLOT), file.get(SLOT..2 * SLOT)];
    let sound = slots.map(|slot| slot.and_then(decode));
    let newer = slots.into_iter().flatten().any(is_newer);
    match (sound, read) {
        // Of a later release: neither slot may be used, since it may have meant the other.
        (_, read) if newer => assert!(read.is_err(), "a newer format was passed over"),
        ([None, None], read) => assert!(read.is_err(), "no slot is sound"),
        ([Some(a), Some(b)], read) => {
            let expected = if a.numbers[0] > b.numbers[0] { a } else { b };
            assert_eq!(read.unwrap(), expected);
        }
        ([Some(one), None] | [None, Some(one)], read) => {
            assert_eq!(read.unwrap(), ProbedSuperblock { torn: true, ..one });
        }
    }
}
