//! Files and `.npy` arrays written front to back, through a temporary name: a file that is there is
//! whole.

use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

/// A file that gets its name when it is whole.
#[derive(Debug)]
pub(crate) struct Draft {
    writer: BufWriter<File>,
    draft: PathBuf,
    path: PathBuf,
}

impl Draft {
    /// Begins a file.
    #[expect(clippy::disallowed_methods, reason = "the error names the path")]
    pub(crate) fn create(path: &Path) -> Result<Self> {
        let mut draft = path.as_os_str().to_owned();
        draft.push(".tmp");
        let draft = PathBuf::from(draft);
        let file =
            File::create(&draft).with_context(|| format!("cannot create {}", path.display()))?;
        Ok(Self { writer: BufWriter::with_capacity(1 << 20, file), draft, path: path.into() })
    }

    /// Begins an array in C order; `descr` and `shape` as numpy writes them.
    pub(crate) fn array(path: &Path, descr: &str, shape: &str) -> Result<Self> {
        let text = format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}");
        let length = (10 + text.len() + 1).next_multiple_of(64) - 10;
        let mut header = format!("{text:<width$}\n", width = length - 1).into_bytes();
        let length = u16::try_from(header.len()).context("the header is too long")?;
        let mut bytes = [b"\x93NUMPY\x01\x00", &length.to_le_bytes()[..]].concat();
        bytes.append(&mut header);
        let mut array = Self::create(path)?;
        array.write(&bytes)?;
        Ok(array)
    }

    /// Appends bytes.
    pub(crate) fn write(&mut self, bytes: &[u8]) -> Result<()> {
        let written = self.writer.write_all(bytes);
        written.with_context(|| format!("cannot write {}", self.path.display()))
    }

    /// Gives the file its name.
    #[expect(clippy::disallowed_methods, reason = "the error names the path")]
    pub(crate) fn finish(mut self) -> Result<()> {
        let named = self.writer.flush().and_then(|()| fs::rename(&self.draft, &self.path));
        named.with_context(|| format!("cannot write {}", self.path.display()))
    }
}

impl Write for Draft {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.writer.write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.writer.flush()
    }
}
