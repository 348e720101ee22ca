//! The encoder and its training as a user meets them, and the default encoder's exact answers.
#![cfg(feature = "encoder")]
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]
#![expect(clippy::disallowed_methods, reason = "tests damage files on purpose")]

use std::ops::ControlFlow;
use std::path::Path;

use hashdb::model::{
    Autoencoder, BATCHES, Descent, DeviceChoice, Encoded, Encoder, ModelError, Net, NetConfig,
    PATCHES, PREPROCESSING, PatchConfig, Phase, Pixels, Precision, Progress, Recipe, Thresholds,
    TrainConfig, default_encoder, train, train_patches,
};

const CPU: DeviceChoice = DeviceChoice::Cpu;

/// A picture from a formula: coloured waves that differ by `number`.
fn waves(number: usize) -> Vec<u8> {
    let value = |i: usize| {
        let (x, y, channel) = (i / 3 % 32, i / 96, i % 3);
        (x * (number % 7 + 1) * 5 + y * (number % 11 + 1) * 3 + channel * (number % 5) * 40) % 256
    };
    (0..Pixels::BYTES).map(|i| u8::try_from(value(i)).unwrap()).collect()
}

fn pixels(count: usize) -> Vec<Pixels> {
    (0..count).map(|number| Pixels::new(waves(number)).unwrap()).collect()
}

fn small_encoder() -> Autoencoder {
    Autoencoder::random(&[12, 64], &[8], 7, CPU).unwrap()
}

/// The settings of a net without prefixes.
fn net(layers: &[usize], rbm_epochs: usize, tune_epochs: usize) -> NetConfig {
    NetConfig { layers: layers.to_vec(), rbm_epochs, tune_epochs, prefixes: Vec::new() }
}

/// A training that takes a moment.
fn small_config() -> TrainConfig {
    TrainConfig {
        recipe: Recipe { seed: 3, batch: 16, ..Recipe::default() },
        code: net(&[10, 64], 2, 2),
        address: net(&[8], 1, 2),
        continued: false,
        components: 0,
    }
}

/// The default's way of training: components of pictures, and first bits that are codes of their own.
fn nested_config() -> TrainConfig {
    TrainConfig {
        code: NetConfig { prefixes: vec![16, 32], ..net(&[10, 64], 0, 3) },
        address: net(&[12, 8], 0, 2),
        components: 20,
        ..small_config()
    }
}

/// A pass was kept in the checkpoint before it was told. A training that was killed in between went on behind that
/// pass, and the log of its losses lacked it for ever.
#[test]
fn a_pass_is_told_before_it_is_kept() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("checkpoint");
    let mut kept: Vec<Option<Vec<u8>>> = Vec::new();
    let mut observer = |progress: &Progress| {
        if progress.images == progress.total && progress.phase != Phase::Thresholds {
            kept.push(std::fs::read(&path).ok());
        }
        ControlFlow::Continue(())
    };
    train(&small_dataset(), &small_config(), CPU, &mut observer, Some(&path)).unwrap();
    // What was there when a pass was told is of the passes before: nothing at first, something else each time.
    assert!(kept.len() > 3 && kept[0].is_none());
    assert!(kept.windows(2).all(|pair| pair[1].is_some() && pair[0] != pair[1]));
}

/// The paper's way of training, with a net of addresses that continues the net of codes.
fn paper_config() -> TrainConfig {
    let paper = TrainConfig::kh2011_28();
    TrainConfig {
        recipe: Recipe { seed: 3, batch: 16, first_deviation: 0.2, ..paper.recipe },
        code: net(&[20, 64], 2, 2),
        address: net(&[20, 64, 8], 2, 2),
        continued: true,
        components: 0,
    }
}

/// The training of a patch net, on three patches of a picture in each pass.
fn patch_config() -> PatchConfig {
    PatchConfig { recipe: paper_config().recipe, net: net(&[12, 8], 1, 2), places: 3 }
}

fn small_dataset() -> Vec<u8> {
    (0..50).flat_map(waves).collect()
}

/// Trains until report number `stop`, counting ends of epochs only.
fn train_small(stop: usize, checkpoint: Option<&Path>) -> Result<Autoencoder, ModelError> {
    train(&small_dataset(), &small_config(), CPU, &mut stops(stop), checkpoint)
}

