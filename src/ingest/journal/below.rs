//! Keys that lie below others, as paths do.

use std::collections::HashSet;

/// What the keys of everything in the folder or shard of this key begin with.
pub(super) fn folder_of(key: &[u8]) -> Vec<u8> {
    [trimmed(key), b"/"].concat()
}

fn trimmed(key: &[u8]) -> &[u8] {
    key.strip_suffix(b"/").unwrap_or(key)
}

/// The keys in order, without those that lie below another one.
pub(super) fn outermost(mut keys: Vec<Vec<u8>>) -> Vec<Vec<u8>> {
    // Compared like this, all that lies below a folder comes right behind it.
    keys.sort_by_cached_key(|key| folder_of(key));
    keys.dedup_by(|later, kept| folder_of(later).starts_with(&folder_of(kept)));
    keys
}

/// Keys of files, folders and shards, of which there may be millions.
#[derive(Debug, Default)]
pub(super) struct Below(HashSet<Vec<u8>>);

impl Below {
    pub(super) fn insert(&mut self, key: &[u8]) {
        self.0.insert(trimmed(key).to_vec());
    }

    /// Whether a key is one of these or lies below one.
    pub(super) fn holds(&self, key: &[u8]) -> bool {
        !self.0.is_empty() && upwards(key).any(|key| self.0.contains(key))
    }
}

/// The key and those of all folders and shards that it may lie in, the innermost first.
pub(super) fn upwards(key: &[u8]) -> impl Iterator<Item = &[u8]> {
    let slashes = key.iter().enumerate().rev().filter(|(_, byte)| **byte == b'/');
    std::iter::once(key).chain(slashes.map(|(at, _)| &key[..at]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_lies_below_a_key_follows_a_slash() {
        let mut below = Below::default();
        for key in [b"a/b".as_slice(), b"c/", b"/d"] {
            below.insert(key);
        }
        for key in [b"a/b".as_slice(), b"a/b/x", b"a/b/x/y", b"c", b"c/x", b"/d/x"] {
            assert!(below.holds(key), "{}", key.escape_ascii());
        }
        for key in [b"a".as_slice(), b"a/", b"a/bc", b"b", b"d", b"d/x", b"", b"/"] {
            assert!(!below.holds(key), "{}", key.escape_ascii());
        }
    }

    #[test]
    fn what_lies_below_another_is_not_outermost() {
        let keys = ["b", "a/x", "a", "a-b", "a/", "b/c/d"].map(|key| key.as_bytes().to_vec());
        let left = outermost(keys.to_vec());
        assert_eq!(left, ["a-b", "a", "b"].map(|key| key.as_bytes().to_vec()));
    }
}
