//! Tests that need the inside of the engine: every n-th file operation of ours fails.

mod backup;
mod faults;
mod loads;
mod merges;
mod repair;
mod seals;
mod space;
mod upgrade;