/// An observer that stops at the end of epoch `stop` of those that learn, counted from 1; 0 never.
fn stops(stop: usize) -> impl FnMut(&Progress) -> ControlFlow<()> {
    let mut ends = 0;
    move |progress| {
        let learns = progress.phase != Phase::Thresholds;
        ends += usize::from(learns && progress.images == progress.total);
        if stop > 0 && ends == stop { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }
}

/// An observer that lets a training go on.
fn lets(_: &Progress) -> ControlFlow<()> {
    ControlFlow::Continue(())
}

#[test]
fn pictures_of_another_size_are_refused() {
    for bytes in [0, 3071, 3073] {
        assert!(matches!(
            Pixels::new(vec![0; bytes]),
            Err(ModelError::PixelBytes { found }) if found == bytes
        ));
    }
}

#[test]
fn any_number_of_pictures_gives_as_many_codes() {
    let encoder = default_encoder(CPU).unwrap();
    for count in [0, 1, 31, 32, 33] {
        let codes = encoder.encode(&pixels(count)).unwrap();
        assert_eq!(codes.len(), count);
        for encoded in codes {
            assert_eq!(encoded.code.bits(), encoder.code_bits());
            assert_eq!(encoded.address.bits(), encoder.address_bits());
        }
    }
}

#[test]
fn codes_do_not_depend_on_the_batch() {
    let encoder = default_encoder(CPU).unwrap();
    let images = pixels(70);
    let together = encoder.encode(&images).unwrap();
    for (image, expected) in images.iter().zip(&together) {
        let alone = encoder.encode(std::slice::from_ref(image)).unwrap();
        assert_eq!(alone[0], *expected);
    }
    assert_eq!(encoder.encode(&images[13..60]).unwrap(), together[13..60]);
}

#[test]
fn threads_that_share_an_encoder_get_the_same_codes() {
    let encoder = default_encoder(CPU).unwrap();
    let images = pixels(40);
    let expected = encoder.encode(&images).unwrap();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| assert_eq!(encoder.encode(&images).unwrap(), expected));
        }
    });
}

#[test]
fn flat_pictures_have_codes() {
    let encoder = default_encoder(CPU).unwrap();
    let images: Vec<Pixels> =
        [0, 128, 255].map(|grey| Pixels::new(vec![grey; Pixels::BYTES]).unwrap()).into();
    assert_eq!(encoder.encode(&images).unwrap().len(), 3);
}

#[test]
fn bits_are_the_signs_of_the_margins_from_the_most_significant_on() {
    let encoder = small_encoder();
    let images = pixels(20);
    let margins = encoder.margins(&images).unwrap();
    for (encoded, margins) in encoder.encode(&images).unwrap().iter().zip(margins) {
        for (bit, &margin) in margins.code.iter().enumerate() {
            let on = encoded.code.as_bytes()[bit / 8] >> (7 - bit % 8) & 1 == 1;
            assert_eq!(on, margin > 0.0);
        }
        for (bit, &margin) in margins.address.iter().enumerate() {
            let on = encoded.address.value() >> (margins.address.len() - 1 - bit) & 1 == 1;
            assert_eq!(on, margin > 0.0);
        }
    }
}

#[test]
fn weights_read_back_to_the_same_encoder() {
    let encoder = small_encoder();
    let bytes = encoder.to_bytes().unwrap();
    let again = Autoencoder::from_bytes(&bytes, CPU).unwrap();
    assert_eq!(again.fingerprint(), encoder.fingerprint());
    assert_eq!(again.to_bytes().unwrap(), bytes);
    let images = pixels(40);
    assert_eq!(again.margins(&images).unwrap(), encoder.margins(&images).unwrap());
}

#[test]
fn fingerprints_tell_encoders_apart() {
    let fingerprint =
        |code: &[usize], seed| *Autoencoder::random(code, &[8], seed, CPU).unwrap().fingerprint();
    assert_eq!(fingerprint(&[12, 64], 7), fingerprint(&[12, 64], 7));
    assert_ne!(fingerprint(&[12, 64], 7), fingerprint(&[12, 64], 8));
    assert_ne!(fingerprint(&[12, 64], 7), fingerprint(&[13, 64], 7));
    assert_eq!(fingerprint(&[12, 64], 7).to_string().len(), 32);
}

/// Bits that differ between two encoders' codes and addresses, and all bits.
fn differing(one: &[Encoded], other: &[Encoded]) -> (u32, u32) {
    let mut count = (0, 0);
    for (one, other) in one.iter().zip(other) {
        let bytes = one.code.as_bytes().iter().zip(other.code.as_bytes());
        count.0 += bytes.map(|(one, other)| (one ^ other).count_ones()).sum::<u32>();
        count.0 += (one.address.value() ^ other.address.value()).count_ones();
        count.1 += u32::from(one.code.bits()) + u32::from(one.address.bits());
    }
    count
}

