//! Entries of a shard, whatever its format: which are images, which are asked for, and which belong together.
//!
//! A reader of a format hands over one [`Entry`] after the other. Without siblings each image is emitted at
//! once. With them the images of a sample wait for its end, in at most 64 MiB, and go out with one value; only
//! the last of them is marked as passed, so a run that ends among them reads the whole sample again.

use std::collections::HashSet;
use std::io;
use std::sync::Arc;

use super::decode::MAX_INPUT_BYTES;
use super::journal::{Mark, Origin, Plan};
use super::report::{Reject, Stage};
use super::siblings::{self, Fields, Siblings};
use super::source::{
    Content, Found, Label, Walk, checked_key, looks_like_an_image, not_regular, too_large,
};

/// Memory that an entry takes beside its bytes and its name, about.
pub(super) const ENTRY_BYTES: u64 = 256;

/// Memory that the images of one sample may take: any single one fits.
pub(super) const SAMPLE_BYTES: u64 = MAX_INPUT_BYTES + (2 << 20);

/// What kind of entry it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// One without content, of interest to nobody.
    Folder,
    File,
    /// A link, a device, a pipe.
    Other,
}

/// An entry as its header tells it.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) name: Vec<u8>,
    pub(super) kind: Kind,
    pub(super) size: u64,
}

/// Why the content of an entry could not be read.
#[derive(Debug)]
pub(super) enum Unread {
    /// The entry is of no use: the label of the cause and the cause.
    Entry(&'static str, String),
    /// Nothing more of the shard can be read.
    Shard(io::Error),
}

impl From<io::Error> for Unread {
    fn from(error: io::Error) -> Self {
        Self::Shard(error)
    }
}

/// What is behind damage cannot be read.
pub(super) fn damaged(key: Vec<u8>, cause: &io::Error) -> Reject {
    let cause = format!("the rest of the archive is lost: {cause}");
    Reject { key, stage: Stage::Source, kind: "damaged-archive", cause }
}

/// Reads the content of an entry, of as many bytes as were said.
pub(super) type Read<'r> = dyn FnMut() -> Result<Vec<u8>, Unread> + 'r;

/// A shard that is being read.
pub(super) struct Shard<'s> {
    origin: &'s Arc<Origin>,
    plan: &'s Plan,
    /// Entries so far, of whatever kind.
    passed: u64,
    siblings: Option<&'s Siblings>,
    sample: Option<Sample>,
}

impl<'s> Shard<'s> {
    pub(super) fn new(
        origin: &'s Arc<Origin>,
        plan: &'s Plan,
        siblings: Option<&'s Siblings>,
    ) -> Self {
        Self { origin, plan, passed: 0, siblings, sample: None }
    }

    /// The number of the first entry that is read, from 0.
    pub(super) fn first(&self) -> u64 {
        self.plan.first()
    }

    /// Bytes of the file.
    pub(super) fn bytes(&self) -> u64 {
        self.origin.bytes
    }

    /// Takes one entry; `false` if the walk shall end.
    pub(super) fn take(
        &mut self,
        walk: &mut Walk<'_, '_>,
        entry: &Entry,
        read: &mut Read<'_>,
    ) -> io::Result<bool> {
        self.passed += 1;
        if self.passed <= self.first() || entry.kind == Kind::Folder {
            return Ok(true);
        }
        let split = self.siblings.and_then(|_| siblings::split(&entry.name));
        let Some((name, ending)) = split else {
            // What is marked as passed must not lie among the entries of a sample, which then ends here.
            let is_marked = entry.kind == Kind::Other || looks_like_an_image(&entry.name);
            if is_marked && !self.end_sample(walk) {
                return Ok(false);
            }
            return self.take_alone(walk, entry, read);
        };
        let goes_on = self.sample.as_ref().is_some_and(|sample| sample.continues(name, ending));
        if !goes_on {
            if !self.end_sample(walk) {
                return Ok(false);
            }
            self.sample = Some(Sample::new(name, self.passed - 1));
        }
        self.join_sample(walk, entry, ending, read)
    }

    /// Emits what there is to say at the end of the reading; `false` if the walk shall end, which is also why
    /// it may have failed.
    pub(super) fn close(self, walk: &mut Walk<'_, '_>, read: io::Result<bool>) -> bool {
        match read {
            Ok(true) => self.end(walk),
            Ok(false) => false,
            Err(_) if (walk.stopped)() => false,
            Err(cause) => self.lose(walk, &cause),
        }
    }

