//! Numbers of threads on the command line.

/// More than any machine runs at once, and less than what a system gives no more memory for.
const MOST: usize = 1024;

/// Reads a number of threads, 1 to 1024.
pub(crate) fn parse(text: &str) -> Result<usize, String> {
    let threads = text.parse().ok().filter(|threads| (1..=MOST).contains(threads));
    threads.ok_or_else(|| format!("must be a number from 1 to {MOST}"))
}
