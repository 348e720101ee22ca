//! Patterns of paths, for shells that leave them alone and for more files than a command line holds: `*`, `?`,
//! `[a-z]`, `[!a-z]` and `{a,b}` within a name, `**` for folders of any depth. Names are bytes and need not be
//! text, which the libraries for patterns that were at hand pass over without a word.

use std::iter;
use std::path::{Path, PathBuf};

/// Characters that make a pattern of a path.
const MAGIC: [char; 4] = ['*', '?', '[', '{'];
/// Patterns that one with braces may stand for.
const MAX_ALTERNATIVES: usize = 1024;

/// A pattern, and where to look for what it matches.
#[derive(Debug)]
pub(super) struct Pattern {
    /// What braces were expanded to.
    alternatives: Vec<Vec<Component>>,
    /// The folder that all matches lie below, empty for the current one.
    folder: PathBuf,
    /// Levels below the folder at which matches lie, at most.
    depth: usize,
    names_ending: bool,
}

/// A part between slashes.
#[derive(Debug, PartialEq, Eq)]
enum Component {
    /// `**`: any number of folders.
    Folders,
    Name(Vec<Token>),
}

#[derive(Debug, PartialEq, Eq)]
enum Token {
    Byte(u8),
    /// `?`
    One,
    /// `*`
    Any,
    /// `[a-z]` or `[!a-z]`
    Class(bool, Vec<(char, char)>),
}

impl Pattern {
    /// The pattern that a path is, if it is one, or what is wrong with it.
    pub(super) fn of(path: &Path) -> Option<Result<Self, String>> {
        let text = path.to_str()?;
        let first = text.find(MAGIC)?;
        let base = text[..first].rfind('/').map_or(0, |slash| slash + 1);
        let (folder, rest) = text.split_at(base);
        // `{a,b/c}` matches at several levels.
        let endless = rest.contains("**") || rest.contains('{');
        let depth = if endless { usize::MAX } else { rest.matches('/').count() + 1 };
        let name = rest.rsplit('/').next().unwrap_or(rest);
        let ending = name.rsplit_once('.').map(|(_, ending)| ending);
        let names_ending = ending.is_some_and(|ending| !ending.contains(MAGIC));
        let alternatives = expand(text)
            .and_then(|texts| texts.iter().map(|text| components(text)).collect::<Result<_, _>>());
        let folder = PathBuf::from(folder);
        Some(alternatives.map(|alternatives| Self { alternatives, folder, depth, names_ending }))
    }

    pub(super) fn matches(&self, path: &Path) -> bool {
        self.matches_key(path.as_os_str().as_encoded_bytes())
    }

    /// Whether something that cannot be looked at may be a match or lead to one, as a folder does.
    pub(super) fn may_lead_to(&self, path: Option<&Path>) -> bool {
        let is_folder = |path: &Path| path.symlink_metadata().is_ok_and(|meta| meta.is_dir());
        path.is_none_or(|path| self.matches(path) || is_folder(path))
    }

    /// Whether a key is that of a match.
    pub(super) fn matches_key(&self, key: &[u8]) -> bool {
        let names: Vec<_> = parts(key).collect();
        self.alternatives.iter().any(|components| match_names(components, &names))
    }

    /// Whether a key is that of a match or lies in one, a shard.
    pub(super) fn holds_key(&self, key: &[u8]) -> bool {
        let slashes = key.iter().enumerate().filter(|(_, byte)| **byte == b'/');
        slashes.map(|(at, _)| at).chain([key.len()]).any(|end| self.matches_key(&key[..end]))
    }

    /// Whether it says how names end, so that nobody asks whether they look like those of images.
    pub(super) fn names_ending(&self) -> bool {
        self.names_ending
    }

    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    pub(super) fn depth(&self) -> usize {
        self.depth
    }
}

/// The parts between slashes. Two slashes are one; one at the beginning is a part of its own.
fn parts(path: &[u8]) -> impl Iterator<Item = &[u8]> {
    let root = path.starts_with(b"/").then_some(&b"/"[..]);
    let names = path.split(|&byte| byte == b'/').filter(|part| !part.is_empty());
    root.into_iter().chain(names)
}