    /// Emits what waits, and then the end.
    fn end(mut self, walk: &mut Walk<'_, '_>) -> bool {
        self.end_sample(walk) && (walk.emit)(Found::End(self.mark(self.passed, true)))
    }

    /// Emits the cause why the rest cannot be read. A sample that was not read to its end is part of the rest.
    fn lose(self, walk: &mut Walk<'_, '_>, cause: &io::Error) -> bool {
        let reject = damaged(self.origin.key.clone(), cause);
        (walk.emit)(Found::Reject(reject, Some(self.mark(self.passed, true))))
    }

    fn mark(&self, passed: u64, finished: bool) -> Mark {
        let (passed, finished) = self.plan.reached(passed, finished);
        Mark { origin: Arc::clone(self.origin), passed, finished, hash: None }
    }

    fn key(&self, entry: &Entry) -> Vec<u8> {
        [&self.origin.key, b"/".as_slice(), &entry.name].concat()
    }

    /// The key of an image to be read, or why it is none.
    fn image(&self, entry: &Entry) -> Image {
        let key = self.key(entry);
        if !self.plan.wants(self.passed, &key) {
            return Image::None;
        }
        if entry.kind == Kind::Other {
            return Image::Reject(not_regular(key));
        }
        if !looks_like_an_image(&entry.name) {
            return Image::Other;
        }
        match checked_key(key) {
            Ok(key) if entry.size > MAX_INPUT_BYTES => Image::Reject(too_large(key, entry.size)),
            Ok(key) => Image::Read(key),
            Err(reject) => Image::Reject(reject),
        }
    }

    /// Takes an entry that is in no sample.
    fn take_alone(
        &mut self,
        walk: &mut Walk<'_, '_>,
        entry: &Entry,
        read: &mut Read<'_>,
    ) -> io::Result<bool> {
        let mark = self.mark(self.passed, false);
        let key = match self.image(entry) {
            Image::Read(key) => key,
            Image::Reject(reject) => return Ok((walk.emit)(Found::Reject(reject, Some(mark)))),
            Image::Other => return Ok((walk.emit)(Found::Skipped)),
            Image::None => return Ok(true),
        };
        let Some(permit) = walk.waiting.enter(entry.size) else {
            return Ok(false);
        };
        let found = match read() {
            Ok(bytes) => Found::Image(key.into(), Content::Bytes(bytes, permit), mark),
            Err(Unread::Shard(error)) => return Err(error),
            Err(Unread::Entry(kind, cause)) => {
                drop(permit);
                Found::Reject(Reject { key, stage: Stage::Source, kind, cause }, Some(mark))
            }
        };
        Ok((walk.emit)(found))
    }

    /// Takes an entry of the sample that is open; `false` if the walk shall end.
    fn join_sample(
        &mut self,
        walk: &mut Walk<'_, '_>,
        entry: &Entry,
        ending: &[u8],
        read: &mut Read<'_>,
    ) -> io::Result<bool> {
        let image = self.image(entry);
        let passed = self.passed;
        let (Some(sample), Some(siblings)) = (&mut self.sample, self.siblings) else {
            return Ok(true);
        };
        sample.end = passed;
        sample.count(ending);
        match image {
            Image::None if looks_like_an_image(&entry.name) => sample.has_images = true,
            Image::Read(key) => sample.add_image(key, entry.size, read)?,
            Image::Reject(reject) => sample.hold(Held::Reject(reject)),
            Image::Other | Image::None => {
                let field = siblings::field(ending).filter(|field| siblings.takes(field));
                match field.filter(|_| entry.kind == Kind::File) {
                    Some(field) => sample.add_sibling(field, entry.size, read)?,
                    None => sample.others += 1,
                }
            }
        }
        // Nobody shall wait for the end of what is endless.
        Ok(!sample.is_spoilt() || self.emit_held(walk))
    }

    /// Emits the images of the sample that is open; `false` if the walk shall end.
    fn end_sample(&mut self, walk: &mut Walk<'_, '_>) -> bool {
        let goes_on = self.sample.is_none() || self.emit_held(walk);
        let Some(sample) = self.sample.take() else { return true };
        let siblings = if sample.has_images { 0 } else { sample.siblings };
        goes_on && (0..sample.others + siblings).all(|_| (walk.emit)(Found::Skipped))
    }

