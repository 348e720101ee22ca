//! The text of a CSV file on its way to the parser, which tells neither on which line a row begins where lines end with
//! two characters or are empty, nor that the last quote was never closed.

use std::collections::VecDeque;
use std::io::{self, Read};

use super::MAX_ROW_BYTES;

/// What some programs put before a text. The parser passes over it only if it comes at once.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// A text whose rows are counted by their lines, and of which no row may be longer than a limit, so that a file without
/// line ends cannot fill the memory.
pub(super) struct CsvText<R> {
    inner: R,
    at: At,
    /// The first bytes, which may be a mark and are read together, and how many were handed out.
    start: Option<(Vec<u8>, usize)>,
    line: u64,
    /// The line on which the row begins that is passing by.
    row_line: u64,
    row_bytes: usize,
    /// The lines of rows that have begun and were not asked for.
    lines: VecDeque<u64>,
    /// The line on which the last quote was opened.
    quote_line: u64,
    /// Whether the last byte was a carriage return: a line feed behind it ends no other line.
    is_return: bool,
}

/// Where a text is, as the parser sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum At {
    /// Before the first byte of a row; lines without one are passed over.
    Row,
    /// Before the first byte of a field.
    Field,
    /// In a field without quotes, or behind the closed ones: quotes mean nothing there.
    Plain,
    Quoted,
    /// Behind a quote in a quoted field: it ends the field, unless another one follows.
    Quote,
}

impl<R: Read> CsvText<R> {
    pub(super) fn new(inner: R) -> Self {
        Self {
            inner,
            at: At::Row,
            start: None,
            line: 1,
            row_line: 1,
            row_bytes: 0,
            lines: VecDeque::new(),
            quote_line: 1,
            is_return: false,
        }
    }

    /// The line, from 1, on which the next row begins that the parser hands out.
    pub(super) fn next_line(&mut self) -> u64 {
        self.lines.pop_front().unwrap_or(self.line)
    }

    fn pass(&mut self, byte: u8) {
        let ends_line = byte == b'\r' || (byte == b'\n' && !self.is_return);
        let ends = byte == b'\r' || byte == b'\n';
        self.is_return = byte == b'\r';
        self.row_bytes += 1;
        if self.at == At::Row && !ends {
            self.lines.push_back(self.line);
            (self.row_line, self.row_bytes) = (self.line, 1);
            self.at = At::Field;
        }
        self.at = match (self.at, byte) {
            (At::Row, _) => At::Row,
            (At::Quoted, b'"') => At::Quote,
            (At::Quoted, _) | (At::Quote, b'"') => At::Quoted,
            (At::Field, b'"') => {
                self.quote_line = self.line;
                At::Quoted
            }
            (At::Field | At::Plain | At::Quote, b',') => At::Field,
            (At::Field | At::Plain | At::Quote, _) if ends => At::Row,
            (At::Field | At::Plain | At::Quote, _) => At::Plain,
        };
        self.line += u64::from(ends_line);
    }
}

impl<R: Read> CsvText<R> {
    /// Reads the text without a mark before it.
    fn read_text(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.start.is_none() {
            let mut start = Vec::new();
            self.inner.by_ref().take(BYTE_ORDER_MARK.len() as u64).read_to_end(&mut start)?;
            if start == BYTE_ORDER_MARK {
                start.clear();
            }
            self.start = Some((start, 0));
        }
        match &mut self.start {
            Some((start, used)) if *used < start.len() => {
                let read = (&start[*used..]).read(buffer)?;
                *used += read;
                Ok(read)
            }
            _ => self.inner.read(buffer),
        }
    }
}

