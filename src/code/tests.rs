//! Text, widths and balls.

use proptest::prelude::*;

use super::*;

#[test]
fn codes_have_whole_words() {
    for bytes in 0..=200 {
        let made = Code::from_bytes(&vec![0; bytes]);
        if (8..=128).contains(&bytes) && bytes % 8 == 0 {
            assert_eq!(usize::from(made.unwrap().bits()), bytes * 8);
        } else {
            let error = made.unwrap_err().to_string();
            assert_eq!(error, format!("code must have 8 to 128 bytes in steps of 8, not {bytes}"));
        }
    }
}

#[test]
fn a_code_takes_other_bytes_or_stays_what_it_was() {
    let mut code = Code::from_bytes(&[1; 8]).unwrap();
    for bytes in [&[2; 8][..], &[3; 32], &[4; 8]] {
        code.set_bytes(bytes).unwrap();
        assert_eq!(code, Code::from_bytes(bytes).unwrap());
    }
    let wrong = [5; 9];
    let expected = Code::from_bytes(&wrong).unwrap_err().to_string();
    assert_eq!(code.set_bytes(&wrong).unwrap_err().to_string(), expected);
    assert_eq!(code.as_bytes(), [4; 8]);
}

#[test]
fn unit_0_is_the_first_bit_of_the_text() {
    let code: Code = "8000000000000001".parse().unwrap();
    assert_eq!(code.as_bytes(), [0x80, 0, 0, 0, 0, 0, 0, 1]);
    assert_eq!(Address::from_hex("8000001", 28).unwrap().value(), 1 << 27 | 1);
}

#[test]
fn text_that_is_no_code_is_refused_with_a_reason() {
    for (text, rule) in [
        ("", "code must be 16 to 256 hexadecimal digits in steps of 16, not 0"),
        ("0123456789abcde", "code must be 16 to 256 hexadecimal digits in steps of 16, not 15"),
        ("0x23456789abcdef", "code must hold hexadecimal digits only, not 'x' at position 1"),
        (" 123456789abcdef", "code must hold hexadecimal digits only, not ' ' at position 0"),
        (
            "0123456789abcd\u{e9}f",
            "code must hold hexadecimal digits only, not '\u{e9}' at position 14",
        ),
    ] {
        assert_eq!(text.parse::<Code>().unwrap_err().to_string(), rule);
    }
    let long = "0".repeat(272);
    assert!(long.parse::<Code>().is_err());
}

#[test]
fn addresses_fit_their_width() {
    for bits in 8..=32 {
        let largest = u32::MAX >> (32 - bits);
        assert_eq!(Address::new(largest, bits).unwrap().value(), largest);
        if bits < 32 {
            let error = Address::new(largest + 1, bits).unwrap_err().to_string();
            assert_eq!(error, format!("address must fit {bits} bits, {:#x} does not", largest + 1));
        }
    }
    for bits in [0, 1, 7, 33, 64, 255] {
        let error = Address::new(0, bits).unwrap_err().to_string();
        assert_eq!(error, format!("address must have 8 to 32 bits, not {bits}"));
        assert_eq!(Address::from_hex("0", bits).unwrap_err().to_string(), error);
    }
}

#[test]
fn text_that_is_no_address_is_refused_with_a_reason() {
    for (text, bits, rule) in [
        ("fff", 9, "address must fit 9 bits, 0xfff does not"),
        ("1ff0", 9, "address of 9 bits must be 3 hexadecimal digits, not 4"),
        ("", 8, "address of 8 bits must be 2 hexadecimal digits, not 0"),
        ("+f", 8, "address must hold hexadecimal digits only, not '+' at position 0"),
    ] {
        assert_eq!(Address::from_hex(text, bits).unwrap_err().to_string(), rule);
    }
}

#[test]
fn balls_hold_every_mask_once_by_weight_and_value() {
    for bits in 1..=13 {
        let balls = BallMasks::new(bits, u32::from(bits) + 2);
        let mut expected: Vec<u32> = (0..1 << bits).collect();
        expected.sort_by_key(|mask| (mask.count_ones(), *mask));
        assert_eq!(balls.within(u32::MAX), expected);
        for weight in 0..=u32::from(bits) + 3 {
            let within = expected.partition_point(|mask| mask.count_ones() <= weight);
            assert_eq!(balls.within(weight), &expected[..within]);
            assert_eq!(ball_size(bits, weight), within as u64);
        }
    }
}

#[test]
fn balls_of_32_bits_do_not_overflow() {
    let balls = BallMasks::new(32, 3);
    assert_eq!(balls.within(3).len(), 1 + 32 + 496 + 4960);
    assert_eq!(balls.within(1).last(), Some(&(1 << 31)));
    assert_eq!(balls.within(9).last(), Some(&0xe000_0000));
    assert_eq!(ball_size(32, 3), 5489);
    assert_eq!(ball_size(28, 5), 122_438);
    assert_eq!(ball_size(32, 16), (1 << 31) + 601_080_390 / 2);
    assert_eq!(ball_size(32, u32::MAX), 1 << 32);
}

proptest! {
    #[test]
    fn codes_survive_text(words in 1_usize..=16, bytes in prop::array::uniform32(any::<u8>())) {
        let code = Code::from_bytes(&bytes.repeat(4)[..words * 8]).unwrap();
        let text = code.to_string();
        prop_assert_eq!(text.len(), words * 16);
        prop_assert_eq!(&text.parse::<Code>().unwrap(), &code);
        prop_assert_eq!(text.to_uppercase().parse::<Code>().unwrap(), code);
    }

    #[test]
    fn codes_sort_as_their_text(a in prop::array::uniform16(any::<u8>()), b in prop::array::uniform16(any::<u8>())) {
        let (a, b) = (Code::from_bytes(&a).unwrap(), Code::from_bytes(&b).unwrap());
        prop_assert_eq!(a.cmp(&b), a.to_string().cmp(&b.to_string()));
        prop_assert_eq!(a.distance(&b), b.distance(&a));
        prop_assert_eq!(a == b, a.distance(&b) == 0);
    }

    #[test]
    fn addresses_survive_text(value: u32, bits in 8_u8..=32) {
        let address = Address::new(value >> (32 - bits), bits).unwrap();
        let text = address.to_string();
        prop_assert_eq!(text.len(), usize::from(bits.div_ceil(4)));
        prop_assert_eq!(Address::from_hex(&text, bits).unwrap(), address);
    }

    #[test]
    fn no_text_panics(text: String, bits: u8) {
        let _ = text.parse::<Code>();
        let _ = Address::from_hex(&text, bits);
    }
}
