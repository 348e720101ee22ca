//! Entries of the record store: what is accepted is written back byte for byte, so that no two
//! entries mean the same, and what is not is an error. The first bytes say which entry it is and how
//! wide codes and addresses are.

use hashdb::internals::db::{EntryKind, probe_entry};

use super::input::Input;
use super::memory;

const KINDS: [EntryKind; 7] = [
    EntryKind::Schema,
    EntryKind::State,
    EntryKind::Index,
    EntryKind::Segment,
    EntryKind::Key,
    EntryKind::Record,
    EntryKind::Pending,
];

/// Reads one entry: kind, widths, length of the key, key, value.
pub fn run(data: &[u8]) {
    let mut input = Input::new(data);
    let kind = input.choose(&KINDS);
    let bits = (64 * (1 + u16::from(input.u8() % 16)), 8 + input.u8() % 25);
    let length = usize::from(input.u8());
    let (key, value) = (input.bytes(length), input.rest());
    let read = memory::limited(key.len() + value.len(), || probe_entry(kind, bits, key, value));
    match read {
        Ok((same_key, same_value)) => {
            assert_eq!((&same_key[..], &same_value[..]), (key, value), "{kind:?}");
        }
        Err(what) => assert!(!what.to_string().is_empty()),
    }
}
