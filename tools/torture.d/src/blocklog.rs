//! A disk that keeps a log of all that is written to it: one file in a file system of our own (FUSE), to
//! be used through a loop device. From the log the disk can be made as it was at any moment, less some
//! of the writes that no flush had followed yet: what a loss of power may leave.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, UNIX_EPOCH};

use anyhow::{Context as _, Result};
use fastrand::Rng;
use fuser::{
    BackgroundSession, Config, Errno, FileAttr, FileHandle, FileType, Filesystem, FopenFlags,
    Generation, INodeNo, LockOwner, OpenFlags, ReplyAttr, ReplyData, ReplyEmpty, ReplyEntry,
    ReplyOpen, ReplyWrite, Request, WriteFlags,
};

/// What a disk writes whole or not at all.
const SECTOR: usize = 512;
const FILE: INodeNo = INodeNo(2);
const NAME: &str = "disk";
const TTL: Duration = Duration::from_secs(3600);

/// Something that was asked of the disk.
#[derive(Debug)]
enum Event {
    Write { offset: usize, bytes: Vec<u8> },
    Flush,
}

#[derive(Debug)]
struct Disk {
    content: Vec<u8>,
    log: Vec<Event>,
}

/// The log of a disk that is in use.
#[derive(Debug, Clone)]
pub(crate) struct Log(Arc<Mutex<Disk>>);

impl Log {
    fn disk(&self) -> MutexGuard<'_, Disk> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Events so far.
    pub(crate) fn len(&self) -> usize {
        self.disk().log.len()
    }
}

/// A disk in use.
pub(crate) struct Recorder {
    log: Log,
    file: PathBuf,
    _session: BackgroundSession,
}

impl Recorder {
    /// Serves a disk with this content in the folder `at`.
    pub(crate) fn serve(content: Vec<u8>, at: &Path) -> Result<Self> {
        let log = Log(Arc::new(Mutex::new(Disk { content, log: Vec::new() })));
        let session = fuser::spawn_mount(Server(log.clone()), at, &Config::default());
        let session = session.context("mount a file system of our own")?;
        Ok(Self { log, file: at.join(NAME), _session: session })
    }

    /// The disk, to be put behind a loop device.
    pub(crate) fn file(&self) -> &Path {
        &self.file
    }

    pub(crate) fn log(&self) -> Log {
        self.log.clone()
    }

    /// Ends the service; the log is all that is left.
    pub(crate) fn finish(self) -> Replay {
        let mut disk = self.log.disk();
        let (content, log) = (Vec::new(), std::mem::take(&mut disk.log));
        drop(disk);
        Replay { content, log, done: 0 }
    }
}

/// Makes the disk as it may have been at moments that follow each other.
#[derive(Debug)]
pub(crate) struct Replay {
    /// Of all that was flushed.
    content: Vec<u8>,
    log: Vec<Event>,
    /// Events that the content holds.
    done: usize,
}

impl Replay {
    /// Begins with what was there before the log.
    pub(crate) fn from(&mut self, content: Vec<u8>) {
        self.content = content;
    }

    pub(crate) fn len(&self) -> usize {
        self.log.len()
    }

    /// The moments right before, at and after each flush.
    pub(crate) fn around_flushes(&self) -> Vec<usize> {
        let flushes = self.log.iter().enumerate().filter(|(_, e)| matches!(e, Event::Flush));
        let mut moments: Vec<_> = flushes.flat_map(|(at, _)| [at, at + 1, at + 2]).collect();
        moments.retain(|at| *at <= self.log.len());
        moments.dedup();
        moments
    }

