//! A weight file whose description, list of tensors and numbers are damaged: an error, or an encoder
//! that encodes and can be written again. Without damage it is the encoder that was written. Each input damages a
//! file of each kind.

use hashdb::model::{Autoencoder, DeviceChoice, Encoder as _, KmeansItq, Model, ModelKind, Pixels};

use super::input::Input;
use super::memory;

thread_local! {
    /// A small encoder of each kind and its file.
    static BASES: [(Model, Vec<u8>); 2] = {
        let network = Autoencoder::random(&[64], &[8], 1, DeviceChoice::Cpu).unwrap();
        let patches = KmeansItq::random(64, 8, 3, 2, 1).unwrap();
        [Model::Autoencoder(network), Model::KmeansItq(patches)].map(|encoder| {
            let file = encoder.to_bytes().unwrap();
            (encoder, file)
        })
    };
}

/// Damages the files and reads them.
pub fn run(data: &[u8]) {
    BASES.with(|bases| bases.iter().for_each(|(encoder, sound)| run_one(encoder, sound, data)));
}

fn run_one(encoder: &Model, sound: &[u8], data: &[u8]) {
    let mut file = sound.to_vec();
    let mut input = Input::new(data);
    let mut damages = 0;
    while !input.is_empty() && damages < 8 {
        damage(&mut file, encoder.kind(), &mut input);
        damages += 1;
    }
    let read = memory::limited(file.len(), || Model::from_bytes(&file, DeviceChoice::Cpu));
    match read {
        Ok(read) => {
            if file == sound {
                assert_eq!(read.fingerprint(), encoder.fingerprint());
            }
            let picture = Pixels::new(vec![9; Pixels::BYTES]).unwrap();
            assert_eq!(read.encode(&[picture]).unwrap().len(), 1);
            let again = read.to_bytes().unwrap();
            let again = Model::from_bytes(&again, DeviceChoice::Cpu).unwrap();
            assert_eq!(again.fingerprint(), read.fingerprint());
        }
        Err(error) => assert!(file != sound && !error.to_string().is_empty(), "{error}"),
    }
}

/// Where the list of tensors ends, as the file says, and no further than the file goes.
fn header_end(file: &[u8]) -> usize {
    let length = file.first_chunk().map_or(0, |length| u64::from_le_bytes(*length));
    usize::try_from(length).unwrap_or(usize::MAX).saturating_add(8).min(file.len())
}

/// Replaces a part of the list of tensors, under a length that agrees.
fn replace(file: &mut Vec<u8>, part: std::ops::Range<usize>, new: Vec<u8>) {
    let length = (header_end(file) + new.len()).saturating_sub(8 + part.len()) as u64;
    file.splice(part, new);
    if let Some(field) = file.first_chunk_mut() {
        *field = length.to_le_bytes();
    }
}

fn damage(file: &mut Vec<u8>, kind: ModelKind, input: &mut Input<'_>) {
    let op = input.u8();
    let end = header_end(file);
    let text = &file[8.min(end)..end];
    // A place in the text, most often behind one of the words that mean something.
    let words: [&[u8]; 12] = [
        b"{",
        b":",
        b"[",
        b"\"shape\"",
        b"\"dtype\"",
        b"\"data_offsets\"",
        b"__metadata__",
        b"hashdb",
        b"format",
        b"address",
        b"code",
        b",",
    ];
    let words = match kind {
        ModelKind::Autoencoder => words,
        // As many, so that an input damages both files alike.
        ModelKind::KmeansItq => words.map(|word| match word {
            b"{" => &b"kind"[..],
            b"format" => &b"grid"[..],
            b"address" => &b"centroids"[..],
            word => word,
        }),
    };
    let (word, turn) = (input.choose(&words), usize::from(input.u8()));
    let places: Vec<_> = (0..text.len().saturating_sub(word.len()))
        .filter(|at| text[*at..].starts_with(word))
        .collect();
    let place = places.get(turn % places.len().max(1)).map_or(0, |at| at + word.len());
    let place = (8 + place).min(end);
    match op % 8 {
        0 | 1 => {
            let gone = usize::from(input.u8() % 16).min(end - place);
            let length = usize::from(input.u8() % 32);
            let new = input.bytes(length).repeat(if op >= 240 { 200 } else { 1 });
            replace(file, place..place + gone, new);
        }
        2 => {
            let number = (input.u64() >> (input.u8() % 64)).to_string();
            let digits = file[place..end].iter().take_while(|byte| byte.is_ascii_digit()).count();
            replace(file, place..place + digits, number.into_bytes());
        }
        3 => {
            let room = file.len().min(8);
            file[..room].copy_from_slice(&input.u64().to_le_bytes()[..room]);
        }
        4 => {
            let length = input.u32() as usize % (file.len() + 1);
            file.truncate(length);
        }
        5 => file.extend(input.bytes(64)),
        _ => {
            // Numbers of the tensors: infinite ones and none at all among them.
            let place = end + input.u32() as usize % (file.len() - end).max(1);
            let value = input.choose(&[[0x00, 0x7c], [0x00, 0xfe], [0xff, 0x7b], [0x80, 0x7f]]);
            if let Some(room) = file.get_mut(place..place + 2) {
                room.copy_from_slice(&value);
            }
        }
    }
}
