//! A disk that has run full, for real: a small file system in memory, which takes root to mount.

use std::io::Write as _;
use std::path::Path;
use std::process::Command;

use hashdb::{Address, Code, Database, Readable as _};

use crate::{key, small};

/// Unmounts when dropped.
struct Disk<'a>(&'a Path);

impl<'a> Disk<'a> {
    fn mount(path: &'a Path, size: &str) -> Option<Self> {
        let size = format!("size={size}");
        let arguments = ["-t", "tmpfs", "-o", &size, "tmpfs"];
        let mounted = Command::new("mount").args(arguments).arg(path).output();
        mounted.is_ok_and(|output| output.status.success()).then_some(Self(path))
    }
}

impl Drop for Disk<'_> {
    fn drop(&mut self) {
        let unmounted = Command::new("umount").arg(self.0).status();
        assert!(
            unmounted.is_ok_and(|status| status.success()),
            "{} stays mounted",
            self.0.display()
        );
    }
}

fn free_bytes(path: &Path) -> u64 {
    let output = Command::new("df").args(["--output=avail", "-B1"]).arg(path).output().unwrap();
    String::from_utf8(output.stdout).unwrap().lines().last().unwrap().trim().parse().unwrap()
}

#[test]
fn a_full_disk_is_readable_and_the_reserve_makes_it_writable() {
    let folder = tempfile::tempdir().unwrap();
    let Some(disk) = Disk::mount(folder.path(), "64m") else {
        eprintln!("SKIPPED a_full_disk_is_readable_...: cannot mount a tmpfs (needs root)");
        return;
    };
    let path = disk.0.join("db");
    let options = || small().ballast_bytes(4 << 20);
    let (address, code) = (Address::new(7, 8).unwrap(), Code::from_bytes(&[7; 8]).unwrap());
    let db = Database::create(&path, options()).unwrap();
    let put = |number: u64| {
        // Values that do not compress to nothing, so that the disk fills.
        let mut random = crate::Random(number);
        let value: Vec<u8> = (0..3000).map(|_| random.next().to_le_bytes()[0]).collect();
        db.put(&key(number), address, code.clone(), &value)
    };
    let mut acknowledged = 0;
    while acknowledged < 1500 {
        put(acknowledged).unwrap();
        acknowledged += 1;
    }
    db.compact().unwrap();
    assert_eq!(db.stats().ballast_bytes, 4 << 20, "the reserve is there");
    // Somebody else takes all but a megabyte; recovery has to write what the log holds.
    let mut filler = std::fs::File::create(disk.0.join("filler")).unwrap();
    let free = free_bytes(disk.0);
    for _ in 0..(free - (1 << 20)) / 4096 {
        filler.write_all(&[1; 4096]).unwrap();
    }
    let failure = loop {
        match put(acknowledged) {
            Ok(()) => acknowledged += 1,
            Err(error) => break error,
        }
    };
    assert!(failure.is_disk_full(), "{failure}");
    drop(db);
    // Whatever closing gave back is taken, too.
    while filler.write_all(&[1; 4096]).is_ok() {}
    let error = Database::open(&path, options()).unwrap_err();
    assert!(error.is_disk_full(), "{error}");
    let reader = Database::open_read_only(&path, options()).unwrap();
    assert!(reader.len() >= acknowledged, "{} of {acknowledged}", reader.len());
    drop(reader);
    let report = Database::recover_space(&path, options()).unwrap();
    assert_eq!(report.released, 4 << 20);
    let db = Database::open(&path, options()).unwrap();
    assert!(db.len() >= acknowledged && db.verify().unwrap().is_clean());
    db.put(b"one more", address, code, b"").unwrap();
}