    /// The disk after the first `events` of the log, which must not be fewer than the last time. Of the
    /// writes that no flush follows each is lost with even odds, or torn between two sectors now and
    /// then, if `random` is given; else all are there.
    pub(crate) fn state(&mut self, events: usize, random: Option<&mut Rng>) -> Vec<u8> {
        let events = events.min(self.log.len());
        let flushed = self.log[..events].iter().rposition(|event| matches!(event, Event::Flush));
        let flushed = flushed.map_or(self.done, |at| at + 1).max(self.done);
        for event in &self.log[self.done..flushed] {
            if let Event::Write { offset, bytes } = event {
                self.content[*offset..offset + bytes.len()].copy_from_slice(bytes);
            }
        }
        self.done = flushed;
        let mut state = self.content.clone();
        let mut random = random;
        for event in &self.log[flushed..events.max(flushed)] {
            let Event::Write { offset, bytes } = event else { continue };
            let length = match &mut random {
                None => bytes.len(),
                Some(random) => match random.u8(..8) {
                    0..4 => bytes.len(),
                    4 => random.usize(..=bytes.len() / SECTOR) * SECTOR,
                    _ => 0,
                },
            };
            let length = length.min(bytes.len());
            state[*offset..offset + length].copy_from_slice(&bytes[..length]);
        }
        state
    }
}

struct Server(Log);

impl Server {
    fn attributes(&self, inode: INodeNo) -> FileAttr {
        let is_file = inode == FILE;
        let size = if is_file { self.0.disk().content.len() as u64 } else { 0 };
        let (kind, perm) =
            if is_file { (FileType::RegularFile, 0o600) } else { (FileType::Directory, 0o700) };
        FileAttr {
            ino: inode,
            size,
            blocks: size / 512,
            atime: UNIX_EPOCH,
            mtime: UNIX_EPOCH,
            ctime: UNIX_EPOCH,
            crtime: UNIX_EPOCH,
            kind,
            perm,
            nlink: 1,
            uid: 0,
            gid: 0,
            rdev: 0,
            flags: 0,
            blksize: 4096,
        }
    }
}

impl Filesystem for Server {
    fn lookup(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEntry) {
        if parent == INodeNo::ROOT && name == NAME {
            reply.entry(&TTL, &self.attributes(FILE), Generation(0));
        } else {
            reply.error(Errno::ENOENT);
        }
    }

    fn getattr(&self, _: &Request, inode: INodeNo, _: Option<FileHandle>, reply: ReplyAttr) {
        reply.attr(&TTL, &self.attributes(inode));
    }

    fn open(&self, _: &Request, _: INodeNo, _: OpenFlags, reply: ReplyOpen) {
        // No cache of the kernel's between the loop device and the log.
        reply.opened(FileHandle(0), FopenFlags::FOPEN_DIRECT_IO);
    }

    fn read(
        &self,
        _: &Request,
        _: INodeNo,
        _: FileHandle,
        offset: u64,
        size: u32,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyData,
    ) {
        let disk = self.0.disk();
        let begin = usize::try_from(offset).unwrap_or(usize::MAX).min(disk.content.len());
        let end = begin.saturating_add(size as usize).min(disk.content.len());
        reply.data(&disk.content[begin..end]);
    }

    fn write(
        &self,
        _: &Request,
        _: INodeNo,
        _: FileHandle,
        offset: u64,
        data: &[u8],
        _: WriteFlags,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyWrite,
    ) {
        let mut disk = self.0.disk();
        let offset = usize::try_from(offset).unwrap_or(usize::MAX);
        let Some(room) =
            offset.checked_add(data.len()).and_then(|end| disk.content.get_mut(offset..end))
        else {
            return reply.error(Errno::EFBIG);
        };
        room.copy_from_slice(data);
        disk.log.push(Event::Write { offset, bytes: data.to_vec() });
        drop(disk);
        reply.written(u32::try_from(data.len()).unwrap_or(0));
    }

    fn fsync(&self, _: &Request, _: INodeNo, _: FileHandle, _: bool, reply: ReplyEmpty) {
        self.0.disk().log.push(Event::Flush);
        reply.ok();
    }

    fn flush(&self, _: &Request, _: INodeNo, _: FileHandle, _: LockOwner, reply: ReplyEmpty) {
        // What close does; it is no flush of the disk.
        reply.ok();
    }
}
