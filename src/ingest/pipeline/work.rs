//! The decode workers: from bytes to a picture with its value, or to the cause of a reject.

use std::sync::atomic::Ordering;

use crossbeam::channel::{Receiver, Sender};

use super::{Became, Outcome, Shared, Task};
use crate::ingest::deadline::Deadline;
use crate::ingest::decode::DecodeError;
use crate::ingest::header::Header;
use crate::ingest::journal::{self, Mark};
use crate::ingest::look::{self, Look};
use crate::ingest::report::{Reject, Stage};
use crate::ingest::source::{self, Content, Label};

impl Shared<'_> {
    /// A decode worker.
    pub(super) fn decode<'s>(&'s self, tasks: &Receiver<Task<'s>>, outcomes: &Sender<Outcome<'s>>) {
        for Task { number, label, content, mut mark, place } in tasks {
            if self.halted() {
                // What comes behind this one is not handed on either, so the result is a prefix. The rest is
                // taken from the queue all the same: it holds room that the source may be waiting for.
                self.dropped.store(true, Ordering::Relaxed);
                continue;
            }
            let mut known = None;
            let (bytes, permit) = match content {
                Content::Bytes(bytes, permit) => (Ok(bytes), Some(permit)),
                Content::File(path, before) => {
                    let bytes = source::read_file(&path);
                    known = before;
                    (bytes, None)
                }
            };
            let hashed = bytes.as_ref().ok().filter(|_| permit.is_none() || self.witness.hashes());
            let hash = hashed.map(|bytes| look::content_hash(bytes));
            if permit.is_none() {
                mark.hash = hash.as_ref().map(journal::first_half);
            }
            if let (Ok(bytes), None) = (&bytes, &permit) {
                self.bytes.fetch_add(bytes.len() as u64, Ordering::Relaxed);
            }
            let result = match bytes {
                _ if known.is_some() && known == mark.hash => {
                    self.done_before.fetch_add(1, Ordering::Relaxed);
                    Became::Nothing
                }
                Ok(bytes) => match self.decode_one(label, &mark, &bytes, hash) {
                    Some(became) => became,
                    None => return,
                },
                Err(reject) => Became::Reject(reject),
            };
            drop(permit);
            self.decoded.fetch_add(1, Ordering::Relaxed);
            let outcome = Outcome { number, result, mark: Some(mark), _place: place };
            if outcomes.send(outcome).is_err() {
                return;
            }
        }
    }

    /// Makes a picture with its value of an image; `None` if the run stopped meanwhile.
    fn decode_one(
        &self,
        mut label: Label,
        mark: &Mark,
        bytes: &[u8],
        hash: Option<[u8; 32]>,
    ) -> Option<Became> {
        let mut look = match self.look(bytes) {
            Ok(look) => look?,
            Err(error) => return Some(Became::Reject(decode_reject(label.key, &error))),
        };
        Some(match self.witness.value(&mut label, mark, (bytes, hash), &mut look) {
            Ok(()) => Became::Picture(label, look.pixels),
            Err((kind, cause)) => {
                Became::Reject(Reject { key: label.key, stage: Stage::Source, kind, cause })
            }
        })
    }

    /// Decodes when there is memory for it; `None` if the run stopped meanwhile.
    fn look(&self, bytes: &[u8]) -> Result<Option<Look>, DecodeError> {
        let deadline = Deadline::new(self.options.item_timeout, self.options.clock);
        let header = Header::read(bytes, &deadline)?;
        let side = self.witness.side();
        let memory = header.working_bytes() + Look::thumbnail_bytes(side, header.rows());
        let entered = deadline.pause(|| self.memory.enter(memory));
        let Some(_permit) = entered else {
            return Ok(None);
        };
        Look::take(header, side).map(Some)
    }
}

fn decode_reject(key: Vec<u8>, error: &DecodeError) -> Reject {
    Reject { key, stage: Stage::Decode, kind: error.kind(), cause: error.to_string() }
}
