//! Lists of paths: a file or standard input, with one path a line or NUL between them.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read as _};
use std::path::{Path, PathBuf};

use anyhow::{Result, anyhow, bail};

/// The name of standard input.
const STDIN: &str = "-";
/// The most bytes of one path: what is longer is no list.
const MAX_PATH_BYTES: u64 = 64 << 10;

/// The list that an argument `@FILE` names: none if something has the name `@FILE`, as folders of some systems do that
/// a shell's `*` stands for.
pub(crate) fn named(argument: &Path) -> Option<PathBuf> {
    let list = argument.as_os_str().as_encoded_bytes().strip_prefix(b"@")?;
    let is_there = argument.symlink_metadata().is_ok();
    path_of(list).filter(|_| !is_there && !list.is_empty())
}

/// Appends the paths of a list.
#[expect(clippy::disallowed_methods, reason = "the error names the path")]
pub(crate) fn read(list: &Path, nul: bool, paths: &mut Vec<PathBuf>) -> Result<()> {
    if list.as_os_str() == STDIN {
        return read_from(&mut io::stdin().lock(), "standard input", nul, paths);
    }
    let name = list.display().to_string();
    let file = File::open(list).map_err(|error| anyhow!("cannot read {name}: {error}"))?;
    read_from(&mut BufReader::new(file), &name, nul, paths)
}

fn read_from(
    input: &mut dyn BufRead,
    name: &str,
    nul: bool,
    paths: &mut Vec<PathBuf>,
) -> Result<()> {
    let (end, item) = if nul { (b'\0', "path") } else { (b'\n', "line") };
    let mut line = Vec::new();
    for number in 1_u64.. {
        line.clear();
        let read = input.take(MAX_PATH_BYTES).read_until(end, &mut line);
        let read = read.map_err(|error| anyhow!("cannot read {name}, {item} {number}: {error}"))?;
        if read == 0 {
            break;
        }
        if line.last() == Some(&end) {
            line.pop();
        } else if read as u64 == MAX_PATH_BYTES {
            bail!("{name}, {item} {number}: more than {MAX_PATH_BYTES} bytes, expected a path");
        }
        if !nul {
            if line.contains(&b'\0') {
                bail!("{name}, line {number}: a NUL byte; -0 reads lists with NUL between paths");
            }
            // Lists of other systems end their lines with two characters and begin with a mark.
            if line.last() == Some(&b'\r') {
                line.pop();
            }
            if number == 1 && line.starts_with(b"\xef\xbb\xbf") {
                line.drain(..3);
            }
        }
        if !line.is_empty() {
            let path = path_of(&line);
            paths.push(path.ok_or_else(|| anyhow!("{name}, {item} {number}: not UTF-8"))?);
        }
    }
    Ok(())
}

#[cfg(unix)]
#[expect(clippy::unnecessary_wraps, reason = "elsewhere not all bytes are paths")]
fn path_of(bytes: &[u8]) -> Option<PathBuf> {
    use std::os::unix::ffi::OsStrExt as _;
    Some(PathBuf::from(std::ffi::OsStr::from_bytes(bytes)))
}

#[cfg(not(unix))]
fn path_of(bytes: &[u8]) -> Option<PathBuf> {
    std::str::from_utf8(bytes).ok().map(PathBuf::from)
}