    /// Emits what the sample has held back.
    fn emit_held(&mut self, walk: &mut Walk<'_, '_>) -> bool {
        let Some(sample) = &mut self.sample else { return true };
        let held = std::mem::take(&mut sample.held);
        let (start, end) =
            (sample.start, if sample.is_spoilt() { sample.start } else { sample.end });
        let value = sample.value();
        let last = held.len().saturating_sub(1);
        held.into_iter().enumerate().all(|(index, held)| {
            let mark = self.mark(if index == last { end } else { start }, false);
            let found = match (held, &value) {
                (Held::Reject(reject), _) => Found::Reject(reject, Some(mark)),
                (Held::Image(key, _), Err((kind, cause))) => {
                    let cause = cause.clone();
                    Found::Reject(Reject { key, stage: Stage::Source, kind, cause }, Some(mark))
                }
                (Held::Image(key, bytes), Ok(value)) => {
                    let Some(permit) = walk.waiting.enter(bytes.len() as u64) else {
                        return false;
                    };
                    let label = Label { key, value: value.clone() };
                    Found::Image(label, Content::Bytes(bytes, permit), mark)
                }
            };
            (walk.emit)(found)
        })
    }
}

/// What an entry is, seen as an image.
enum Image {
    Read(Vec<u8>),
    Reject(Reject),
    /// Not an image.
    Other,
    /// Nobody asked for it.
    None,
}

/// Entries of one name that have come so far.
struct Sample {
    name: Vec<u8>,
    endings: HashSet<Vec<u8>>,
    held: Vec<Held>,
    held_bytes: u64,
    has_images: bool,
    fields: Fields,
    /// Entries that were taken into the value.
    siblings: u64,
    /// Entries that are neither images nor siblings.
    others: u64,
    /// Entries of the shard before the first and up to the last entry of this sample.
    start: u64,
    end: u64,
}

/// An image that waits for its siblings.
enum Held {
    Image(Vec<u8>, Vec<u8>),
    Reject(Reject),
}

impl Sample {
    fn new(name: &[u8], start: u64) -> Self {
        Self {
            name: name.to_vec(),
            endings: HashSet::new(),
            held: Vec::new(),
            held_bytes: 0,
            has_images: false,
            fields: Fields::default(),
            siblings: 0,
            others: 0,
            start,
            end: start,
        }
    }

    /// Whether an entry belongs to this sample: a name that comes again begins a new one.
    fn continues(&self, name: &[u8], ending: &[u8]) -> bool {
        self.name == name && !self.endings.contains(&ending.to_ascii_lowercase())
    }

    /// Whether it has more than a sample may have: none of its images can have a value any more.
    fn is_spoilt(&self) -> bool {
        self.fields.is_too_large() || self.held_bytes > SAMPLE_BYTES
    }

    /// The value, or why there is none: the label of the cause and the cause.
    fn value(&self) -> Result<Vec<u8>, (&'static str, String)> {
        if self.held_bytes > SAMPLE_BYTES {
            let name = self.name.escape_ascii();
            let cause = format!(
                "the images of the sample {name} have more than {SAMPLE_BYTES} bytes; \
                 names that are the same up to the first dot are one sample"
            );
            return Err(("sample-too-large", cause));
        }
        self.fields.value()
    }

    fn count(&mut self, ending: &[u8]) {
        if self.fields.admit(ending.len() as u64 + ENTRY_BYTES) {
            self.endings.insert(ending.to_ascii_lowercase());
        } else {
            self.endings.clear();
        }
    }

    fn hold(&mut self, held: Held) {
        let (Held::Image(key, _) | Held::Reject(Reject { key, .. })) = &held;
        self.held_bytes += key.len() as u64 + ENTRY_BYTES;
        self.held.push(held);
    }

    fn add_image(&mut self, key: Vec<u8>, size: u64, read: &mut Read<'_>) -> io::Result<()> {
        self.has_images = true;
        // Without its bytes if there is no room for them: it is rejected with the others.
        self.held_bytes += size;
        let fits = !self.is_spoilt();
        let held = match if fits { read() } else { Ok(Vec::new()) } {
            Ok(bytes) => Held::Image(key, bytes),
            Err(Unread::Shard(error)) => return Err(error),
            Err(Unread::Entry(kind, cause)) => {
                Held::Reject(Reject { key, stage: Stage::Source, kind, cause })
            }
        };
        self.hold(held);
        Ok(())
    }

    fn add_sibling(&mut self, field: String, size: u64, read: &mut Read<'_>) -> io::Result<()> {
        self.siblings += 1;
        if !self.fields.admit(size) {
            return Ok(());
        }
        match read() {
            Ok(bytes) => self.fields.insert(field, bytes),
            Err(Unread::Shard(error)) => return Err(error),
            Err(Unread::Entry(_, cause)) => self.fields.lose(&field, &cause),
        }
        Ok(())
    }
}
