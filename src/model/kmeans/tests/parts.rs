//! The parts of `kmeans-itq` against plain definitions and cases computed by hand.

#![expect(clippy::cast_possible_truncation, reason = "pixels are made from small numbers")]
#![expect(clippy::cast_sign_loss, reason = "the same")]

use crate::linear::Matrix;
use crate::model::Pixels;
use crate::model::kmeans::centroids::{Whitening, draw, gather};
use crate::model::kmeans::config::KmeansConfig;
use crate::model::kmeans::distort::distorted;
use crate::model::kmeans::features::Filters;
use crate::model::kmeans::patches::{INPUTS, PLACES, SIDE, all, append, mirror, mirrored};
use crate::model::random::Random;

/// Pictures of random bytes, smoothed a little so that neighbours are alike.
pub(super) fn pictures(count: usize, seed: u64) -> Vec<u8> {
    let mut random = Random::new(seed, 9);
    let mut bytes = Vec::with_capacity(count * Pixels::BYTES);
    for _ in 0..count {
        let mut last = [128.0_f32; 3];
        for at in 0..Pixels::BYTES {
            let next = 0.8 * last[at % 3] + 51.2 * random.unit();
            last[at % 3] = next;
            bytes.push(next as u8);
        }
    }
    bytes
}

fn mirror_image(image: &[u8]) -> Vec<u8> {
    let rows = image.chunks_exact(Pixels::SIDE * 3);
    rows.flat_map(|row| row.chunks_exact(3).rev().flatten().copied().collect::<Vec<_>>()).collect()
}

#[test]
fn a_patch_is_the_pixels_of_its_square_at_unit_contrast() {
    let image = pictures(1, 1);
    let (row, column) = (3, 20);
    let mut found = vec![7.0];
    append(&image, row, column, &mut found);
    assert_eq!((found.len(), found[0]), (INPUTS + 1, 7.0));
    let mut plain = Vec::new();
    for y in row..row + SIDE {
        for x in column..column + SIDE {
            plain.extend((0..3).map(|channel| f64::from(image[(y * 32 + x) * 3 + channel])));
        }
    }
    let mean = plain.iter().sum::<f64>() / INPUTS as f64;
    let variance = plain.iter().map(|n| (n - mean).powi(2)).sum::<f64>() / INPUTS as f64;
    for (found, plain) in found[1..].iter().zip(plain) {
        let expected = (plain - mean) / (variance + 10.0).sqrt();
        assert!((f64::from(*found) - expected).abs() < 1e-5);
    }
    assert_eq!(all(&image).len(), PLACES * PLACES * INPUTS);
    let at = (row * PLACES + column) * INPUTS;
    assert_eq!(all(&image)[at..at + INPUTS], found[1..]);
}

#[test]
fn a_flat_patch_stays_flat() {
    let mut found = Vec::new();
    append(&[200; Pixels::BYTES], 26, 26, &mut found);
    assert!(found.iter().all(|&number| number == 0.0));
}

#[test]
fn a_mirrored_patch_is_the_patch_of_the_mirrored_picture() {
    let image = pictures(1, 2);
    let (mut patch, mut other) = (Vec::new(), Vec::new());
    append(&image, 5, 4, &mut patch);
    append(&mirror_image(&image), 5, PLACES - 1 - 4, &mut other);
    // The order of summation differs.
    for (one, other) in mirrored(&patch).zip(&other) {
        assert!((one - other).abs() < 1e-5, "{one} {other}");
    }
    assert!((0..INPUTS).all(|at| mirror(mirror(at)) == at));
    assert_eq!((mirror(0), mirror(1), mirror(17)), (15, 16, 2));
}

