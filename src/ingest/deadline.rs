//! The time that one item may take, and the reader through which decoders feel it.
//!
//! A thread cannot be killed, so a decoder is stopped where it asks for its next bytes: [`Timed`] looks
//! at the clock as it is read from, and once the time is over every further read fails. `decode` then
//! takes whatever the decoder makes of that, an error or half a picture, as too slow.
//!
//! What it cannot stop is work between two reads: a strip, a scan, a block of compressed data that has
//! begun, and what is done in memory alone (transforms of a lossless `WebP`, all of a lossy one, the
//! conversion to RGB, the resize). The limits on pixels and memory bound that work, so an item ends
//! soon after its time and not at it.

use std::cell::Cell;
use std::io::{self, BufRead, Read, Seek, SeekFrom};
use std::time::{Duration, Instant};

/// The most that is handed out at once, in bytes. A thousand times as much may unfold from it.
const WINDOW: usize = 4 << 10;
/// Reads of single bytes between two looks at the clock.
const READS: u32 = 256;
/// What any longer read counts: headers are read so, and each may stand for much work.
const LONGER_READ: u32 = 64;

/// Where the time comes from.
#[derive(Debug, Clone, Copy)]
pub(super) enum Clock {
    /// The clock on the wall.
    System,
    /// Each look finds so much more time gone, so that the bytes alone decide and no machine does.
    #[cfg(test)]
    Steps(Duration),
}

/// The time that one item may take. Its clock begins when it is made.
pub(super) struct Deadline {
    clock: Clock,
    limit: Duration,
    began: Instant,
    paused: Cell<Duration>,
    looks: Cell<u32>,
    passed: Cell<bool>,
}

impl Deadline {
    pub(super) fn new(limit: Duration, clock: Clock) -> Self {
        Self {
            clock,
            limit,
            began: Instant::now(),
            paused: Cell::new(Duration::ZERO),
            looks: Cell::new(0),
            passed: Cell::new(false),
        }
    }

    /// The time that the item has in all.
    pub(super) fn limit(&self) -> Duration {
        self.limit
    }

    /// Whether a read was refused: what the decoder gave, it gave without all of its input.
    pub(super) fn passed(&self) -> bool {
        self.passed.get()
    }

    /// Waits for something else without counting the time.
    pub(super) fn pause<T>(&self, wait: impl FnOnce() -> T) -> T {
        let began = Instant::now();
        let waited = wait();
        self.paused.set(self.paused.get() + began.elapsed());
        waited
    }

    fn elapsed(&self) -> Duration {
        match self.clock {
            Clock::System => self.began.elapsed().saturating_sub(self.paused.get()),
            #[cfg(test)]
            Clock::Steps(step) => step.saturating_mul(self.looks.get()),
        }
    }

    /// Looks at the clock; fails once the time is over, and for ever after.
    fn check(&self) -> io::Result<()> {
        self.looks.set(self.looks.get().saturating_add(1));
        if self.passed.get() || self.elapsed() >= self.limit {
            self.passed.set(true);
            return Err(io::Error::other("the time for this image is over"));
        }
        Ok(())
    }
}

/// The bytes of an item, readable until its time is over.
pub(super) struct Timed<'a> {
    bytes: &'a [u8],
    at: usize,
    /// Reads until the next look at the clock.
    fuel: u32,
    deadline: &'a Deadline,
}

impl<'a> Timed<'a> {
    pub(super) fn new(bytes: &'a [u8], deadline: &'a Deadline) -> Self {
        Self { bytes, at: 0, fuel: 0, deadline }
    }

    #[inline]
    fn spend(&mut self, reads: u32) -> io::Result<()> {
        if self.fuel <= reads || self.deadline.passed() {
            self.deadline.check()?;
            self.fuel = READS;
        } else {
            self.fuel -= reads;
        }
        Ok(())
    }

    fn rest(&self) -> &'a [u8] {
        self.bytes.get(self.at..).unwrap_or_default()
    }
}

