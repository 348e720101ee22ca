//! Siblings of image files: files of one folder whose names are the same up to the first dot, as entries of a shard are.
//!
//! `source` walks a folder in the order of names. In it the files of a sample follow each other, and only what lies in
//! folders of such names comes between. So [`Samples`] holds one sample for each folder on the way down, as paths; the
//! bytes of siblings are read when an image of theirs is wanted, and not when a run passes over it. [`Folders`] finds the
//! siblings of a file that was named itself. Invariant: what waits takes 66 MiB at most, however many files are one sample.

use std::cell::OnceCell;
use std::collections::{BTreeMap, HashMap};
use std::fs::Metadata;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;

use walkdir::WalkDir;

use super::entries::{ENTRY_BYTES, SAMPLE_BYTES};
use super::journal::{Form, Origin};
use super::siblings::{Fields, MAX_SIBLING_BYTES, Siblings, field, split};
use super::source::{Listed, open};

/// Names of folders that are remembered at once, about.
const MOST_NAMES: usize = 1 << 20;
/// Hexadecimal digits of a hash that tell siblings from others.
const HOW_DIGITS: usize = 32;

/// The label and the sentence of a cause why an image has no value.
type NoValue = (&'static str, String);

/// The siblings of an image file, as they lie on the disk.
#[derive(Debug, Default)]
pub(super) struct Beside {
    files: BTreeMap<String, Sibling>,
    /// Counts their bytes.
    fields: Fields,
    /// Why none of the sample's images can have a value.
    spoilt: Option<String>,
    value: OnceCell<Result<Vec<u8>, NoValue>>,
}

#[derive(Debug)]
struct Sibling {
    path: PathBuf,
    bytes: u64,
    modified: u64,
}

impl Beside {
    /// Takes a file as a sibling; `false` if its ending is there already, in another case.
    fn add(&mut self, field: String, path: &Path, meta: &Metadata) -> bool {
        if self.files.contains_key(&field) {
            return false;
        }
        let Origin { bytes, modified, .. } = Origin::new(path, meta);
        // One that has no room is none, and neither are the others: the sample has no value.
        if self.fields.admit(bytes.saturating_add(field.len() as u64 + ENTRY_BYTES)) {
            self.files.insert(field, Sibling { path: path.to_path_buf(), bytes, modified });
        }
        true
    }

    fn lose(&mut self, field: &str, cause: &str) {
        self.fields.lose(field, cause);
    }

    /// How the journal remembers them: another label says that they changed. `None` if there are none.
    fn how(&self) -> Option<Arc<str>> {
        let cause = self.spoilt.clone().or_else(|| self.fields.failure());
        if self.files.is_empty() && cause.is_none() && !self.fields.is_too_large() {
            return None;
        }
        let mut hasher = blake3::Hasher::new();
        for (field, Sibling { bytes, modified, .. }) in &self.files {
            hasher.update(&(field.len() as u64).to_le_bytes()).update(field.as_bytes());
            hasher.update(&bytes.to_le_bytes()).update(&modified.to_le_bytes());
        }
        hasher.update(cause.unwrap_or_default().as_bytes());
        let hash = hasher.finalize().to_hex();
        Some(format!("files {}", hash.get(..HOW_DIGITS).unwrap_or_default()).into())
    }

    /// The value that they make, read once; or why there is none.
    pub(super) fn value(&self) -> &Result<Vec<u8>, NoValue> {
        self.value.get_or_init(|| {
            if let Some(cause) = &self.spoilt {
                return Err(("sample-too-large", cause.clone()));
            }
            let mut fields = self.fields.clone();
            for (field, sibling) in &self.files {
                if fields.is_too_large() {
                    break;
                }
                match read(&sibling.path) {
                    // It may have grown since it was looked at.
                    Ok(bytes)
                        if fields.admit((bytes.len() as u64).saturating_sub(sibling.bytes)) =>
                    {
                        fields.insert(field.clone(), bytes);
                    }
                    Ok(_) => {}
                    Err(error) => fields.lose(field, &error.to_string()),
                }
            }
            fields.value()
        })
    }
}

fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    open(path)?.take(MAX_SIBLING_BYTES as u64 + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// What a file of a walk is to the sample of its name.
pub(super) enum Part {
    Image(PathBuf, Origin),
    /// No image; whether it is counted as passed over where it is nobody's sibling.
    Other(bool),
}

/// The samples that a walk is in, one a folder.
pub(super) struct Samples<'s> {
    siblings: &'s Siblings,
    /// With their depths, which rise.
    open: Vec<(usize, Sample)>,
}

/// Takes what is listed; `false` ends the walk.
type Visit<'v> = dyn FnMut(Listed) -> bool + 'v;

impl<'s> Samples<'s> {
    pub(super) fn new(siblings: &'s Siblings) -> Self {
        Self { siblings, open: Vec::new() }
    }

    /// Hands on the samples that end before something of this name and depth; `false` if the walk shall end.
    pub(super) fn pass(&mut self, depth: usize, name: &[u8], visit: &mut Visit<'_>) -> bool {
        while let Some((_, sample)) = self.open.pop_if(|(open, sample)| {
            *open > depth || *open == depth && split(name).is_none_or(|(of, _)| of != sample.name)
        }) {
            if !sample.end(visit) {
                return false;
            }
        }
        true
    }

    /// Takes a file; `false` if the walk shall end.
    pub(super) fn take(
        &mut self,
        (depth, path): (usize, &Path),
        part: Part,
        meta: Option<&Metadata>,
        visit: &mut Visit<'_>,
    ) -> bool {
        let name = path.file_name().unwrap_or_default().as_encoded_bytes();
        let Some((of, ending)) = split(name) else {
            return match part {
                Part::Image(path, origin) => visit(Listed::Image(path, origin, None)),
                Part::Other(counts) => !counts || visit(Listed::Skipped),
            };
        };
        let siblings = self.siblings;
        let sample = self.sample(depth, of);
        match part {
            Part::Image(path, origin) => return sample.add_image(path, origin, visit),
            Part::Other(counts) => {
                let field = field(ending).filter(|field| siblings.takes(field));
                let taken = match (field, meta.filter(|meta| meta.is_file())) {
                    (Some(field), Some(meta)) => sample.beside.add(field, path, meta),
                    _ => false,
                };
                let count = if taken { &mut sample.taken } else { &mut sample.others };
                *count += u64::from(counts);
            }
        }
        true
    }

    /// Learns of a file that cannot be looked at.
    pub(super) fn lose(&mut self, depth: usize, path: &Path, cause: &str) {
        let name = path.file_name().unwrap_or_default().as_encoded_bytes();
        if let Some((of, ending)) = split(name)
            && let Some(field) = field(ending).filter(|field| self.siblings.takes(field))
        {
            self.sample(depth, of).beside.lose(&field, cause);
        }
    }

    /// Hands on what is held; `false` if the walk shall end.
    pub(super) fn end(self, visit: &mut Visit<'_>) -> bool {
        self.open.into_iter().rev().all(|(_, sample)| sample.end(visit))
    }

    /// The open sample of this depth, which is of this name or begins with it.
    fn sample(&mut self, depth: usize, name: &[u8]) -> &mut Sample {
        if self.open.last().is_none_or(|(open, _)| *open != depth) {
            self.open.push((depth, Sample { name: name.to_vec(), ..Sample::default() }));
        }
        let last = self.open.len() - 1;
        &mut self.open[last].1
    }
}

/// Files of one folder and name.
#[derive(Default)]
struct Sample {
    name: Vec<u8>,
    images: Vec<(PathBuf, Origin)>,
    /// Memory that the images take, about.
    held_bytes: u64,
    beside: Beside,
    /// That nothing of it can have a value.
    spoilt: Option<Rc<Beside>>,
    has_images: bool,
    /// Files that are counted as passed over where no image takes them, and those that nobody takes.
    taken: u64,
    others: u64,
}

impl Sample {
    fn add_image(&mut self, path: PathBuf, origin: Origin, visit: &mut Visit<'_>) -> bool {
        self.has_images = true;
        if let Some(beside) = &self.spoilt {
            return visit(image(path, origin, beside));
        }
        self.held_bytes += 2 * path.as_os_str().len() as u64 + ENTRY_BYTES;
        self.images.push((path, origin));
        if self.held_bytes <= SAMPLE_BYTES {
            return true;
        }
        let name = self.name.escape_ascii();
        let cause = format!(
            "the names of the images of the sample {name} take more than {SAMPLE_BYTES} bytes; \
             names that are the same up to the first dot are one sample"
        );
        let beside = Rc::new(Beside { spoilt: Some(cause), ..Beside::default() });
        self.spoilt = Some(Rc::clone(&beside));
        self.images.drain(..).all(|(path, origin)| visit(image(path, origin, &beside)))
    }

    fn end(self, visit: &mut Visit<'_>) -> bool {
        let Self { images, beside, .. } = self;
        let beside = Rc::new(beside);
        let skipped = self.others + if self.has_images { 0 } else { self.taken };
        images.into_iter().all(|(path, origin)| visit(image(path, origin, &beside)))
            && (0..skipped).all(|_| visit(Listed::Skipped))
    }
}

/// An image with its siblings, if it has any.
fn image(path: PathBuf, origin: Origin, beside: &Rc<Beside>) -> Listed {
    let how = beside.how();
    let beside = how.is_some().then(|| Rc::clone(beside));
    Listed::Image(path, Origin { form: Form::Beside(how), ..origin }, beside)
}

/// Names of folders, of those that were asked for last: files that are named one by one may be a million of one folder.
#[derive(Default)]
pub(super) struct Folders {
    /// Names that may be siblings, in order, or why they cannot be listed.
    folders: HashMap<PathBuf, Result<Vec<Vec<u8>>, String>>,
    count: usize,
}

impl Folders {
    /// An image that was named itself, with its siblings; `is_source` tells names that are no siblings.
    pub(super) fn image(
        &mut self,
        (path, origin): (&Path, Origin),
        siblings: &Siblings,
        is_source: &dyn Fn(&Path) -> bool,
    ) -> Listed {
        let own = path.file_name().unwrap_or_default();
        let Some((of, _)) = split(own.as_encoded_bytes()) else {
            return Listed::Image(path.to_path_buf(), origin, None);
        };
        let mut beside = Beside::default();
        match self.names(path.parent().unwrap_or(Path::new("")), is_source) {
            Err(cause) => beside.lose("beside it", cause),
            Ok(names) => {
                let prefix = [of, b"."].concat();
                let start = names.partition_point(|name| *name < prefix);
                let sample = names[start..].iter().take_while(|name| name.starts_with(&prefix));
                for name in sample.filter(|name| own.as_encoded_bytes() != name.as_slice()) {
                    let Some(field) = field(&name[prefix.len()..]) else { continue };
                    let Some(name) = super::reread::path_of(name) else { continue };
                    let path = path.with_file_name(name);
                    match path.metadata() {
                        _ if !siblings.takes(&field) => {}
                        Ok(meta) if meta.is_file() => {
                            beside.add(field, &path, &meta);
                        }
                        Ok(_) => {}
                        Err(error) => beside.lose(&field, &error.to_string()),
                    }
                }
            }
        }
        image(path.to_path_buf(), origin, &Rc::new(beside))
    }

    fn names(
        &mut self,
        folder: &Path,
        is_source: &dyn Fn(&Path) -> bool,
    ) -> Result<&[Vec<u8>], &str> {
        if !self.folders.contains_key(folder) {
            let listed = list(folder, is_source);
            let count = listed.as_ref().map_or(0, Vec::len);
            if self.count + count > MOST_NAMES {
                self.folders.clear();
                self.count = 0;
            }
            self.count += count;
            self.folders.insert(folder.to_path_buf(), listed);
        }
        match self.folders.get(folder) {
            Some(Ok(names)) => Ok(names),
            Some(Err(cause)) => Err(cause),
            None => Ok(&[]),
        }
    }
}

/// Names of a folder that may be those of siblings, in order.
fn list(folder: &Path, is_source: &dyn Fn(&Path) -> bool) -> Result<Vec<Vec<u8>>, String> {
    let walked = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    let mut names = Vec::new();
    for entry in WalkDir::new(walked).min_depth(1).max_depth(1) {
        let entry = entry.map_err(|error| format!("the folder cannot be listed: {error}"))?;
        let name = entry.file_name();
        if split(name.as_encoded_bytes()).is_some() && !is_source(Path::new(name)) {
            names.push(name.as_encoded_bytes().to_vec());
        }
    }
    names.sort_unstable();
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Names with a date in them are one sample up to the first dot: what waits for its end must not grow with it.
    #[test]
    fn images_of_an_endless_sample_are_handed_on_and_have_no_value() {
        let siblings = Siblings::all();
        let mut samples = Samples::new(&siblings);
        let (mut listed, mut first, mut number) = (0_u64, 0, 0_u64);
        let mut visit = |found: Listed| {
            let Listed::Image(_, origin, Some(beside)) = found else { return false };
            assert_eq!(beside.value().as_ref().unwrap_err().0, "sample-too-large");
            assert!(matches!(origin.form, Form::Beside(Some(_))));
            listed += 1;
            true
        };
        while first == 0 || number < first + 5 {
            let path = PathBuf::from(format!("x/2024.{number}.png"));
            let origin = Origin { key: Vec::new(), bytes: 1, modified: 1, form: Form::File };
            let name = path.file_name().unwrap().as_encoded_bytes().to_vec();
            assert!(samples.pass(1, &name, &mut visit));
            assert!(samples.take((1, &path), Part::Image(path.clone(), origin), None, &mut visit));
            number += 1;
            assert!(number < 1_000_000, "nothing is handed on");
            if first == 0 && samples.open[0].1.images.is_empty() {
                first = number;
            }
        }
        assert!(samples.end(&mut visit));
        assert!(listed == number && first > 100_000, "{listed} of {number}, {first}");
    }
}