#[test]
fn whitened_patches_have_unit_covariance_and_symmetric_statistics() {
    let dataset = pictures(30, 3);
    let patches = draw(&dataset, 4000, &mut Random::new(1, 1));
    let whitening = Whitening::of(&patches, 1e-4).unwrap();
    for at in 0..INPUTS {
        assert_eq!(whitening.mean[at], whitening.mean[mirror(at)]);
        for other in 0..INPUTS {
            let (one, same) = (at * INPUTS + other, mirror(at) * INPUTS + mirror(other));
            let (one, same) = (whitening.matrix.numbers[one], whitening.matrix.numbers[same]);
            assert!((one - same).abs() < 1e-2 * one.abs().max(1.0), "{one} {same}");
        }
    }
    // Patches and their mirror images together; a patch has mean 0, which is one direction without variance.
    let images: Vec<f32> = patches.rows().flat_map(mirrored).collect();
    let both = Matrix::new(INPUTS, [patches.numbers, images].concat());
    let whitened = whitening.apply(&both).unwrap();
    let covariance = whitened.transposed_times(&whitened).unwrap().numbers;
    let trace: f32 = covariance.iter().step_by(INPUTS + 1).sum::<f32>() / both.height() as f32;
    assert!((trace - 107.0).abs() < 1.5, "{trace}");
    let one = covariance[INPUTS + 1] / both.height() as f32;
    let apart = covariance[1] / both.height() as f32;
    assert!((one - 1.0).abs() < 0.05 && apart.abs() < 0.05, "{one} {apart}");
}

/// Two clouds, one of which is the mirror image of the other, and a third that is its own mirror image: two
/// centroids are enough, since one stands for both.
#[test]
fn a_centroid_gathers_mirror_images_as_if_they_were_not() {
    let mut random = Random::new(4, 0);
    let seen = random.normals(INPUTS, 3.0);
    let flat = vec![9.0_f32; INPUTS];
    let mut rows = Vec::new();
    for at in 0..300 {
        let noise = random.normals(INPUTS, 0.1);
        let kind: Vec<f32> = match at % 3 {
            0 => seen.clone(),
            1 => mirrored(&seen).collect(),
            _ => flat.clone(),
        };
        rows.extend(kind.iter().zip(noise).map(|(kind, noise)| kind + noise));
    }
    let patches = Matrix::new(INPUTS, rows);
    let mut rounds = Vec::new();
    let mut report = |round| {
        rounds.push(round);
        Ok(())
    };
    // A start may fall into one cloud alone; some seed begins in both.
    let (found, error) = (0..20)
        .map(|seed| gather(&patches, 2, 6, &mut Random::new(seed, 0), &mut report).unwrap())
        .min_by(|one, other| one.1.total_cmp(&other.1))
        .unwrap();
    assert!((error - 0.01 * INPUTS as f32).abs() < 0.1, "{error}");
    let near = |row: &[f32], to: &[f32]| row.iter().zip(to).all(|(a, b)| (a - b).abs() < 0.1);
    let image: Vec<f32> = mirrored(&seen).collect();
    assert!(found.rows().any(|row| near(row, &seen) || near(row, &image)));
    assert!(found.rows().any(|row| near(row, &flat)));
    assert_eq!(rounds[..6], [1, 2, 3, 4, 5, 6]);
}

/// By hand: a patch (1, 0, 0, ...), a centroid (2, 0, 0, ...), a whitening that doubles: the share of the centroid's
/// direction in the whitened patch is 2, and what is above the threshold of a half is 1.5.
#[test]
fn a_filter_is_the_direction_of_a_centroid_behind_the_whitening() {
    let mut unit = vec![0.0; INPUTS];
    unit[0] = 2.0;
    let mut matrix = vec![0.0; INPUTS * INPUTS];
    matrix.iter_mut().step_by(INPUTS + 1).for_each(|number| *number = 2.0);
    let mut mean = vec![0.0; INPUTS];
    mean[0] = 0.25;
    let whitening = Whitening { mean, matrix: Matrix::new(INPUTS, matrix) };
    let centroids = Matrix::new(INPUTS, unit);
    let filters = whitening.filters(&centroids, &KmeansConfig::default()).unwrap();
    assert_eq!((filters.weights[0], filters.weights[1]), (2.0, 0.0));
    // 2 x 0.25 of the mean, and a half.
    assert_eq!(filters.thresholds, [1.0]);
    // Nothing gathers around a centroid of zeros, and it does no harm.
    let zeros = Matrix::new(INPUTS, vec![0.0; INPUTS]);
    let filters = whitening.filters(&zeros, &KmeansConfig::default()).unwrap();
    assert!(filters.weights.iter().all(|&number| number == 0.0));
}

