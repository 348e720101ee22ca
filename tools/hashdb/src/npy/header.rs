//! The header of a `.npy` file: a Python dictionary of three entries, which numpy writes in one
//! form and other programs with other quotes, spaces and orders. No recursion and no more than
//! [`MAX_BYTES`], so that no file can exhaust anything.

/// Longest header that is read, numpy's own limit; those of plain arrays have about 100 bytes.
pub(super) const MAX_BYTES: usize = 10_000;

/// What a header says.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Header {
    /// The type of an element, as in `<u4`.
    pub(super) descr: String,
    /// Whether columns, not rows, lie together.
    pub(super) fortran_order: bool,
    /// The length of each dimension.
    pub(super) shape: Vec<usize>,
}

impl Header {
    /// Reads the dictionary; an error says what is wrong with it.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let mut parser = Parser { rest: text };
        let (mut descr, mut fortran_order, mut shape) = (None, None, None);
        parser.expect('{')?;
        while !parser.takes('}') {
            let name = parser.string()?;
            parser.expect(':')?;
            let again = match name {
                "descr" => descr.replace(parser.string()?.to_owned()).is_some(),
                "fortran_order" => fortran_order.replace(parser.truth()?).is_some(),
                "shape" => shape.replace(parser.tuple()?).is_some(),
                _ => return Err(format!("its header has an unknown entry '{name}'")),
            };
            if again {
                return Err(format!("its header has two entries '{name}'"));
            }
            if !parser.takes(',') {
                parser.expect('}')?;
                break;
            }
        }
        if !parser.rest.trim_ascii().is_empty() {
            return Err("its header goes on after the closing brace".into());
        }
        let missing = |name: &str| format!("its header has no entry '{name}'");
        Ok(Self {
            descr: descr.ok_or_else(|| missing("descr"))?,
            fortran_order: fortran_order.ok_or_else(|| missing("fortran_order"))?,
            shape: shape.ok_or_else(|| missing("shape"))?,
        })
    }
}

/// What is left to be read.
struct Parser<'a> {
    rest: &'a str,
}

impl<'a> Parser<'a> {
    /// Passes over a character, if it is the next one behind spaces.
    fn takes(&mut self, wanted: char) -> bool {
        self.rest = self.rest.trim_ascii_start();
        let rest = self.rest.strip_prefix(wanted);
        self.rest = rest.unwrap_or(self.rest);
        rest.is_some()
    }

    fn expect(&mut self, wanted: char) -> Result<(), String> {
        if self.takes(wanted) { Ok(()) } else { Err(self.surprise(&format!("'{wanted}'"))) }
    }

    /// A text in single or double quotes; the texts of a header need no escapes.
    fn string(&mut self) -> Result<&'a str, String> {
        let quote = ['\'', '"'].into_iter().find(|&quote| self.takes(quote));
        let quoted = quote.and_then(|quote| self.rest.split_once(quote));
        let (text, rest) = quoted.ok_or_else(|| self.surprise("a text in quotes"))?;
        self.rest = rest;
        Ok(text)
    }

    fn truth(&mut self) -> Result<bool, String> {
        let word = self.word(|character| character.is_ascii_alphabetic());
        match word {
            "True" => Ok(true),
            "False" => Ok(false),
            _ => Err(format!("its header has '{word}' where True or False is expected")),
        }
    }

    /// Lengths in parentheses, such as `(3, 32)`, `(3,)` and `()`.
    fn tuple(&mut self) -> Result<Vec<usize>, String> {
        let mut lengths = Vec::new();
        self.expect('(')?;
        while !self.takes(')') {
            let digits = self.word(|character| character.is_ascii_digit());
            let length = digits.parse().map_err(|_| self.surprise("a length"))?;
            lengths.push(length);
            // Python 2 marked long numbers.
            self.takes('L');
            if !self.takes(',') {
                self.expect(')')?;
                break;
            }
        }
        Ok(lengths)
    }

    /// The characters that belong to a word, as many as there are.
    fn word(&mut self, belongs: impl Fn(char) -> bool) -> &'a str {
        self.rest = self.rest.trim_ascii_start();
        let end = self.rest.find(|character| !belongs(character)).unwrap_or(self.rest.len());
        let (word, rest) = self.rest.split_at(end);
        self.rest = rest;
        word
    }

    fn surprise(&self, wanted: &str) -> String {
        let found: String = self.rest.chars().take(12).collect();
        format!("its header has '{}' where {wanted} is expected", found.escape_default())
    }
}

#[cfg(test)]
mod tests {
    use super::Header;

    #[test]
    fn headers_of_several_writers_are_read() {
        let expected = Header { descr: "|u1".into(), fortran_order: false, shape: vec![3, 32] };
        for text in [
            "{'descr': '|u1', 'fortran_order': False, 'shape': (3, 32), }          \n",
            "{\"shape\":(3L,32L),\"fortran_order\":False,\"descr\":\"|u1\"}",
            " { 'descr' : '|u1' , 'shape' : ( 3 , 32 , ) , 'fortran_order' : False } ",
        ] {
            assert_eq!(Header::parse(text).as_ref(), Ok(&expected), "{text}");
        }
        let lengths = |shape| {
            let text = format!("{{'descr': '<u4', 'fortran_order': True, 'shape': {shape}}}");
            Header::parse(&text).unwrap().shape
        };
        assert_eq!(
            (lengths("()"), lengths("(7,)"), lengths("(0, 8)")),
            (vec![], vec![7], vec![0, 8])
        );
    }

    #[test]
    fn what_is_no_header_is_an_error() {
        let full = "{'descr': '|u1', 'fortran_order': False, 'shape': (3, 32), }";
        for end in 0..full.len() {
            assert!(Header::parse(&full[..end]).is_err(), "{}", &full[..end]);
        }
        for text in [
            "{'descr': [('a', '|u1')], 'fortran_order': False, 'shape': (3,), }",
            "{'descr': '|u1', 'fortran_order': 0, 'shape': (3,), }",
            "{'descr': '|u1', 'fortran_order': False, 'shape': (-3,), }",
            "{'descr': '|u1', 'fortran_order': False, 'shape': (99999999999999999999,), }",
            "{'descr': '|u1', 'descr': '|u1', 'fortran_order': False, 'shape': (3,), }",
            "{'descr': '|u1', 'fortran_order': False, 'shape': (3,), 'more': '', }",
            "{'descr': '|u1', 'fortran_order': False, 'shape': (3,), } {}",
            "{'descr': '|u1', 'fortran_order': False}",
        ] {
            assert!(Header::parse(text).is_err(), "{text}");
        }
    }
}
