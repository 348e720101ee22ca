//! The hashdb command.
fn main() {}
