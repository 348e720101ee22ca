//! The training pictures: borrowed bytes, made into inputs one batch at a time. An item is a picture, or one
//! of the 81 patches of a picture.

use candle_core::{Device, Tensor};

use super::components::Components;
use crate::model::network::Layer;
use crate::model::normal::Normalizer;
use crate::model::patches::{PATCH_INPUTS, PATCHES, Retinas};
use crate::model::random::Random;
use crate::model::{ModelError, Pixels};

/// The pictures and how they become inputs.
pub(super) struct Dataset<'a> {
    bytes: &'a [u8],
    /// Patches of a picture in a pass; nothing if the items are pictures.
    places: Option<usize>,
    /// What the networks in training see of a picture; nothing if they see its pixels.
    components: Option<Components>,
    pub(super) normalizer: Normalizer,
    pub(super) device: Device,
}

impl<'a> Dataset<'a> {
    /// Takes [`Pixels::BYTES`] bytes a picture, one picture after the other, of which trainings see so many
    /// principal components, or with 0 all pixels.
    pub(super) fn new(
        bytes: &'a [u8],
        components: usize,
        device: Device,
    ) -> Result<Self, ModelError> {
        check(bytes)?;
        let normalizer = Normalizer::of(bytes);
        let components = match components {
            0 => None,
            count => Some(Components::of(bytes, &normalizer, count, &device)?),
        };
        Ok(Self { bytes, places: None, components, normalizer, device })
    }

    /// The same, cut into patches, of which each pass sees `places` of every picture.
    pub(super) fn of_patches(
        bytes: &'a [u8],
        places: usize,
        device: Device,
    ) -> Result<Self, ModelError> {
        check(bytes)?;
        let normalizer = Normalizer::of_patches(bytes);
        Ok(Self { bytes, places: Some(places), components: None, normalizer, device })
    }

    /// How many pictures there are, at least one.
    pub(super) fn pictures(&self) -> usize {
        self.bytes.len() / Pixels::BYTES
    }

    /// How many items there are.
    pub(super) fn len(&self) -> usize {
        self.pictures() * if self.places.is_some() { PATCHES } else { 1 }
    }

    /// Numbers of an item.
    pub(super) fn inputs(&self) -> usize {
        if self.places.is_some() { PATCH_INPUTS } else { Pixels::BYTES }
    }

    /// Numbers of an item as a network in training sees it.
    pub(super) fn seen(&self) -> usize {
        self.components.as_ref().map_or(self.inputs(), Components::count)
    }

    /// What a network in training sees of these items, shape (items, numbers seen).
    pub(super) fn seen_batch(&self, items: &[usize]) -> candle_core::Result<Tensor> {
        match &self.components {
            Some(components) => components.batch(items, &self.device),
            None => self.batch(items),
        }
    }

    /// The error of a pixel, where a number that is seen has the mean squared error `loss`.
    pub(super) fn pixel_loss(&self, loss: f32) -> f32 {
        let share = self.components.as_ref().map_or(1.0, |components| components.share);
        share * loss + (1.0 - share)
    }

    /// The layers of an encoder for inputs, given those for what is seen of them.
    pub(super) fn take_in(&self, layers: &mut [Layer]) -> candle_core::Result<()> {
        if let (Some(components), Some(first)) = (&self.components, layers.first_mut()) {
            *first = components.taken_in(first)?;
        }
        Ok(())
    }

    /// The items of a pass in random order.
    pub(super) fn pass(&self, random: &mut Random) -> Vec<usize> {
        match self.places {
            Some(places) if places < PATCHES => {
                let mut items = random.order(self.pictures() * places);
                for item in &mut items {
                    *item = *item / places * PATCHES + random.below(PATCHES);
                }
                items
            }
            _ => random.order(self.len()),
        }
    }

    /// A hash of all pictures, by which a checkpoint knows its data.
    pub(super) fn digest(&self) -> String {
        blake3::hash(self.bytes).to_hex().to_string()
    }

    /// The inputs of these items, shape (items, inputs).
    pub(super) fn batch(&self, items: &[usize]) -> candle_core::Result<Tensor> {
        let mut inputs = Vec::with_capacity(items.len() * self.inputs());
        let picture = |number: usize| {
            let start = number * Pixels::BYTES;
            &self.bytes[start..start + Pixels::BYTES]
        };
        let mut quarters = Vec::with_capacity(PATCH_INPUTS);
        for item in items {
            if self.places.is_some() {
                quarters.clear();
                Retinas::new(picture(item / PATCHES)).append(item % PATCHES, &mut quarters);
                self.normalizer.append_quarters(&quarters, &mut inputs);
            } else {
                self.normalizer.append(picture(*item), &mut inputs);
            }
        }
        Tensor::from_vec(inputs, (items.len(), self.inputs()), &self.device)
    }
}

fn check(bytes: &[u8]) -> Result<(), ModelError> {
    if bytes.is_empty() || !bytes.len().is_multiple_of(Pixels::BYTES) {
        let rule = format!("has {} bytes, expected a multiple of 3072 above 0", bytes.len());
        return Err(ModelError::Setting { setting: "the data set", rule });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use candle_core::Device;

    use super::{Dataset, PATCHES, Pixels};
    use crate::model::random::Random;

    #[test]
    fn a_pass_sees_each_picture_as_often_as_it_was_asked_to() {
        let bytes = vec![7; 5 * Pixels::BYTES];
        for (places, pictures) in [(1, 5), (3, 15), (PATCHES, 5 * PATCHES)] {
            let dataset = Dataset::of_patches(&bytes, places, Device::Cpu).unwrap();
            let items = dataset.pass(&mut Random::new(1, 1));
            assert_eq!(items.len(), pictures);
            for picture in 0..5 {
                let of = items.iter().filter(|&&item| item / PATCHES == picture).count();
                assert_eq!(of, places);
            }
            assert_eq!(dataset.batch(&items[..2]).unwrap().dims(), [2, 336]);
        }
    }
}