fn filters(count: usize, grid: usize) -> Filters {
    let mut random = Random::new(6, 0);
    Filters::new(random.normals(count * INPUTS, 0.1), random.units(count), grid)
}

/// Features by their definition: for each cell the mean of what is above the threshold, over the filter in the
/// cell and its mirror image in the mirrored cell.
#[test]
fn features_are_those_of_the_definition() {
    let image = pictures(1, 7);
    for grid in [1, 2, 3] {
        let filters = filters(5, grid);
        let found = filters.of(&[&image]).unwrap();
        assert_eq!(found.len(), filters.width());
        let mut sums = vec![(0.0_f64, 0.0_f64); filters.width()];
        for image in [image.clone(), mirror_image(&image)] {
            for row in 0..PLACES {
                for column in 0..PLACES {
                    let mut patch = Vec::new();
                    append(&image, row, column, &mut patch);
                    let cell = row * grid / PLACES * grid + column * grid / PLACES;
                    for (number, filter) in filters.weights.chunks(INPUTS).enumerate() {
                        let pairs = filter.iter().zip(&patch);
                        let answer: f64 = pairs.map(|(a, b)| f64::from(*a) * f64::from(*b)).sum();
                        let above = (answer - f64::from(filters.thresholds[number])).max(0.0);
                        let sum = &mut sums[cell * 5 + number];
                        *sum = (sum.0 + above, sum.1 + 1.0);
                    }
                }
            }
        }
        for (found, (sum, count)) in found.iter().zip(sums) {
            let expected = (sum / count).sqrt();
            assert!((f64::from(*found) - expected).abs() < 1e-3, "{found} {expected}");
        }
    }
}

#[test]
fn a_picture_and_its_mirror_image_have_equal_features() {
    let image = pictures(1, 8);
    let filters = filters(9, 2);
    let both = [filters.of(&[&image]).unwrap(), filters.of(&[&mirror_image(&image)]).unwrap()];
    for (one, other) in both[0].iter().zip(&both[1]) {
        assert!((one - other).abs() < 1e-3 * one.max(0.1), "{one} {other}");
    }
    assert!(both[0].iter().any(|&number| number > 0.0));
}

#[test]
fn features_do_not_depend_on_the_pictures_beside() {
    let dataset = pictures(7, 9);
    let filters = filters(6, 2);
    let images: Vec<&[u8]> = dataset.chunks_exact(Pixels::BYTES).collect();
    let together = filters.of(&images).unwrap();
    let alone: Vec<f32> = images.iter().flat_map(|image| filters.of(&[image]).unwrap()).collect();
    assert_eq!(together, alone);
    assert!(filters.of(&[]).unwrap().is_empty());
}

#[test]
fn distorted_copies_differ_and_stay_alike() {
    let image: Vec<u8> = (0..Pixels::BYTES).map(|at| (at / 96 * 4 + at % 3 * 30) as u8).collect();
    let mut random = Random::new(1, 0);
    let copies: Vec<_> = (0..20).map(|_| distorted(&image, &mut random)).collect();
    assert!(copies.iter().all(|copy| copy.len() == Pixels::BYTES && *copy != image));
    assert_ne!(copies[0], copies[1]);
    // It grows lighter downwards, in every copy.
    for copy in &copies {
        let sum = |rows: &[u8]| rows.iter().map(|&byte| u32::from(byte)).sum::<u32>();
        assert!(sum(&copy[..960]) < sum(&copy[Pixels::BYTES - 960..]));
    }
    let again: Vec<_> = {
        let mut random = Random::new(1, 0);
        (0..20).map(|_| distorted(&image, &mut random)).collect()
    };
    assert_eq!(copies, again);
}
