//! What the allocator has handed out. Resident memory also has what it keeps for later, in as many pieces
//! as chance wants; what a program forgets to free shows here.
#![expect(unsafe_code, reason = "the allocator's figures have no safe name")]

/// Bytes that are allocated now, 0 where the allocator does not tell.
pub(super) fn allocated_bytes() -> f64 {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    {
        // SAFETY: it takes no argument, returns a plain structure, and may be called by any thread.
        let info = unsafe { libc::mallinfo2() };
        (info.uordblks + info.hblkhd) as f64
    }
    #[cfg(not(all(target_os = "linux", target_env = "gnu")))]
    {
        0.0
    }
}
