//! Real file systems to be cut off: an image on a loop device, and a small one in memory. Whatever is
//! mounted is unmounted when its value goes, also when the program panics or is told to stop.
#![expect(unsafe_code, reason = "the shutdown ioctl has no safe name")]

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use rustix::ioctl::{Setter, ioctl, opcode};

/// Large enough for xfs, which refuses less.
const IMAGE_BYTES: u64 = 320 << 20;

/// Runs a command; what it says becomes the error.
fn run(program: &str, arguments: &[&str]) -> Result<()> {
    let done = Command::new(program).args(arguments).stdin(Stdio::null()).output();
    let done = done.with_context(|| format!("run {program}"))?;
    if !done.status.success() {
        let said = String::from_utf8_lossy(&done.stderr).trim().to_owned();
        bail!("{program} {}: {said}", arguments.join(" "));
    }
    Ok(())
}

/// Why nothing can be mounted here, if nothing can.
pub(crate) fn cannot_mount() -> Option<String> {
    (!rustix::process::geteuid().is_root()).then(|| "needs root to mount".to_owned())
}

/// Whether there is such a command.
pub(crate) fn has(program: &str) -> bool {
    let paths = std::env::var_os("PATH").unwrap_or_default();
    let places = std::env::split_paths(&paths).chain(["/sbin".into(), "/usr/sbin".into()]);
    places.into_iter().any(|folder| folder.join(program).is_file())
}

fn utf8(path: &Path) -> Result<&str> {
    path.to_str().with_context(|| format!("{} is no UTF-8", path.display()))
}

/// A mounted file system.
#[derive(Debug)]
pub(crate) struct Mounted {
    at: PathBuf,
}

impl Mounted {
    /// Mounts an image through a loop device, which goes when it is unmounted.
    pub(crate) fn image(image: &Path, at: &Path) -> Result<Self> {
        run("mount", &["-o", "loop", utf8(image)?, utf8(at)?])?;
        Ok(Self { at: at.to_path_buf() })
    }

    /// Mounts a disk that is served by this program, through a loop device that does not cache.
    pub(crate) fn served(disk: &Path, at: &Path) -> Result<Self> {
        run("mount", &["-o", "loop", utf8(disk)?, utf8(at)?])?;
        Ok(Self { at: at.to_path_buf() })
    }

    /// A file system in memory of so many bytes.
    pub(crate) fn memory(at: &Path, bytes: u64) -> Result<Self> {
        run("mount", &["-t", "tmpfs", "-o", &format!("size={bytes}"), "tmpfs", utf8(at)?])?;
        Ok(Self { at: at.to_path_buf() })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.at
    }

    /// Cuts it off as a loss of power does: what is not on the device never gets there, the journal
    /// is not written out either.
    pub(crate) fn cut_power(&self) -> Result<()> {
        /// `EXT4_IOC_SHUTDOWN` and `XFS_IOC_GOINGDOWN`, which are the same number.
        const SHUTDOWN: rustix::ioctl::Opcode = opcode::read::<u32>(b'X', 125);
        const NO_LOG_FLUSH: u32 = 2;
        let root = File::open(&self.at).context("open the mount point")?;
        // SAFETY: this operation reads one `u32` behind the pointer, which is what a setter gives it.
        unsafe { ioctl(&root, Setter::<SHUTDOWN, u32>::new(NO_LOG_FLUSH)) }
            .context("the shutdown ioctl")
    }

    /// Unmounts it now.
    pub(crate) fn unmount(self) -> Result<()> {
        let mut last = run("umount", &[utf8(&self.at)?]);
        for _ in 0..50 {
            if last.is_ok() {
                // Nothing is left to do when this goes.
                std::mem::forget(self);
                return Ok(());
            }
            // A process that was killed may still be on its way out.
            std::thread::sleep(Duration::from_millis(20));
            last = run("umount", &[utf8(&self.at)?]);
        }
        last
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        // Lazily: whoever still uses it must not keep the loop device.
        let _told_by_the_next_mount = run("umount", &["-l", self.at.to_str().unwrap_or_default()]);
    }
}

/// Makes an image with a file system of a kind, `ext4` or `xfs`.
pub(crate) fn make_image(kind: &str, image: &Path) -> Result<()> {
    make_image_of(kind, image, IMAGE_BYTES)
}

/// The same of so many bytes.
pub(crate) fn make_image_of(kind: &str, image: &Path, bytes: u64) -> Result<()> {
    make_image_with(kind, image, bytes, &[])
}

/// The same, with options of `mkfs`.
pub(crate) fn make_image_with(
    kind: &str,
    image: &Path,
    bytes: u64,
    options: &[&str],
) -> Result<()> {
    let file = File::create(image).context("make an image")?;
    file.set_len(bytes).context("make an image")?;
    let quiet = if kind == "xfs" { "-f" } else { "-F" };
    let arguments = [&["-q", quiet], options, &[utf8(image)?]].concat();
    run(&format!("mkfs.{kind}"), &arguments)
}