impl Read for Timed<'_> {
    #[inline]
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.spend(if buffer.len() > 1 { LONGER_READ } else { 1 })?;
        let rest = self.rest();
        let count = rest.len().min(buffer.len()).min(WINDOW);
        match (&mut buffer[..count], &rest[..count]) {
            ([to], [from]) => *to = *from,
            (to, from) => to.copy_from_slice(from),
        }
        self.at += count;
        Ok(count)
    }
}

impl BufRead for Timed<'_> {
    #[inline]
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        self.spend(1)?;
        let rest = self.rest();
        Ok(&rest[..rest.len().min(WINDOW)])
    }

    #[inline]
    fn consume(&mut self, count: usize) {
        self.at = self.at.saturating_add(count);
        // A whole window is worth a look.
        self.fuel = self.fuel.saturating_sub(u32::try_from(count / 16).unwrap_or(u32::MAX));
    }
}

impl Seek for Timed<'_> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.spend(LONGER_READ)?;
        let length = self.bytes.len() as u64;
        let target = match to {
            SeekFrom::Start(at) => Some(at),
            SeekFrom::End(by) => length.checked_add_signed(by),
            SeekFrom::Current(by) => (self.at as u64).checked_add_signed(by),
        };
        let at = target.and_then(|at| usize::try_from(at).ok());
        self.at = at.ok_or(io::ErrorKind::InvalidInput)?;
        Ok(self.at as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn in_steps(limit: u64) -> Deadline {
        Deadline::new(Duration::from_secs(limit), Clock::Steps(Duration::from_secs(1)))
    }

    #[test]
    fn reads_like_a_cursor_while_there_is_time() {
        let bytes: Vec<u8> = (0..=255).cycle().take(200_000).collect();
        let deadline = in_steps(u64::from(u32::MAX));
        let mut timed = Timed::new(&bytes, &deadline);
        let mut read = Vec::new();
        timed.read_to_end(&mut read).unwrap();
        assert!(read == bytes);
        assert_eq!(timed.seek(SeekFrom::End(-3)).unwrap(), 199_997);
        assert_eq!(timed.fill_buf().unwrap(), &bytes[199_997..]);
        timed.consume(2);
        assert_eq!(timed.stream_position().unwrap(), 199_999);
        assert_eq!(timed.seek(SeekFrom::Start(1 << 40)).unwrap(), 1 << 40);
        assert_eq!(timed.fill_buf().unwrap(), b"");
        assert!(timed.seek(SeekFrom::Current(i64::MIN)).is_err());
        assert!(!deadline.passed());
    }

    #[test]
    fn nothing_is_read_once_the_time_is_over() {
        let bytes = vec![7; 1 << 20];
        let deadline = in_steps(5);
        let mut timed = Timed::new(&bytes, &deadline);
        let read = (&mut timed).bytes().take_while(Result::is_ok).count();
        assert!((1..5 * READS as usize).contains(&read), "{read}");
        assert!(deadline.passed());
        assert!(timed.read(&mut [0; 9]).is_err());
        assert!(timed.fill_buf().is_err());
        assert!(timed.seek(SeekFrom::Start(0)).is_err());
        // Another reader of the same item is refused, too.
        assert!(Timed::new(&bytes, &deadline).fill_buf().is_err());
    }

    #[test]
    fn waiting_does_not_count() {
        let deadline = Deadline::new(Duration::MAX, Clock::System);
        deadline.pause(|| std::thread::sleep(Duration::from_millis(20)));
        assert!(deadline.paused.get() >= Duration::from_millis(20));
        assert!(deadline.elapsed() + deadline.paused.get() <= deadline.began.elapsed());
    }

    #[test]
    fn no_time_at_all_refuses_the_first_byte() {
        let deadline = Deadline::new(Duration::ZERO, Clock::System);
        assert!(Timed::new(b"x", &deadline).fill_buf().is_err());
    }
}
