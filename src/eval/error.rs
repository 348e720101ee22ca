//! What stops an evaluation.

use crate::error::Corruption;
use crate::linear::LinearError;

/// An evaluation cannot be made. Nothing was changed by it.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum EvalError {
    /// Pictures whose label is not known. Name them as the rule wants it, or complete the table.
    #[error("{missing} of {all} pictures have no label, the first is {first}; {rule}")]
    Unlabelled {
        /// How many have none.
        missing: usize,
        /// How many were looked at.
        all: usize,
        /// The key of the first one.
        first: String,
        /// Where labels were looked for, as a sentence.
        rule: &'static str,
    },
    /// A table names keys that belong to no picture. It is that of other pictures.
    #[error(
        "{unknown} of {all} keys in the table of labels belong to no picture, the first is {first}"
    )]
    UnknownKeys {
        /// How many belong to none.
        unknown: usize,
        /// How many the table has.
        all: usize,
        /// The least of them.
        first: String,
    },
    /// A table gives one key two labels.
    #[error("the table of labels has {key} twice, as {first} and as {second}")]
    LabelTwice {
        /// The key.
        key: String,
        /// The label that came first.
        first: String,
        /// The other label.
        second: String,
    },
    /// More different labels than can be told apart.
    #[error("there are more than {most} different labels", most = u16::MAX)]
    TooManyLabels,
    /// A method cannot give codes of this width.
    #[error("a code of {bits} bits cannot be made from {most} numbers a picture")]
    Bits {
        /// The bits that were asked for.
        bits: usize,
        /// The most that can be.
        most: usize,
    },
    /// Too few pictures to learn from.
    #[error("{found} pictures are too few to learn from, at least {least} are needed")]
    TooFew {
        /// How many there are.
        found: usize,
        /// How many are needed.
        least: usize,
    },
    /// Patch addresses of another width than was said.
    #[error("the addresses of patches cannot be ranked: {cause}")]
    Patches {
        /// What is wrong with them.
        cause: Corruption,
    },
    /// A product of matrices failed, for example for lack of memory.
    #[error("a product of matrices failed: {cause}")]
    Compute {
        /// What was said about it.
        cause: String,
    },
    /// A decomposition of a matrix did not come to an end.
    #[error("the {decomposition} did not converge")]
    Unsolved {
        /// Which one.
        decomposition: &'static str,
    },
}

impl From<LinearError> for EvalError {
    fn from(error: LinearError) -> Self {
        match error {
            LinearError::Compute { cause } => Self::Compute { cause },
            LinearError::Unsolved { decomposition } => Self::Unsolved { decomposition },
        }
    }
}
