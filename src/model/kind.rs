//! Which kind of encoder a weight file holds, as its description says.

use serde::Deserialize;

use super::ModelError;

/// A kind of encoder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ModelKind {
    /// The networks of Krizhevsky and Hinton.
    Autoencoder,
    /// Features of patches by k-means, turned to bits by iterative quantization.
    KmeansItq,
}

/// What every description has; one without a kind is that of an autoencoder.
#[derive(Deserialize)]
struct Described {
    kind: Option<String>,
}

impl ModelKind {
    /// Every kind.
    pub const ALL: [Self; 2] = [Self::Autoencoder, Self::KmeansItq];

    /// The kind that a description says.
    pub(super) fn of(description: &str) -> Result<Self, ModelError> {
        let described: Described = serde_json::from_str(description)
            .map_err(|error| ModelError::Description { cause: error.to_string() })?;
        let Some(found) = described.kind else { return Ok(Self::Autoencoder) };
        let known = Self::ALL.into_iter().find(|kind| kind.name() == found);
        known.ok_or(ModelError::WeightKind { found, expected: "autoencoder or kmeans-itq" })
    }

    /// Refuses a description of another kind.
    pub(super) fn check(self, description: &str) -> Result<(), ModelError> {
        match Self::of(description)? {
            kind if kind == self => Ok(()),
            other => {
                let (found, expected) = (other.name().to_owned(), self.name());
                Err(ModelError::WeightKind { found, expected })
            }
        }
    }

    /// As weight files and the command name it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Autoencoder => "autoencoder",
            Self::KmeansItq => "kmeans-itq",
        }
    }
}