#[test]
fn narrow_precisions_change_few_bits_and_the_fingerprint() {
    let encoder = default_encoder(CPU).unwrap();
    let pictures = pixels(150);
    let codes = encoder.encode(&pictures).unwrap();
    let mut fingerprints = vec![encoder.fingerprint().to_string()];
    let mut counts = Vec::new();
    for precision in [Precision::Bf16, Precision::F16] {
        let narrow = encoder.clone().with_precision(precision).unwrap();
        assert_eq!(narrow.precision(), precision);
        fingerprints.push(narrow.fingerprint().to_string());
        let encoded = narrow.encode(&pictures).unwrap();
        // Of 8 bits of mantissa and of 11: some units near their threshold change sides.
        let (changed, all) = differing(&encoded, &codes);
        assert!(changed * 20 < all, "{precision}: {changed} of {all} bits changed");
        counts.push(changed);
        let alone = |picture: &Pixels| narrow.encode(std::slice::from_ref(picture)).unwrap();
        let each: Vec<_> = pictures.iter().take(3).flat_map(alone).collect();
        assert_eq!(each, encoded[..3], "{precision}: codes depend on the batch");
        let back = narrow.with_precision(Precision::F32).unwrap();
        assert_eq!(back.fingerprint(), encoder.fingerprint());
        assert_eq!(back.encode(&pictures).unwrap(), codes);
    }
    assert!(counts[0] > counts[1], "bf16 is coarser than f16: {counts:?}");
    fingerprints.sort();
    fingerprints.dedup();
    assert_eq!(fingerprints.len(), 3);
}

#[test]
fn an_encoder_is_found_in_the_precision_of_its_fingerprint() {
    let encoder = small_encoder();
    for precision in Precision::ALL {
        let stored = *encoder.clone().with_precision(precision).unwrap().fingerprint();
        let found = small_encoder().of_fingerprint(&stored).unwrap();
        assert_eq!((found.precision(), *found.fingerprint()), (precision, stored));
    }
    let other = Autoencoder::random(&[12, 64], &[8], 8, CPU).unwrap();
    let error = encoder.of_fingerprint(other.fingerprint()).unwrap_err();
    let ModelError::OtherEncoder { found, expected } = error else { panic!("{error}") };
    assert_eq!((found, expected), (*small_encoder().fingerprint(), *other.fingerprint()));
}

#[test]
fn batches_that_are_handed_over_together_come_back_in_order() {
    let encoder = small_encoder();
    let pictures = pixels(200);
    let expected = encoder.encode(&pictures).unwrap();
    let batches: Vec<_> = pictures.chunks(70).map(|batch| encoder.submit(batch).unwrap()).collect();
    let mut found = Vec::new();
    for batch in batches {
        found.extend(batch.finish().unwrap());
    }
    assert_eq!(found, expected);
    assert!(encoder.submit(&[]).unwrap().finish().unwrap().is_empty());
}

#[test]
fn a_calibration_tries_batches_and_chooses_one() {
    let found = small_encoder().calibrate().unwrap();
    assert!(BATCHES.contains(&found.batch));
    assert!(found.rates.iter().all(|(batch, rate)| BATCHES.contains(batch) && *rate > 0.0));
    assert!(!found.rates.is_empty());
}