/// The texts that a text with braces stands for.
fn expand(text: &str) -> Result<Vec<String>, String> {
    let Some(open) = text.find('{') else { return Ok(vec![text.to_owned()]) };
    let (mut depth, mut start, mut options, mut close) = (0_usize, open + 1, Vec::new(), None);
    for (at, byte) in text.bytes().enumerate().skip(open) {
        match byte {
            b'{' => depth += 1,
            b',' if depth == 1 => {
                options.push(&text[start..at]);
                start = at + 1;
            }
            b'}' if depth == 1 => {
                options.push(&text[start..at]);
                close = Some(at);
                break;
            }
            b'}' => depth -= 1,
            _ => {}
        }
    }
    let close = close.ok_or("a { without its }")?;
    let mut expanded = Vec::new();
    for option in options {
        let one = format!("{}{option}{}", &text[..open], &text[close + 1..]);
        expanded.extend(expand(&one)?);
        if expanded.len() > MAX_ALTERNATIVES {
            return Err(format!("its braces stand for more than {MAX_ALTERNATIVES} patterns"));
        }
    }
    Ok(expanded)
}

fn components(text: &str) -> Result<Vec<Component>, String> {
    let component = |part: &[u8]| match part {
        b"**" => Ok(Component::Folders),
        // Parts end at slashes, so they are text.
        part => tokens(&String::from_utf8_lossy(part)).map(Component::Name),
    };
    parts(text.as_bytes()).map(component).collect()
}

fn tokens(name: &str) -> Result<Vec<Token>, String> {
    let mut tokens = Vec::new();
    let mut rest = name.chars();
    while let Some(next) = rest.next() {
        match next {
            '*' if tokens.last() == Some(&Token::Any) => {}
            '*' => tokens.push(Token::Any),
            '?' => tokens.push(Token::One),
            '[' => tokens.push(class(&mut rest)?),
            other => {
                let mut buffer = [0; 4];
                tokens.extend(other.encode_utf8(&mut buffer).bytes().map(Token::Byte));
            }
        }
    }
    Ok(tokens)
}

/// Reads a class to its end.
fn class(rest: &mut std::str::Chars<'_>) -> Result<Token, String> {
    let text = rest.as_str();
    let negated = text.starts_with(['!', '^']);
    let start = usize::from(negated);
    // A bracket that comes first is one of the characters.
    let first = text[start..].chars().next().map_or(0, char::len_utf8);
    let end = text[start + first..].find(']').ok_or("a [ without its ]")? + start + first;
    let inside: Vec<char> = text[start..end].chars().collect();
    *rest = text[end + 1..].chars();
    let mut ranges = Vec::new();
    let mut at = 0;
    while let Some(&from) = inside.get(at) {
        let to = inside.get(at + 2).filter(|_| inside.get(at + 1) == Some(&'-'));
        ranges.push((from, *to.unwrap_or(&from)));
        at += if to.is_some() { 3 } else { 1 };
    }
    Ok(Token::Class(negated, ranges))
}

fn match_names(components: &[Component], names: &[&[u8]]) -> bool {
    match components.split_first() {
        None => names.is_empty(),
        Some((Component::Folders, [])) => !names.is_empty(),
        Some((Component::Folders, rest)) => {
            (0..=names.len()).any(|passed| match_names(rest, &names[passed..]))
        }
        Some((Component::Name(tokens), rest)) => names
            .split_first()
            .is_some_and(|(name, names)| match_name(tokens, name) && match_names(rest, names)),
    }
}

/// Whether a name is one of those that a part stands for, in a time of at most their lengths' product.
fn match_name(tokens: &[Token], name: &[u8]) -> bool {
    let (mut token, mut at) = (0, 0);
    // The last `*`, and how much of the name it has taken.
    let mut star = None;
    loop {
        let step = match tokens.get(token) {
            None if at == name.len() => return true,
            None => None,
            Some(Token::Any) => {
                star = Some((token, at));
                token += 1;
                continue;
            }
            Some(wanted) => matched(wanted, &name[at..]),
        };
        if let Some(step) = step {
            (token, at) = (token + 1, at + step);
            continue;
        }
        let Some((place, taken)) = star.filter(|(_, taken)| *taken < name.len()) else {
            return false;
        };
        star = Some((place, taken + 1));
        (token, at) = (place + 1, taken + 1);
    }
}

