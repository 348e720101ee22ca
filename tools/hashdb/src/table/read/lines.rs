//! A file of keys, one a line, in the order of the rows.

use std::fs::File;
use std::io::{BufRead as _, BufReader, Read as _, Seek as _};
use std::path::{Path, PathBuf};

use anyhow::{Result, anyhow, bail};
use hashdb::MAX_KEY_BYTES;

/// The keys, read once to check them and once more to use them: they need no memory.
#[derive(Debug)]
pub(super) struct Lines {
    path: PathBuf,
    reader: BufReader<File>,
    /// The line that is read next, from 0.
    line: usize,
}

impl Lines {
    /// Opens a file that must hold `rows` lines, each a key from line `from` on, which is read first.
    #[expect(clippy::disallowed_methods, reason = "the error names the path")]
    pub(super) fn open(path: &Path, rows: usize, from: usize) -> Result<Self> {
        let file = File::open(path);
        let file = file.map_err(|error| anyhow!("cannot read {}: {error}", path.display()))?;
        let reader = BufReader::with_capacity(1 << 16, file);
        let mut keys = Self { path: path.to_path_buf(), reader, line: 0 };
        let mut key = Vec::new();
        keys.pass_over(from)?;
        while keys.next(&mut key)? {}
        if keys.line != rows {
            bail!("{} holds {} keys, expected {rows}, one a row", path.display(), keys.line);
        }
        keys.rewind()?;
        keys.pass_over(from)?;
        Ok(keys)
    }

    /// Passes over the lines before line `to`, whatever they hold, and stops at the end.
    fn pass_over(&mut self, to: usize) -> Result<()> {
        while self.line < to {
            let passed = self.reader.skip_until(b'\n');
            let path = self.path.display();
            if passed.map_err(|error| anyhow!("cannot read {path}: {error}"))? == 0 {
                return Ok(());
            }
            self.line += 1;
        }
        Ok(())
    }

    /// Reads the next key into `key`, its line's bytes without the line feed; says whether there
    /// was one.
    fn next(&mut self, key: &mut Vec<u8>) -> Result<bool> {
        key.clear();
        let mut line = self.reader.by_ref().take(MAX_KEY_BYTES as u64 + 1);
        let read = line.read_until(b'\n', key);
        let read = read.map_err(|error| anyhow!("cannot read {}: {error}", self.path.display()))?;
        if read == 0 {
            return Ok(false);
        }
        self.line += 1;
        key.pop_if(|last| *last == b'\n');
        if key.last() == Some(&b'\r') {
            return Err(self.wrong(
                "ends with a carriage return; end the lines with a line feed alone, or give an array of keys",
            ));
        }
        match key.len() {
            1..=MAX_KEY_BYTES => Ok(true),
            0 => Err(self.wrong("is empty")),
            _ => Err(self.wrong(&format!("has more than {MAX_KEY_BYTES} bytes"))),
        }
    }

    /// Reads the next key, which was there when the file was opened.
    pub(super) fn expect(&mut self, key: &mut Vec<u8>) -> Result<()> {
        if !self.next(key)? {
            bail!("{} was cut short at line {}", self.path.display(), self.line + 1);
        }
        Ok(())
    }

    fn rewind(&mut self) -> Result<()> {
        self.line = 0;
        let rewound = self.reader.rewind();
        rewound.map_err(|error| anyhow!("cannot read {} twice: {error}", self.path.display()))
    }

    fn wrong(&self, what: &str) -> anyhow::Error {
        anyhow!("{}, line {}: the key {what}", self.path.display(), self.line)
    }
}
