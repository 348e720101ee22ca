//! Which indexes over codes a user wants.

use std::str::FromStr;

use hashdb::IndexOptions;

/// A list of `multi`, `clusters` and `prefix`, or `all`, or `none`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct IndexChoice(pub(crate) IndexOptions);

impl FromStr for IndexChoice {
    type Err = String;

    fn from_str(list: &str) -> Result<Self, String> {
        let none = IndexOptions::none();
        let add = |options: IndexOptions, name: &str| match name {
            "multi" => Ok(options.multi_index(true)),
            "clusters" => Ok(options.clusters(true)),
            "prefix" => Ok(options.prefix(true)),
            _ => Err(format!(
                "'{name}' is no index; a list of multi, clusters and prefix, or all, or none"
            )),
        };
        let options = match list {
            "all" => none.multi_index(true).clusters(true).prefix(true),
            "none" => none,
            _ => list.split(',').try_fold(none, add)?,
        };
        Ok(Self(options))
    }
}

#[cfg(test)]
mod tests {
    use hashdb::IndexOptions;

    use super::IndexChoice;

    #[test]
    fn lists_of_indexes_are_read() {
        let none = IndexOptions::none();
        let read = |list: &str| list.parse().map(|IndexChoice(options)| options);
        assert_eq!(read("none"), Ok(none));
        assert_eq!(read("clusters,multi"), Ok(none.multi_index(true).clusters(true)));
        assert_eq!(read("all"), read("multi,clusters,prefix"));
        for wrong in ["", "multi,", "none,multi", "Multi"] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
    }
}