/// The bytes at the beginning of a name that a token takes.
fn matched(token: &Token, name: &[u8]) -> Option<usize> {
    let &byte = name.first()?;
    let letter = iter::zip(1..=4, iter::repeat(name))
        .find_map(|(length, name)| std::str::from_utf8(name.get(..length)?).ok())
        .and_then(|text| text.chars().next());
    let length = letter.map_or(1, char::len_utf8);
    let takes = match token {
        Token::Byte(wanted) => return (*wanted == byte).then_some(1),
        Token::One => true,
        Token::Any => false,
        Token::Class(negated, ranges) => {
            let within = letter.is_some_and(|letter| {
                ranges.iter().any(|(from, to)| (*from..=*to).contains(&letter))
            });
            within != *negated
        }
    };
    takes.then_some(length)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pattern(text: &str) -> Result<Pattern, String> {
        Pattern::of(Path::new(text)).unwrap()
    }

    #[test]
    fn patterns_match_as_shells_do() {
        let cases = [
            ("*.jpg", "a.jpg .jpg a.b.jpg", "a.jpeg a/b.jpg jpg"),
            ("a/**/*.jpg", "a/b.jpg a/x/y/b.jpg", "b.jpg ab.jpg x/a/b.jpg"),
            ("a/**", "a/b a/b/c", "a b"),
            ("**/a/**/b*", "a/b x/a/y/bc", "a x/b"),
            ("?.x", "a.x \u{e9}.x \u{1f600}.x", "ab.x .x /.x"),
            ("[a-c!]x", "ax cx !x", "dx x bbx"),
            ("[!a-c]x", "dx \u{e9}x", "ax bx x"),
            ("[]a]x", "]x ax", "bx"),
            ("a[*]", "a*", "ab"),
            ("{a,b{c,d}}*", "a bc bdx ab", "b c"),
            ("{x/y,z}/a", "x/y/a z/a", "x/a y/a"),
            ("a//*", "a/b a//b", "b"),
            ("/*/a", "/x/a", "x/a /a"),
            ("*a*a*a*b", "aaab xaxaxaxb", "aaa"),
        ];
        for (text, yes, no) in cases {
            let pattern = pattern(text).unwrap();
            for path in yes.split(' ') {
                assert!(pattern.matches(Path::new(path)), "{text} matches {path}");
            }
            for path in no.split(' ') {
                assert!(!pattern.matches(Path::new(path)), "{text} does not match {path}");
            }
        }
        assert!(Pattern::of(Path::new("a/b.jpg")).is_none());
        let shard = pattern("p/*.tar").unwrap();
        assert!(shard.holds_key(b"p/a.tar/x/y.jpg") && !shard.holds_key(b"p/a.tgz/x.jpg"));
    }

    #[cfg(unix)]
    #[test]
    fn names_need_not_be_text() {
        use std::os::unix::ffi::OsStrExt as _;
        let path = |bytes| Path::new(std::ffi::OsStr::from_bytes(bytes));
        assert!(pattern("*.jpg").unwrap().matches(path(b"a\xff\xfe.jpg")));
        assert!(pattern("a??.jpg").unwrap().matches(path(b"a\xff\xfe.jpg")));
        assert!(pattern("a[!b].jpg").unwrap().matches(path(b"a\xff.jpg")));
    }

    #[test]
    fn what_is_no_pattern_is_told() {
        for (text, words) in [("a[b", "[ without"), ("a[]", "[ without"), ("{a,b", "{ without")] {
            assert!(pattern(text).unwrap_err().contains(words), "{text}");
        }
        let many = "{a,b}".repeat(11);
        assert!(pattern(&many).unwrap_err().contains("more than 1024"));
    }

    #[test]
    fn stars_take_no_more_than_the_product_of_the_lengths() {
        let many = pattern(&format!("{}b", "*a".repeat(200))).unwrap();
        assert!(!many.matches(Path::new(&"a".repeat(4000))));
    }

    #[test]
    fn a_walk_goes_no_deeper_than_matches_lie() {
        let cases = [
            ("a/b/*.jpg", "a/b/", 1, true),
            ("*/x?/*", "", 3, false),
            ("a/**/b.*", "a/", usize::MAX, false),
            ("/x/{a,b/c}.tar", "/x/", usize::MAX, true),
        ];
        for (text, folder, depth, named) in cases {
            let pattern = pattern(text).unwrap();
            assert_eq!(pattern.folder(), Path::new(folder));
            assert_eq!((pattern.depth(), pattern.names_ending()), (depth, named), "{text}");
        }
    }
}
