//! Tests of `kmeans-itq`: its parts against definitions, and the encoder as a user meets it.

mod encoder;
mod parts;