#[test]
fn weights_of_another_kind_are_refused_by_name() {
    let bytes = small_encoder().to_bytes().unwrap();
    let replaced = |from: &str, to: &str| {
        assert_eq!(from.len(), to.len());
        let at = bytes.windows(from.len()).position(|w| w == from.as_bytes()).unwrap();
        let mut bytes = bytes.clone();
        bytes[at..at + to.len()].copy_from_slice(to.as_bytes());
        Autoencoder::from_bytes(&bytes, CPU).unwrap_err()
    };
    let version = replaced(r#"\"format\":1"#, r#"\"format\":2"#);
    assert!(matches!(version, ModelError::WeightVersion { found: 2, expected: 1 }), "{version}");
    let other = PREPROCESSING.replace("v1", "v2");
    let preprocessing = replaced(PREPROCESSING, &other);
    assert!(matches!(preprocessing, ModelError::Preprocessing { .. }), "{preprocessing}");
    let missing = replaced("code.1.bias", "code.9.bias").to_string();
    assert_eq!(missing, "tensor code.1.bias is missing");
    let kind =
        replaced(r#""deviation":{"dtype":"F32""#, r#""deviation":{"dtype":"I32""#).to_string();
    assert_eq!(kind, "tensor deviation holds I32, expected F32");
    let layers = replaced(r"[12,64]", r"[12,65]").to_string();
    assert!(layers.contains("ends in 65 bits"), "{layers}");
    let shape = replaced(r"[12,64]", r"[11,64]").to_string();
    assert_eq!(shape, "tensor code.0.weight has shape [12, 3072], expected [11, 3072]");
}

/// The list of tensors at the beginning of a weight file was parsed whatever its length, up to the 100 MB
/// that the safetensors crate allows. Parsed JSON takes many times the memory of its text: two bytes of a
/// shape become eight and more, so that a hostile file took several times its length.
#[test]
fn a_list_of_tensors_longer_than_any_is_refused_before_it_is_parsed() {
    let original = small_encoder().to_bytes().unwrap();
    let (length, rest) = original.split_first_chunk::<8>().unwrap();
    let length = usize::try_from(u64::from_le_bytes(*length)).unwrap();
    // Spaces behind a list change nothing but its length.
    let padded = |to: usize| {
        let (list, data) = rest.split_at(length);
        let spaces = vec![b' '; to - length];
        [&(to as u64).to_le_bytes()[..], list, &spaces, data].concat()
    };
    assert!(Autoencoder::from_bytes(&padded(65_536), CPU).is_ok());
    let error = Autoencoder::from_bytes(&padded(65_544), CPU).unwrap_err();
    assert!(matches!(error, ModelError::NotWeights { .. }), "{error}");
    assert!(error.to_string().contains("65544 bytes, more than 65536"), "{error}");
}

#[test]
fn numbers_that_no_training_yields_are_refused() {
    let mut bytes = small_encoder().to_bytes().unwrap();
    let end = bytes.len();
    bytes[end - 2..].copy_from_slice(&[0x00, 0x7e]);
    let error = Autoencoder::from_bytes(&bytes, CPU).unwrap_err();
    assert!(matches!(error, ModelError::TensorValue { .. }), "{error}");
}

#[test]
fn damaged_weights_are_an_error_or_an_encoder_but_never_a_panic() {
    damage(&small_encoder());
    damage(&small_encoder().with_random_patches(&[8], 7).unwrap());
}

fn damage(encoder: &Autoencoder) {
    let original = encoder.to_bytes().unwrap();
    let header = u64::from_le_bytes(original[..8].try_into().unwrap());
    let header = usize::try_from(header).unwrap() + 8;
    let mut state = 1_u64;
    let mut next = |bound: usize| {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(state >> 33).unwrap() % bound
    };
    let images = pixels(3);
    for round in 0..400 {
        let mut bytes = original.clone();
        match round % 4 {
            0 => bytes.truncate(next(original.len())),
            1 => bytes[next(header)] = u8::try_from(next(256)).unwrap(),
            2 => bytes[next(original.len())] ^= 1 << next(8),
            _ => {
                let at = next(header);
                let digit = b'0' + u8::try_from(next(10)).unwrap();
                bytes.insert(at, digit);
            }
        }
        if let Ok(encoder) = Autoencoder::from_bytes(&bytes, CPU) {
            assert_eq!(encoder.encode(&images).unwrap().len(), 3);
            let patches = encoder.patch_bits().map(|_| encoder.patch_addresses(&images).unwrap());
            assert!(patches.is_none_or(|patches| patches.len() == 3));
        }
    }
}

#[test]
fn impossible_layers_are_refused() {
    for (code, address) in
        [(&[][..], &[8][..]), (&[65], &[8]), (&[0, 64], &[8]), (&[64], &[7]), (&[64], &[33])]
    {
        let error = Autoencoder::random(code, address, 1, CPU).unwrap_err();
        assert!(matches!(error, ModelError::Setting { .. }), "{error}");
    }
}

#[test]
fn impossible_trainings_are_refused() {
    let attempt = |dataset: &[u8], config: &TrainConfig| {
        let error = train(dataset, config, CPU, &mut lets, None);
        assert!(matches!(error, Err(ModelError::Setting { .. })));
    };
    attempt(&[], &small_config());
    attempt(&[0; 3073], &small_config());
    let with = |recipe: Recipe| TrainConfig { recipe, ..small_config() };
    let recipe = || small_config().recipe;
    attempt(&small_dataset(), &with(Recipe { batch: 0, ..recipe() }));
    attempt(&small_dataset(), &with(Recipe { tune_rate: f32::NAN, ..recipe() }));
    attempt(&small_dataset(), &with(Recipe { momentum: 1.0, ..recipe() }));
    attempt(&small_dataset(), &with(Recipe { first_deviation: -1.0, ..recipe() }));
    let other = NetConfig { layers: vec![21, 64, 8], ..paper_config().address };
    attempt(&small_dataset(), &TrainConfig { address: other, ..paper_config() });
    attempt(&small_dataset(), &TrainConfig { components: 3073, ..small_config() });
    for prefixes in [vec![0], vec![64], vec![32, 16], vec![16, 16]] {
        let code = NetConfig { prefixes, ..small_config().code };
        attempt(&small_dataset(), &TrainConfig { code, ..small_config() });
    }

    let patches = |config: &PatchConfig| {
        let error = train_patches(&small_encoder(), &small_dataset(), config, &mut lets, None);
        assert!(matches!(error, Err(ModelError::Setting { .. })));
    };
    for places in [0, PATCHES + 1] {
        patches(&PatchConfig { places, ..patch_config() });
    }
    let net = NetConfig { layers: vec![12, 33], ..patch_config().net };
    patches(&PatchConfig { net, ..patch_config() });
}

#[test]
fn training_is_fixed_by_its_seed_and_reports_each_epoch() {
    let mut phases = Vec::new();
    let mut observer = |progress: &Progress| {
        assert!(progress.loss.is_finite() && progress.epoch <= progress.epochs);
        if progress.images == progress.total {
            phases.push(format!("{} {}", progress.net, progress.phase));
        }
        ControlFlow::Continue(())
    };
    let encoder = train(&small_dataset(), &small_config(), CPU, &mut observer, None).unwrap();
    let expected = [
        "code rbm 1/2",
        "code rbm 1/2",
        "code rbm 2/2",
        "code rbm 2/2",
        "code fine-tuning",
        "code fine-tuning",
        "code thresholds",
        "code thresholds",
        "address rbm 1/1",
        "address fine-tuning",
        "address fine-tuning",
        "address thresholds",
        "address thresholds",
    ];
    assert_eq!(phases, expected);
    assert_eq!(train_small(0, None).unwrap().to_bytes().unwrap(), encoder.to_bytes().unwrap());

    let summary = encoder.training().unwrap();
    assert_eq!((summary.images, summary.code.rbm_losses.len()), (50, 2));
    assert!(summary.code.bit_entropy > 0.9 && summary.code.dead_bits == 0, "{summary:?}");
    let read = Autoencoder::from_bytes(&encoder.to_bytes().unwrap(), CPU).unwrap();
    assert_eq!(read.training(), Some(summary));
}

#[test]
fn fine_tuning_beats_the_mean_picture() {
    let config = TrainConfig {
        code: net(&[64], 2, 40),
        recipe: Recipe { tune_rate: 0.01, ..small_config().recipe },
        ..small_config()
    };
    let encoder = train(&small_dataset(), &config, CPU, &mut lets, None).unwrap();
    let summary = &encoder.training().unwrap().code;
    assert!(summary.loss < 0.5, "{summary:?}");
}

#[test]
fn resumed_training_equals_an_uninterrupted_one() {
    let expected = train_small(0, None).unwrap().to_bytes().unwrap();
    let folder = tempfile::tempdir().unwrap();
    for stop in 1..=9 {
        let path = folder.path().join(format!("{stop}.checkpoint"));
        let stopped = train_small(stop, Some(&path)).unwrap_err();
        assert!(matches!(stopped, ModelError::Stopped));
        let resumed = train_small(0, Some(&path)).unwrap();
        assert_eq!(resumed.to_bytes().unwrap(), expected, "stopped after epoch {stop}");
        assert_eq!(train_small(1, Some(&path)).unwrap().to_bytes().unwrap(), expected);
    }
}

/// Cutting the bits of a large network took minutes, in which nothing was told and nothing could stop it.
#[test]
fn a_training_stops_while_its_bits_are_cut_and_goes_on_from_there() {
    let expected = train_small(0, None).unwrap().to_bytes().unwrap();
    let folder = tempfile::tempdir().unwrap();
    for (net, pass) in [(Net::Code, 1), (Net::Code, 2), (Net::Address, 1), (Net::Address, 2)] {
        let path = folder.path().join(format!("{net} {pass}"));
        let mut stop = |progress: &Progress| {
            let Progress { phase, epoch, epochs, images, rate, .. } = *progress;
            if (progress.net, phase, epoch) == (net, Phase::Thresholds, pass) {
                assert_eq!((epochs, images, rate), (2, 50, 0.0));
                return ControlFlow::Break(());
            }
            ControlFlow::Continue(())
        };
        let config = small_config();
        let stopped = train(&small_dataset(), &config, CPU, &mut stop, Some(&path)).unwrap_err();
        assert!(matches!(stopped, ModelError::Stopped), "{net} {pass}: {stopped}");
        let mut learned = 0;
        let mut count = |progress: &Progress| {
            learned += usize::from((progress.net, progress.phase) == (net, Phase::FineTuning));
            ControlFlow::Continue(())
        };
        let resumed = train(&small_dataset(), &config, CPU, &mut count, Some(&path)).unwrap();
        assert_eq!(learned, 0, "{net} {pass}: learned again");
        assert_eq!(resumed.to_bytes().unwrap(), expected, "{net} {pass}");
    }
}

#[test]
fn a_resumed_training_by_the_paper_equals_an_uninterrupted_one() {
    let run = |stop, checkpoint: Option<&Path>| {
        train(&small_dataset(), &paper_config(), CPU, &mut stops(stop), checkpoint)
    };
    let mut phases = Vec::new();
    let mut observer = |progress: &Progress| {
        if progress.images == progress.total {
            phases.push(format!("{} {}", progress.net, progress.phase));
        }
        ControlFlow::Continue(())
    };
    let whole = train(&small_dataset(), &paper_config(), CPU, &mut observer, None).unwrap();
    phases.dedup();
    // The net of addresses takes over the first two machines.
    let expected = [
        "code rbm 1/2",
        "code rbm 2/2",
        "code fine-tuning",
        "code thresholds",
        "address rbm 3/3",
        "address fine-tuning",
        "address thresholds",
    ];
    assert_eq!(phases, expected);
    let summary = whole.training().unwrap();
    assert_eq!(summary.address.rbm_losses[..2], summary.code.rbm_losses);
    let folder = tempfile::tempdir().unwrap();
    for stop in 1..=10 {
        let path = folder.path().join(format!("{stop}.checkpoint"));
        let stopped = run(stop, Some(&path)).unwrap_err();
        assert!(matches!(stopped, ModelError::Stopped), "{stopped}");
        let resumed = run(0, Some(&path)).unwrap();
        assert!(resumed.to_bytes().unwrap() == whole.to_bytes().unwrap(), "after epoch {stop}");
    }
}

#[test]
fn a_resumed_training_on_components_equals_an_uninterrupted_one() {
    let run = |stop, checkpoint: Option<&Path>| {
        train(&small_dataset(), &nested_config(), CPU, &mut stops(stop), checkpoint)
    };
    let whole = run(0, None).unwrap();
    assert_eq!(whole.training().unwrap().config, nested_config());
    let folder = tempfile::tempdir().unwrap();
    for stop in 1..=5 {
        let path = folder.path().join(format!("{stop}.checkpoint"));
        let stopped = run(stop, Some(&path)).unwrap_err();
        assert!(matches!(stopped, ModelError::Stopped), "{stopped}");
        let resumed = run(0, Some(&path)).unwrap();
        assert!(resumed.to_bytes().unwrap() == whole.to_bytes().unwrap(), "after epoch {stop}");
    }
    // What the settings change, the weights show.
    let with = |change: &dyn Fn(&mut TrainConfig)| {
        let mut config = nested_config();
        change(&mut config);
        train(&small_dataset(), &config, CPU, &mut lets, None).unwrap()
    };
    let others = [
        with(&|config| config.code.prefixes = Vec::new()),
        with(&|config| config.components = 21),
        with(&|config| config.components = 0),
    ];
    for other in others {
        assert_ne!(other.fingerprint(), whole.fingerprint());
    }
}

/// The loss of what is seen is not that of a pixel: what lies beside the components is lost as well.
#[test]
fn a_network_trained_on_components_reads_pixels_and_reports_their_loss() {
    let config = |components| TrainConfig {
        code: net(&[64], 0, 60),
        recipe: Recipe { tune_rate: 0.01, ..small_config().recipe },
        components,
        ..small_config()
    };
    let loss = |components| {
        let encoder = train(&small_dataset(), &config(components), CPU, &mut lets, None).unwrap();
        let codes = encoder.encode(&pixels(50)).unwrap();
        let distinct: std::collections::BTreeSet<_> =
            codes.iter().map(|encoded| encoded.code.to_string()).collect();
        // Bits that are cut at the median of one and the same number say little.
        assert!(components == 1 || distinct.len() > 20, "{}", distinct.len());
        encoder.training().unwrap().code.loss
    };
    let [few, many, pixels] = [1, 40, 0].map(loss);
    assert!(few > many && many < 0.5 && pixels < 0.5, "{few} {many} {pixels}");
}

#[test]
fn a_resumed_training_of_patches_equals_an_uninterrupted_one() {
    let base = small_encoder();
    let run = |stop, checkpoint: Option<&Path>| {
        train_patches(&base, &small_dataset(), &patch_config(), &mut stops(stop), checkpoint)
    };
    let whole = run(0, None).unwrap();
    assert_ne!(whole.fingerprint(), base.fingerprint());
    assert_eq!((base.patch_bits(), whole.patch_bits()), (None, Some(8)));
    let training = whole.patch_training().unwrap();
    assert_eq!((&training.config, training.images), (&patch_config(), 50));
    let folder = tempfile::tempdir().unwrap();
    for stop in 1..=4 {
        let path = folder.path().join(format!("{stop}.checkpoint"));
        assert!(matches!(run(stop, Some(&path)), Err(ModelError::Stopped)));
        let resumed = run(0, Some(&path)).unwrap();
        assert!(resumed.to_bytes().unwrap() == whole.to_bytes().unwrap(), "after epoch {stop}");
    }
    // What gave codes and addresses gives the same ones.
    let images = pixels(5);
    assert_eq!(whole.encode(&images).unwrap(), base.encode(&images).unwrap());
}

#[test]
fn patch_addresses_do_not_depend_on_the_batch_and_outlive_a_file() {
    let encoder = small_encoder().with_random_patches(&[24, 28], 5).unwrap();
    let images = pixels(7);
    let together = encoder.patch_addresses(&images).unwrap();
    assert_eq!((together.len(), encoder.patch_bits()), (7, Some(28)));
    let all: Vec<u32> = together.iter().flatten().copied().collect();
    assert!(all.iter().all(|address| address >> 28 == 0) && all.iter().any(|a| a >> 27 == 1));
    for (image, expected) in images.iter().zip(&together) {
        let alone = encoder.patch_addresses(std::slice::from_ref(image)).unwrap();
        assert_eq!(alone[0], *expected);
    }
    let bytes = encoder.to_bytes().unwrap();
    let read = Autoencoder::from_bytes(&bytes, CPU).unwrap();
    assert_eq!(read.fingerprint(), encoder.fingerprint());
    assert_eq!(read.patch_addresses(&images).unwrap(), together);
    assert!(read.to_bytes().unwrap() == bytes);
    let other = small_encoder().with_random_patches(&[24, 28], 6).unwrap();
    assert_ne!(other.fingerprint(), encoder.fingerprint());
    assert!(encoder.patch_addresses(&[]).unwrap().is_empty());
    let without = small_encoder().patch_addresses(&images).unwrap_err();
    assert!(matches!(without, ModelError::NoPatches), "{without}");
}

/// A picture that is moved by two pixels shows each retina at the next place: the addresses move along.
#[test]
fn patches_of_a_moved_picture_have_moved_addresses() {
    let encoder = small_encoder().with_random_patches(&[24, 28], 5).unwrap();
    let picture = waves(9);
    let mut moved = vec![0; Pixels::BYTES];
    for y in 0..32 {
        let row = &picture[y * 96 + 6..(y + 1) * 96];
        moved[y * 96..y * 96 + row.len()].copy_from_slice(row);
    }
    let images = [picture, moved].map(|bytes| Pixels::new(bytes).unwrap());
    let addresses = encoder.patch_addresses(&images).unwrap();
    for place in (0..PATCHES).filter(|place| place % 9 < 8) {
        assert_eq!(addresses[0][place + 1], addresses[1][place], "place {place}");
    }
}

/// The loss of a step is taken before its weights are changed. So the last step of a pass could leave
/// weights that are no numbers under a loss that was one, and the checkpoint of that pass replaced the last good
/// one: a training that had run away after days could not be gone on with.
#[test]
fn a_training_that_runs_away_says_where_and_keeps_the_last_good_checkpoint() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("checkpoint");
    // One step a pass, so that a loss that is a number comes with weights that are none.
    let config = TrainConfig {
        recipe: Recipe { batch: 64, linear_rate: 10.0, ..small_config().recipe },
        code: net(&[10, 64], 100, 2),
        ..small_config()
    };
    let mut told = 0;
    let mut observer = |progress: &Progress| {
        assert!(progress.loss.is_finite());
        told += 1;
        ControlFlow::Continue(())
    };
    let error = train(&small_dataset(), &config, CPU, &mut observer, Some(&path)).unwrap_err();
    let ModelError::Diverged { phase, step, steps, epoch, rate } = &error else {
        panic!("{error}")
    };
    assert_eq!((phase.as_str(), *step, *steps, *rate), ("rbm 1/2 of the code net", 1, 1, 10.0));
    assert!(*epoch > 1, "{error}");
    let message = error.to_string();
    assert!(message.contains("at step 1 of 1 of pass") && message.contains("rate 10"), "{message}");
    assert_eq!(told + 1, *epoch);
    // The checkpoint is of the pass before: gone on with, the same error comes at the same place, and no pass is
    // told before.
    let mut none = |_: &Progress| panic!("a pass that was kept is run again");
    let again = train(&small_dataset(), &config, CPU, &mut none, Some(&path)).unwrap_err();
    assert_eq!(again.to_string(), message);
}

#[test]
fn fine_tuning_that_runs_away_names_its_rate() {
    let config = TrainConfig {
        recipe: Recipe { tune_rate: 10.0, descent: Descent::Plain, ..small_config().recipe },
        ..small_config()
    };
    let error = train(&small_dataset(), &config, CPU, &mut lets, None).unwrap_err();
    let ModelError::Diverged { phase, rate, .. } = &error else { panic!("{error}") };
    assert!(phase.starts_with("fine-tuning of the") && *rate == 10.0, "{error}");
}

#[test]
fn the_papers_networks_are_those_of_the_paper() {
    let (code, both) = (TrainConfig::kh2011_256(), TrainConfig::kh2011_28());
    assert_eq!(code.code.layers, [8192, 4096, 2048, 1024, 512, 256]);
    assert_eq!(both.code, code.code);
    assert_eq!(both.address.layers, [8192, 4096, 2048, 1024, 512, 256, 128, 64, 28]);
    assert!(both.continued);
    let patch = PatchConfig::kh2011();
    assert_eq!(patch.net.layers, [1024, 512, 256, 128, 64, 28]);
    assert_eq!((patch.places, patch.net.rbm_epochs, patch.net.tune_epochs), (81, 80, 5));
    for recipe in [&code.recipe, &both.recipe, &patch.recipe] {
        assert_eq!((recipe.batch, recipe.momentum, recipe.tune_rate), (128, 0.9, 1e-6));
        assert_eq!((recipe.linear_rate, recipe.binary_rate), (0.001, 0.01));
        assert_eq!((recipe.descent, recipe.thresholds), (Descent::Plain, Thresholds::Half));
    }
}

#[test]
fn checkpoints_of_another_training_or_damaged_ones_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("checkpoint");
    assert!(train_small(5, Some(&path)).is_err());
    let resume = |dataset: &[u8], config: &TrainConfig| {
        train(dataset, config, CPU, &mut |_| ControlFlow::Break(()), Some(&path))
            .unwrap_err()
            .to_string()
    };
    let recipe = Recipe { seed: 4, ..small_config().recipe };
    let other = resume(&small_dataset(), &TrainConfig { recipe, ..small_config() });
    assert!(other.ends_with("made with other settings: seed was 3, now it is 4"), "{other}");
    let code = NetConfig { layers: vec![12, 64], ..small_config().code };
    let other = resume(&small_dataset(), &TrainConfig { code, ..small_config() });
    let both = "it is of the networks code 3072-10-64, address 3072-8; this training is of code \
                3072-12-64, address 3072-8";
    assert!(other.ends_with(both), "{other}");
    let patches =
        train_patches(&small_encoder(), &small_dataset(), &patch_config(), &mut lets, Some(&path));
    let other = patches.unwrap_err().to_string();
    assert!(other.ends_with("this training is of patch 336-12-8"), "{other}");
    let other = resume(&waves(1), &small_config());
    assert!(other.ends_with("it was made with other pictures"), "{other}");
    let bytes = std::fs::read(&path).unwrap();
    for length in [0, 7, 8, 100, bytes.len() / 2, bytes.len() - 1] {
        std::fs::write(&path, &bytes[..length]).unwrap();
        let damaged = resume(&small_dataset(), &small_config());
        assert!(damaged.starts_with("cannot resume from "), "{damaged}");
    }
}