impl<R: Read> Read for CsvText<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let wrong =
            |line, what| io::Error::new(io::ErrorKind::InvalidData, format!("line {line}: {what}"));
        if self.row_bytes > MAX_ROW_BYTES && self.at != At::Row {
            return Err(wrong(
                self.row_line,
                format!("the row has more than {MAX_ROW_BYTES} bytes"),
            ));
        }
        let read = self.read_text(buffer)?;
        buffer.iter().take(read).for_each(|&byte| self.pass(byte));
        if read == 0 && !buffer.is_empty() && self.at == At::Quoted {
            let what = "a quote is opened here and never closed; the rows behind it may be cut off";
            return Err(wrong(self.quote_line, what.to_owned()));
        }
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use super::CsvText;

    /// What the parser says about rows and quotes, held against what this text says.
    fn check(text: &str) -> (Vec<u64>, Option<String>) {
        let mut reader = csv::ReaderBuilder::new()
            .has_headers(false)
            .flexible(true)
            .from_reader(CsvText::new(text.as_bytes()));
        let (mut lines, mut record) = (Vec::new(), csv::ByteRecord::new());
        loop {
            match reader.read_byte_record(&mut record) {
                Ok(true) => lines.push(reader.get_mut().next_line()),
                Ok(false) => {
                    assert!(reader.get_mut().lines.is_empty(), "{text:?}");
                    return (lines, None);
                }
                Err(error) => return (lines, Some(error.to_string())),
            }
        }
    }

    #[test]
    fn rows_are_counted_by_the_lines_on_which_they_begin() {
        for end in ["\n", "\r\n", "\r"] {
            let text = ["a,b", "1,2", "", "", "3,\"x", "y\"", "4,5", "6,"].join(end);
            assert_eq!(check(&text), (vec![1, 2, 5, 7, 8], None), "{end:?}");
            assert_eq!(check(&(text + end)), (vec![1, 2, 5, 7, 8], None), "{end:?}");
        }
        assert_eq!(check("\u{feff}\"a\",b\n\n1,2\n"), (vec![1, 3], None));
        assert_eq!(check(""), (vec![], None));
        assert_eq!(check("\n\n"), (vec![], None));
    }

    /// Gives a byte at a time.
    struct Slow<'a>(&'a [u8]);

    impl std::io::Read for Slow<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
            let most = buffer.len().min(1);
            self.0.read(&mut buffer[..most])
        }
    }

    #[test]
    fn what_comes_byte_by_byte_is_the_same() {
        for text in ["\u{feff}\"a\",b\r\n\r\n1,\"2\n\"\n", "a", "", "\u{feff}", "\u{feff}x\n"] {
            let mut all = String::new();
            CsvText::new(Slow(text.as_bytes())).read_to_string(&mut all).unwrap();
            assert_eq!(all, text.trim_start_matches('\u{feff}'));
        }
        let mut cut = Vec::new();
        CsvText::new(Slow(b"\xef\xbb")).read_to_end(&mut cut).unwrap();
        assert_eq!(cut, b"\xef\xbb", "half a mark is none");
    }

    #[test]
    fn quotes_mean_what_they_mean_to_the_parser() {
        // Within a field, and behind a closed quote, they are letters.
        for text in
            ["a\"b,c\n1,2\n", "\"a\"b\",c\n1,2\n", "\"a\"\"\n\",c\n1,2\n", "a,\"\"\n1,\"\"\"\"\n"]
        {
            let (lines, error) = check(text);
            assert_eq!((lines.len(), error), (2, None), "{text:?}");
        }
    }

    #[test]
    fn a_quote_that_is_never_closed_is_told_by_its_line() {
        for text in ["a,b\n1,\"2\n3,4\n5,6\n", "a,b\n1,\"2", "a,b\n1,\"2\"\""] {
            let error = check(text).1.expect(text);
            assert!(error.contains("line 2: a quote is opened here and never closed"), "{error}");
        }
        // Any cut behind the first quote of a field and before its last one is found.
        let text = "a,b\n1,\"long value, with everything\n\"\"\"\n";
        let open = text.find('"').unwrap() + 1;
        for cut in open..text.len() - 1 {
            let closed = text[open..cut].ends_with('"') && !text[open..cut].ends_with("\"\"");
            let closed = closed || text[open..cut].ends_with("\"\"\"");
            assert_eq!(check(&text[..cut]).1.is_none(), closed, "{:?}", &text[..cut]);
        }
    }

    #[test]
    fn a_row_without_an_end_is_refused() {
        let endless = std::io::repeat(b'x').take(1 << 30);
        let mut text = CsvText::new("a,b\n".as_bytes().chain(endless));
        let failed = std::io::copy(&mut text, &mut std::io::sink()).unwrap_err().to_string();
        assert!(failed.starts_with("line 2: the row has more than "), "{failed}");
    }
}
