//! Tests of the bulk load.
