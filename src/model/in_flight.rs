//! Batches that a device computes while its caller does something else.

#[cfg(feature = "cuda")]
use super::cuda::Pass;
use super::{Encoded, ModelError};

/// A batch on its way through an encoder: what [`Autoencoder::submit`](super::Autoencoder::submit) gives.
///
/// On a GPU the copies and the computation go on meanwhile; on the CPU they are done already. Dropping it
/// gives the results up.
#[derive(Debug)]
#[must_use = "the results are given by `finish`"]
pub struct InFlight {
    pub(super) state: State,
}

/// What there is of a batch.
#[derive(Debug)]
pub(super) enum State {
    /// All of it.
    Done(Vec<Encoded>),
    /// Passes, with the pictures in each, and the bits of a code and an address.
    #[cfg(feature = "cuda")]
    Passes { passes: Vec<(Pass, usize)>, code_bits: usize, address_bits: u8 },
}

impl InFlight {
    /// Whether all results are there.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        matches!(self.state, State::Done(_))
    }

    /// Waits for the results, in the order of the pictures.
    ///
    /// # Errors
    /// [`ModelError::Compute`] if the device failed.
    pub fn finish(self) -> Result<Vec<Encoded>, ModelError> {
        match self.state {
            State::Done(encoded) => Ok(encoded),
            #[cfg(feature = "cuda")]
            State::Passes { passes, code_bits, address_bits } => {
                use super::autoencoder::encoded;
                use super::error::Lift as _;

                let mut all = Vec::new();
                for (pass, count) in passes {
                    let rows = |bits: &[u8]| {
                        let rows = bits.chunks_exact(code_bits + usize::from(address_bits));
                        rows.take(count)
                            .map(|row| {
                                let (code, address) = row.split_at(code_bits);
                                encoded(code, address, address_bits, |bit| *bit != 0)
                            })
                            .collect::<Result<Vec<_>, _>>()
                    };
                    all.extend(pass.finish(rows).lift()??);
                }
                Ok(all)
            }
        }
    }
}
