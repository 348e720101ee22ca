//! What a picture shows, as its name, its folder or a table says. The scorer alone is told.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::EvalError;

/// Where the label of a key stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LabelSource {
    /// In the file's name, between the first and the last underscore: `test_cat_0007.jpg`.
    Names,
    /// In the name of the folder that the file is in: `photos/cat/0007.jpg`.
    Folders,
    /// In a table.
    Table(LabelTable),
}

/// A label for each key.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LabelTable(BTreeMap<Vec<u8>, String>);

impl LabelTable {
    /// Takes over pairs of a key and its label.
    ///
    /// # Errors
    /// [`EvalError::LabelTwice`] if a key comes twice with different labels.
    pub fn new(pairs: impl IntoIterator<Item = (Vec<u8>, String)>) -> Result<Self, EvalError> {
        let mut table = BTreeMap::new();
        for (key, label) in pairs {
            let shown = readable(&key);
            match table.insert(key, label.clone()) {
                Some(first) if first != label => {
                    return Err(EvalError::LabelTwice { key: shown, first, second: label });
                }
                _ => {}
            }
        }
        Ok(Self(table))
    }

    /// Checks that every key of the table is one of `keys`.
    ///
    /// # Errors
    /// [`EvalError::UnknownKeys`] if one is not.
    pub fn check_known<'a>(
        &self,
        keys: impl IntoIterator<Item = &'a [u8]>,
    ) -> Result<(), EvalError> {
        let known: BTreeSet<&[u8]> = keys.into_iter().collect();
        let mut unknown = self.0.keys().filter(|key| !known.contains(key.as_slice()));
        let Some(first) = unknown.next() else { return Ok(()) };
        let (first, unknown) = (readable(first), 1 + unknown.count());
        Err(EvalError::UnknownKeys { unknown, all: self.0.len(), first })
    }
}

impl LabelSource {
    /// The label of a key, if it has one.
    #[must_use]
    pub fn label(&self, key: &[u8]) -> Option<String> {
        let mut parts = key.rsplit(|&byte| byte == b'/');
        let label = match self {
            Self::Names => between_underscores(parts.next()?)?,
            Self::Folders => parts.nth(1)?,
            Self::Table(LabelTable(table)) => return table.get(key).cloned(),
        };
        let label = std::str::from_utf8(label).ok().filter(|label| !label.is_empty());
        label.map(str::to_owned)
    }

    fn rule(&self) -> &'static str {
        match self {
            Self::Names => "a label stands in the name of the file, as in test_cat_0007.jpg",
            Self::Folders => "a label is the name of the folder that the file is in",
            Self::Table(_) => "a label stands beside the key in the table",
        }
    }
}

/// What lies between the first underscore and the last one.
fn between_underscores(name: &[u8]) -> Option<&[u8]> {
    let first = name.iter().position(|&byte| byte == b'_')?;
    let last = name.iter().rposition(|&byte| byte == b'_')?;
    name.get(first + 1..last)
}

/// Labels as numbers, in the order in which they were met first.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Classes {
    names: Vec<String>,
    numbers: HashMap<String, u16>,
}

impl Classes {
    /// The number of the label of each key; new labels get the next number.
    ///
    /// # Errors
    /// [`EvalError::Unlabelled`] if a key has no label, [`EvalError::TooManyLabels`] if there are more
    /// different ones than numbers.
    pub fn numbers<'a>(
        &mut self,
        source: &LabelSource,
        keys: impl IntoIterator<Item = &'a [u8]>,
    ) -> Result<Vec<u16>, EvalError> {
        let mut numbers = Vec::new();
        let (mut missing, mut first) = (0, None);
        for key in keys {
            if let Some(label) = source.label(key) {
                numbers.push(self.number(label)?);
            } else {
                missing += 1;
                first.get_or_insert_with(|| readable(key));
            }
        }
        match first {
            None => Ok(numbers),
            Some(first) => {
                let all = numbers.len() + missing;
                Err(EvalError::Unlabelled { missing, all, first, rule: source.rule() })
            }
        }
    }

    /// The labels met so far; the label of number n is the n-th.
    #[must_use]
    pub fn names(&self) -> &[String] {
        &self.names
    }

    fn number(&mut self, label: String) -> Result<u16, EvalError> {
        if let Some(&number) = self.numbers.get(&label) {
            return Ok(number);
        }
        let number = u16::try_from(self.names.len()).ok().filter(|&number| number < u16::MAX);
        let number = number.ok_or(EvalError::TooManyLabels)?;
        self.names.push(label.clone());
        self.numbers.insert(label, number);
        Ok(number)
    }
}

