//! Sizes in bytes on the command line.

use std::str::FromStr;

/// A number of bytes: `4096`, `512KiB`, `64M`, `1.5GiB`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Size(usize);

impl Size {
    pub(crate) fn bytes(self) -> usize {
        self.0
    }
}

impl FromStr for Size {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
        let (number, unit) = text.split_at(end);
        let shift =
            match unit.trim().to_ascii_lowercase().trim_end_matches('b').trim_end_matches('i') {
                "" => 0,
                "k" => 10,
                "m" => 20,
                "g" => 30,
                "t" => 40,
                _ => return Err(format!("{unit} is no unit of bytes: KiB, MiB, GiB, TiB")),
            };
        let number: f64 = number.parse().map_err(|_| "a size is a number and a unit".to_owned())?;
        let bytes = number * 2_f64.powi(shift);
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "saturates")]
        let bytes = bytes as usize;
        Ok(Self(bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::Size;

    #[test]
    fn sizes_have_units_or_are_bytes() {
        let size = |text: &str| text.parse::<Size>().map(Size::bytes);
        for (text, bytes) in
            [("0", 0), ("4096", 4096), ("1KiB", 1024), ("2k", 2048), ("1.5MB", 3 << 19)]
        {
            assert_eq!(size(text), Ok(bytes), "{text}");
        }
        assert_eq!(size("1GiB"), Ok(1 << 30));
        for wrong in ["", "x", "1XB", "-1", "1.2.3G"] {
            assert!(size(wrong).is_err(), "{wrong}");
        }
    }
}
