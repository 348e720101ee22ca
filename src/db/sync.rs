//! The locks that [`published`](super::published) is made of, by names of their own: `tests/swap.rs`
//! compiles that file with others, which try every order of events.

pub(crate) use std::sync::Arc;

pub(crate) use parking_lot::RwLock;
