//! Takes `fallocate` away from the targets that open databases; the tests do without this file.

use std::ffi::c_int;

unsafe extern "C" {
    fn __errno_location() -> *mut c_int;
}

/// RocksDB asks for the room of a whole log in advance, which in a file system in memory means to
/// fill it with zeros: three quarters of the time of an input. It does without where it is refused,
/// as by file systems that cannot.
#[cfg(target_os = "linux")]
#[unsafe(no_mangle)]
extern "C" fn fallocate(_file: c_int, _mode: c_int, _offset: i64, _length: i64) -> c_int {
    const EOPNOTSUPP: c_int = 95;
    // SAFETY: the place of this thread's error number is always there.
    unsafe { *__errno_location() = EOPNOTSUPP };
    -1
}
