//! The encoder `kmeans-itq` and its training as a user meets them.

use std::ops::ControlFlow;

use super::parts::pictures;
use crate::model::{
    Autoencoder, DeviceChoice, Encoder as _, KmeansConfig, KmeansItq, KmeansProgress, Model,
    ModelError, ModelKind, Pixels, Precision, train_kmeans,
};

const CPU: DeviceChoice = DeviceChoice::Cpu;

/// A training that takes a moment.
fn small_config() -> KmeansConfig {
    KmeansConfig {
        code_bits: 64,
        address_bits: 8,
        centroids: 6,
        patches: 500,
        rounds: 3,
        distorted: 30,
        turns: 5,
        ..KmeansConfig::default()
    }
}

fn train(dataset: &[u8], config: &KmeansConfig) -> Result<KmeansItq, ModelError> {
    train_kmeans(dataset, config, &mut |_| ControlFlow::Continue(()))
}

fn images(dataset: &[u8]) -> Vec<Pixels> {
    dataset.chunks_exact(Pixels::BYTES).map(|bytes| Pixels::new(bytes).unwrap()).collect()
}

fn small() -> KmeansItq {
    KmeansItq::random(64, 8, 3, 2, 7).unwrap()
}

#[test]
fn a_training_is_fixed_by_its_seed_and_reports_each_phase() {
    let dataset = pictures(60, 1);
    let mut phases = Vec::new();
    let mut observer = |progress: &KmeansProgress| {
        assert!(progress.done <= progress.total);
        if progress.done == progress.total {
            phases.push(progress.phase.to_string());
        }
        ControlFlow::Continue(())
    };
    let encoder = train_kmeans(&dataset, &small_config(), &mut observer).unwrap();
    assert_eq!(phases, ["centroids", "features", "distortions", "bits"]);
    assert_eq!((encoder.code_bits(), encoder.address_bits()), (64, 8));
    let again = train(&dataset, &small_config()).unwrap();
    assert!(again.to_bytes().unwrap() == encoder.to_bytes().unwrap());
    let other = train(&dataset, &KmeansConfig { seed: 2, ..small_config() }).unwrap();
    assert_ne!(other.fingerprint(), encoder.fingerprint());
    let summary = encoder.training().unwrap();
    assert_eq!((summary.images, &summary.config), (60, &small_config()));
    // 24 directions for 64 bits, of as many features.
    assert_eq!(summary.ratios.len(), 24);
    assert!(summary.ratios.windows(2).all(|pair| pair[0] >= pair[1]) && summary.ratios[0] > 0.0);
    assert!(summary.code_entropy > 0.8 && summary.address_entropy > 0.8, "{summary:?}");
    // What it says of its bits is what its bits are.
    let codes = encoder.encode(&images(&dataset)).unwrap();
    let ones: u32 =
        codes.iter().flat_map(|e| e.code.as_bytes()).map(|byte| byte.count_ones()).sum();
    assert!((0.35..0.65).contains(&(f64::from(ones) / (60.0 * 64.0))), "{ones}");
}