const FINGERPRINT: &str = "22cfddf112277faa9d01482281177ba4";

/// Number of a picture, its address, its code, and the margins of its first three bits. All of its margins are at least
/// 0.026 from zero, so that the rounding of another processor, below 0.0001, flips no bit.
const GOLDEN: [(usize, &str, &str, [f32; 3]); 4] = [
    (
        200,
        "631198f",
        "514457d244b74317d13024341e8d50cc3345f546dd2006299f54ac166b42975e",
        [-0.563_382, 0.588_123, -0.195_254],
    ),
    (
        190,
        "1f63374",
        "155ddb6a978e52ac944127593de6870b1966e0c5d1b3443bb63242d906787738",
        [-0.078_270, -2.207_627, -1.793_703],
    ),
    (
        220,
        "302e2f4",
        "5b1e53a7625331108839c2cbcdbaa81c60dcedbf34eb4bc51ac26af50c0ae68c",
        [-1.906_862, 0.723_169, -1.610_156],
    ),
    (
        46,
        "412999f",
        "69e0c2c706f72dd8423504b51f8918b0ba44e51fb128c439fb506d164b44cc5c",
        [-1.067_028, 0.426_756, 0.053_560],
    ),
];

#[test]
fn default_encoder_gives_the_recorded_codes() {
    let encoder = default_encoder(CPU).unwrap();
    for (number, address, code, margins) in GOLDEN {
        let image = [Pixels::new(waves(number)).unwrap()];
        let encoded = &encoder.encode(&image).unwrap()[0];
        assert_eq!(encoded.address.to_string(), address, "picture {number}");
        assert_eq!(encoded.code.to_string(), code, "picture {number}");
        let found = &encoder.margins(&image).unwrap()[0].code;
        for (found, expected) in found.iter().zip(margins) {
            assert!((found - expected).abs() < 1e-4, "picture {number}: {found} {expected}");
        }
    }
}

#[test]
fn default_encoder_is_the_shipped_one_and_was_trained_by_the_defaults() {
    let encoder = default_encoder(CPU).unwrap();
    assert_eq!((encoder.code_bits(), encoder.address_bits()), (256, 28));
    assert_eq!(encoder.fingerprint().to_string(), FINGERPRINT);
    let shipped = include_bytes!("../src/model/default.safetensors");
    assert!(encoder.to_bytes().unwrap() == shipped, "the file is not in its canonical form");
    assert!(shipped.len() <= 8_000_000);
    let training = encoder.training().unwrap();
    assert_eq!((&training.config, training.images), (&TrainConfig::default(), 50_000));
    assert!(training.code.bit_entropy > 0.99 && training.code.dead_bits == 0, "{training:?}");
}