fn readable(key: &[u8]) -> String {
    String::from_utf8_lossy(key).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys<'a>(keys: &'a [&'a str]) -> impl Iterator<Item = &'a [u8]> {
        keys.iter().map(|key| key.as_bytes())
    }

    #[test]
    fn labels_come_from_names_folders_and_tables() {
        let names = LabelSource::Names;
        assert_eq!(names.label(b"a/test-00000.tar.gz/test_cat_0007.jpg").as_deref(), Some("cat"));
        assert_eq!(names.label(b"train_aquarium_fish_1.png").as_deref(), Some("aquarium_fish"));
        for without in ["", "cat.jpg", "a_b/cat.jpg", "cat_1.jpg", "a__1.jpg", "_"] {
            assert_eq!(names.label(without.as_bytes()), None, "{without}");
        }
        let folders = LabelSource::Folders;
        assert_eq!(folders.label(b"photos/cat/1.jpg").as_deref(), Some("cat"));
        assert_eq!(folders.label(b"1.jpg"), None);
        assert_eq!(folders.label(b"/1.jpg"), None);
        let table = LabelTable::new([(b"x".to_vec(), "dog".to_owned())]).unwrap();
        assert_eq!(LabelSource::Table(table.clone()).label(b"x").as_deref(), Some("dog"));
        assert_eq!(LabelSource::Table(table).label(b"y"), None);
    }

    #[test]
    fn classes_are_numbered_as_they_come_and_across_sets() {
        let mut classes = Classes::default();
        let first = classes.numbers(&LabelSource::Names, keys(&["a_cat_1", "a_dog_1", "a_cat_2"]));
        assert_eq!(first.unwrap(), [0, 1, 0]);
        let second = classes.numbers(&LabelSource::Names, keys(&["b_cow_1", "b_dog_1"]));
        assert_eq!(second.unwrap(), [2, 1]);
        assert_eq!(classes.names(), ["cat", "dog", "cow"]);
    }

    #[test]
    fn mismatches_are_one_error_with_counts_and_the_first_example() {
        let mut classes = Classes::default();
        let error = classes.numbers(&LabelSource::Names, keys(&["a_cat_1", "b.jpg", "c.jpg"]));
        let error = error.unwrap_err().to_string();
        assert!(error.starts_with("2 of 3 pictures have no label, the first is b.jpg;"), "{error}");
        let pairs = ["p", "q", "r"].map(|key| (key.as_bytes().to_vec(), "x".to_owned()));
        let table = LabelTable::new(pairs).unwrap();
        table.check_known(keys(&["r", "q", "p", "o"])).unwrap();
        let error = table.check_known(keys(&["p"])).unwrap_err().to_string();
        assert_eq!(
            error,
            "2 of 3 keys in the table of labels belong to no picture, the first is q"
        );
        let twice = [("k", "x"), ("k", "y")].map(|(key, label)| (key.into(), label.to_owned()));
        let error = LabelTable::new(twice).unwrap_err().to_string();
        assert_eq!(error, "the table of labels has k twice, as x and as y");
    }

    #[test]
    fn more_labels_than_numbers_are_an_error() {
        let mut classes = Classes::default();
        let keys: Vec<Vec<u8>> =
            (0..=usize::from(u16::MAX)).map(|at| format!("a_{at}_1").into_bytes()).collect();
        let all = || keys.iter().map(Vec::as_slice);
        let fitting = all().take(usize::from(u16::MAX));
        assert!(classes.numbers(&LabelSource::Names, fitting).is_ok());
        let found = classes.numbers(&LabelSource::Names, all());
        assert_eq!(found, Err(EvalError::TooManyLabels));
    }
}