#[test]
fn a_training_is_stopped_by_its_observer() {
    let dataset = pictures(20, 1);
    for stop in [1, 3, 4, 5, 6] {
        let mut seen = 0;
        let mut observer = |_: &KmeansProgress| {
            seen += 1;
            if seen == stop { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        };
        let stopped = train_kmeans(&dataset, &small_config(), &mut observer);
        assert!(matches!(stopped, Err(ModelError::Stopped)), "{stop}");
    }
}

#[test]
fn impossible_trainings_are_refused() {
    let dataset = pictures(10, 1);
    let refused = |dataset: &[u8], config: KmeansConfig| {
        let error = train(dataset, &config).unwrap_err();
        assert!(matches!(error, ModelError::Setting { .. }), "{error}");
    };
    refused(&[], small_config());
    refused(&[0; 3073], small_config());
    let set = |change: fn(&mut KmeansConfig)| {
        let mut config = small_config();
        change(&mut config);
        refused(&dataset, config);
    };
    set(|config| config.code_bits = 65);
    set(|config| config.address_bits = 33);
    set(|config| config.centroids = 0);
    set(|config| config.patches = 5);
    set(|config| config.rounds = 0);
    set(|config| config.grid = 28);
    set(|config| config.distorted = 0);
    set(|config| config.directions = Some(0));
    set(|config| config.threshold = f32::NAN);
    set(|config| config.whitening = 0.0);
    set(|config| config.shrinkage = f32::INFINITY);
}

/// Pictures without any difference have no direction to tell them apart by: one error, or an encoder.
#[test]
fn equal_pictures_end_in_one_error_or_an_encoder() {
    match train(&[9; Pixels::BYTES * 4], &small_config()) {
        Ok(encoder) => assert_eq!(encoder.encode(&images(&pictures(1, 1))).unwrap().len(), 1),
        Err(error) => assert!(matches!(error, ModelError::Unsolved { .. }), "{error}"),
    }
}

#[test]
fn codes_do_not_depend_on_the_batch_and_bits_are_the_signs_of_the_margins() {
    let encoder = small();
    let images = images(&pictures(70, 2));
    let together = encoder.encode(&images).unwrap();
    assert_eq!(encoder.encode(&images[13..60]).unwrap(), together[13..60]);
    assert_eq!(encoder.encode(&images[5..6]).unwrap(), together[5..6]);
    assert!(encoder.encode(&[]).unwrap().is_empty());
    for (encoded, margins) in together.iter().zip(encoder.margins(&images).unwrap()) {
        for (bit, margin) in margins.code.iter().enumerate() {
            let on = encoded.code.as_bytes()[bit / 8] >> (7 - bit % 8) & 1 == 1;
            assert_eq!(on, *margin > 0.0);
        }
        assert_eq!(margins.address.len(), 8);
    }
}

#[test]
fn weights_read_back_to_the_same_encoder_by_every_way() {
    let encoder = train(&pictures(40, 3), &small_config()).unwrap();
    let bytes = encoder.to_bytes().unwrap();
    let again = KmeansItq::from_bytes(&bytes, CPU).unwrap();
    assert_eq!(again.fingerprint(), encoder.fingerprint());
    assert_eq!(again.training(), encoder.training());
    assert!(again.to_bytes().unwrap() == bytes);
    let images = images(&pictures(20, 4));
    assert_eq!(again.margins(&images).unwrap(), encoder.margins(&images).unwrap());
    let model = Model::from_bytes(&bytes, CPU).unwrap();
    assert_eq!((model.kind(), model.precision()), (ModelKind::KmeansItq, Precision::F32));
    assert_eq!(model.encode(&images).unwrap(), encoder.encode(&images).unwrap());
    let handed = model.submit(&images).unwrap().finish().unwrap();
    assert_eq!(handed, encoder.encode(&images).unwrap());
    assert!(model.to_bytes().unwrap() == bytes);
    assert_eq!(model.clone().of_fingerprint(encoder.fingerprint()).unwrap().kind(), model.kind());
    let other = *small().fingerprint();
    let error = model.clone().of_fingerprint(&other).unwrap_err();
    assert!(matches!(error, ModelError::OtherEncoder { .. }), "{error}");
    let error = model.with_precision(Precision::Bf16).unwrap_err();
    assert!(error.to_string().contains("f32 alone"), "{error}");
}

#[test]
fn every_number_is_part_of_the_fingerprint() {
    let encoder = small();
    let sound = encoder.to_bytes().unwrap();
    let header = usize::try_from(u64::from_le_bytes(sound[..8].try_into().unwrap())).unwrap() + 8;
    let text = String::from_utf8(sound[8..header].to_vec()).unwrap();
    let names =
        ["filters", "thresholds", "code.weight", "code.offset", "address.weight", "address.offset"];
    for name in names {
        let entry = &text[text.find(&format!("\"{name}\"")).unwrap()..];
        let offset = &entry[entry.find("offsets\":[").unwrap() + 10..];
        let offset: usize = offset.split(',').next().unwrap().parse().unwrap();
        let mut bytes = sound.clone();
        bytes[header + offset] ^= 1;
        let other = KmeansItq::from_bytes(&bytes, CPU).unwrap();
        assert_ne!(other.fingerprint(), encoder.fingerprint(), "{name}");
    }
    let grid = KmeansItq::random(64, 8, 12, 1, 7).unwrap();
    assert_ne!(grid.fingerprint(), encoder.fingerprint());
}

#[test]
fn weights_of_another_kind_are_refused_by_name() {
    let bytes = small().to_bytes().unwrap();
    let network = Autoencoder::random(&[64], &[8], 1, CPU).unwrap().to_bytes().unwrap();
    let error = Autoencoder::from_bytes(&bytes, CPU).unwrap_err().to_string();
    assert_eq!(error, "the weights are of the kind \"kmeans-itq\", expected autoencoder");
    let error = KmeansItq::from_bytes(&network, CPU).unwrap_err().to_string();
    assert_eq!(error, "the weights are of the kind \"autoencoder\", expected kmeans-itq");
    assert_eq!(Model::from_bytes(&network, CPU).unwrap().kind(), ModelKind::Autoencoder);
    let replaced = |from: &str, to: &str| {
        assert_eq!(from.len(), to.len());
        let at = bytes.windows(from.len()).position(|w| w == from.as_bytes()).unwrap();
        let mut bytes = bytes.clone();
        bytes[at..at + to.len()].copy_from_slice(to.as_bytes());
        Model::from_bytes(&bytes, CPU).unwrap_err()
    };
    let kind = replaced("kmeans-itq", "kmeans-xxx").to_string();
    let expected = "the weights are of the kind \"kmeans-xxx\", expected autoencoder or kmeans-itq";
    assert_eq!(kind, expected);
    let version = replaced(r#"\"format\":1"#, r#"\"format\":2"#);
    assert!(matches!(version, ModelError::WeightVersion { found: 2, expected: 1 }), "{version}");
    let missing = replaced("address.offset", "address.offsex").to_string();
    assert_eq!(missing, "tensor address.offset is missing");
    let bits = replaced(r#"\"code_bits\":64"#, r#"\"code_bits\":65"#).to_string();
    assert!(bits.contains("ends in 65 bits"), "{bits}");
    let shape = replaced(r#"\"centroids\":3"#, r#"\"centroids\":4"#).to_string();
    assert_eq!(shape, "tensor filters has shape [3, 108], expected [4, 108]");
    let grid = replaced(r#"\"grid\":2"#, r#"\"grid\":0"#).to_string();
    assert!(grid.contains("the grid is 0, expected 1 to 27"), "{grid}");
    let wide = replaced(r#"\"grid\":2"#, r#"\"grid\":9"#).to_string();
    assert_eq!(wide, "tensor code.weight has shape [64, 12], expected [64, 243]");
}

#[test]
fn numbers_that_no_training_yields_are_refused() {
    let sound = small().to_bytes().unwrap();
    for damage in [[0x00, 0x00, 0xc0, 0x7f], [0xff, 0xff, 0x7f, 0x7f], [0x00, 0x00, 0x80, 0xff]] {
        let mut bytes = sound.clone();
        // The thresholds come first: safetensors puts the widest numbers in front.
        let header = u64::from_le_bytes(sound[..8].try_into().unwrap());
        let at = usize::try_from(header).unwrap() + 8;
        bytes[at..at + 4].copy_from_slice(&damage);
        let error = KmeansItq::from_bytes(&bytes, CPU).unwrap_err();
        assert!(matches!(error, ModelError::TensorValue { .. }), "{error}");
    }
    let mut bytes = sound.clone();
    let end = bytes.len();
    bytes[end - 2..].copy_from_slice(&[0x00, 0x7e]);
    let error = KmeansItq::from_bytes(&bytes, CPU).unwrap_err();
    assert!(matches!(error, ModelError::TensorValue { .. }), "{error}");
}

#[test]
fn a_device_that_it_cannot_use_is_refused() {
    let bytes = small().to_bytes().unwrap();
    let error = Model::from_bytes(&bytes, DeviceChoice::Cuda(0)).unwrap_err().to_string();
    assert!(error.contains("compute on the CPU"), "{error}");
    let model = Model::from_bytes(&bytes, DeviceChoice::Auto).unwrap();
    assert_eq!(model.device().name, "cpu");
}

#[test]
fn an_untrained_encoder_has_the_shape_and_nothing_else() {
    let model = Model::KmeansItq(small());
    let other = model.untrained(3, CPU).unwrap();
    assert_eq!(other.kind(), model.kind());
    assert_eq!((other.code_bits(), other.address_bits()), (64, 8));
    assert_ne!(other.fingerprint(), model.fingerprint());
    // Both values of a bit occur: features are never negative, the projections have both signs.
    let codes = other.encode(&images(&pictures(30, 5))).unwrap();
    assert!(codes.iter().any(|encoded| encoded.code != codes[0].code));
}

#[test]
fn names_that_no_encoder_has_are_refused() {
    for name in Model::NAMES {
        assert!(Model::named(name, CPU).is_ok(), "{name}");
    }
    let error = Model::named("kmeans", CPU).unwrap_err();
    assert!(matches!(&error, ModelError::UnknownName { name } if name == "kmeans"), "{error}");
}

/// A database that was filled with it stays readable only as long as its fingerprint does not change.
#[test]
fn the_shipped_encoder_is_the_one_that_was_measured_and_was_trained_by_the_defaults() {
    let shipped = include_bytes!("../../kmeans-itq.safetensors");
    assert!(shipped.len() <= 8_000_000);
    let model = Model::named("kmeans-itq", CPU).unwrap();
    assert!(model.to_bytes().unwrap() == shipped, "the file is not in its canonical form");
    assert_eq!(model.fingerprint().to_string(), "a5b3847d1fe456bc6fb18aeb61d0b7a5");
    assert_eq!((model.code_bits(), model.address_bits()), (256, 28));
    let Model::KmeansItq(encoder) = model else { unreachable!("it has this kind") };
    let training = encoder.training().unwrap();
    assert_eq!((&training.config, training.images), (&KmeansConfig::default(), 50_000));
    assert!(training.code_entropy > 0.98 && training.address_entropy > 0.98, "{training:?}");
}
