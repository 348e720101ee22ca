//! A database in a map, and every search by brute force: what `engine_ops` and `query_args` hold the
//! engine against.

use std::collections::BTreeMap;

use hashdb::{Address, Answer, Code, Error, Filter, Neighbor, Query, Readable};

use super::input::Input;

/// A generator whose stream is fixed: splitmix64.
#[derive(Debug, Clone)]
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A code; skewed ones repeat a few patterns with a few flipped bits.
    pub(crate) fn code(&mut self, bits: u16, skewed: bool) -> Code {
        let (mut bytes, pattern) = (vec![0; usize::from(bits / 8)], self.next() % 4);
        for byte in &mut bytes {
            *byte = if skewed { pattern.to_le_bytes()[0] } else { self.next().to_le_bytes()[0] };
        }
        let flips = if skewed { self.next() % 4 } else { 0 };
        for _ in 0..flips {
            let place = self.next().to_le_bytes();
            let length = bytes.len();
            bytes[usize::from(place[0]) % length] ^= 1 << (place[1] % 8);
        }
        Code::from_bytes(&bytes).unwrap()
    }

    /// An address; skewed ones lie in a few buckets.
    pub(crate) fn address(&mut self, bits: u8, skewed: bool) -> Address {
        let mut value = self.next();
        if skewed {
            value = ((value % 3) * 0x1234_5677) ^ (1 << (self.next() % 40));
        }
        let value = u32::try_from(value & 0xffff_ffff).unwrap() >> (32 - u32::from(bits));
        Address::new(value, bits).unwrap()
    }
}

/// A record of the model.
#[derive(Debug, Clone)]
pub(crate) struct Modelled {
    pub(crate) id: u64,
    pub(crate) address: Address,
    pub(crate) code: Code,
    pub(crate) value: Vec<u8>,
}

/// The records that must be there, by key.
#[derive(Debug, Clone)]
pub(crate) struct Model {
    pub(crate) records: BTreeMap<Vec<u8>, Modelled>,
    pub(crate) next_id: u64,
    pub(crate) code_bits: u16,
    pub(crate) address_bits: u8,
}

/// A search that the fuzzer made up, in words that the model understands.
#[derive(Debug, Clone)]
pub(crate) struct Asked {
    kind: u8,
    code: Code,
    address: Address,
    radius: u32,
    k: usize,
    effort: Option<Result<f64, usize>>,
    filter: Option<Admit>,
}

#[derive(Debug, Clone)]
enum Admit {
    Ids(Vec<u64>),
    Prefix(Vec<u8>),
    Values(u8),
}

impl Admit {
    fn filter(&self) -> Filter {
        match self.clone() {
            Self::Ids(ids) => Filter::ids(ids),
            Self::Prefix(prefix) => Filter::key_prefix(prefix),
            Self::Values(length) => Filter::values(move |value| admits_value(value, length)),
        }
    }

    fn admits(&self, key: &[u8], record: &Modelled) -> bool {
        match self {
            Self::Ids(ids) => ids.contains(&record.id),
            Self::Prefix(prefix) => key.starts_with(prefix),
            Self::Values(length) => admits_value(&record.value, *length),
        }
    }
}

fn admits_value(value: &[u8], length: u8) -> bool {
    value.len() % 5 >= usize::from(length % 6)
}

impl Model {
    pub(crate) fn new(code_bits: u16, address_bits: u8) -> Self {
        Self { records: BTreeMap::new(), next_id: 0, code_bits, address_bits }
    }

    /// What the batch does that puts this record.
    pub(crate) fn put(&mut self, key: &[u8], address: Address, code: Code, value: &[u8]) {
        let record = Modelled { id: self.next_id, address, code, value: value.to_vec() };
        self.records.insert(key.to_vec(), record);
        self.next_id += 1;
    }

    /// Makes up a search; most have the widths of the database.
    pub(crate) fn ask(&self, input: &mut Input<'_>) -> Asked {
        let (kind, how) = (input.u8() % 5, input.u8());
        let other_width = how & 0xf0 == 0xf0;
        let code_bits = if other_width { self.code_bits % 1024 + 64 } else { self.code_bits };
        let address_bits =
            if how & 0xf0 == 0xe0 { 40 - self.address_bits } else { self.address_bits };
        let mut random = Random::new(input.u16().into());
        let (mut code, mut address) =
            (random.code(code_bits, how & 1 == 1), random.address(address_bits, how & 1 == 1));
        if how & 2 == 2
            && !other_width
            && let Some(record) = self.records.values().nth(input.place(self.records.len()))
        {
            code = record.code.clone();
            address = Address::new(record.address.value(), self.address_bits).unwrap();
        }
        let radius = u32::from(input.u8());
        let radius = if radius > 240 { u32::MAX >> (radius % 32) } else { radius };
        let k = usize::from(input.u8());
        let k = if k > 240 { usize::MAX >> (k % 64) } else { k };
        let effort = match input.u8() % 8 {
            0 => Some(Ok(f64::from_bits(input.u64()))),
            1 => Some(Ok(f64::from(input.u8()) / 128.0)),
            2 => Some(Err(usize::try_from(input.u64()).unwrap_or(usize::MAX))),
            3 => Some(Err(usize::from(input.u8()))),
            _ => None,
        };
        let filter = match input.u8() % 12 {
            0 => Some(Admit::Ids((0..input.u8() % 16).map(|_| u64::from(input.u16())).collect())),
            1 => Some(Admit::Ids(vec![input.u64(), u64::MAX, 0, 1])),
            2 => Some(Admit::Prefix(input.bytes(2).to_vec())),
            3 => Some(Admit::Prefix(format!("key {}", input.u8()).into_bytes())),
            4 => Some(Admit::Values(input.u8())),
            _ => None,
        };
        Asked { kind, code, address, radius, k, effort, filter }
    }

    /// Whether the engine must refuse the search.
    fn refuses(&self, asked: &Asked) -> bool {
        let uses = |kinds: &[u8]| kinds.contains(&asked.kind);
        let wide = uses(&[0, 1, 2, 4]) && asked.code.bits() != self.code_bits
            || uses(&[3, 4]) && asked.address.bits() != self.address_bits;
        let effort = match asked.effort {
            None => false,
            Some(_) if asked.kind != 1 => true,
            Some(Ok(recall)) => !(recall > 0.0 && recall <= 1.0),
            Some(Err(lists)) => lists == 0,
        };
        wide || effort
    }

    /// Every record that the search may answer with, in the order of an exact answer.
    fn answer(&self, asked: &Asked) -> Vec<Neighbor> {
        let mut all = Vec::new();
        for (key, record) in &self.records {
            if asked.filter.as_ref().is_some_and(|filter| !filter.admits(key, record)) {
                continue;
            }
            let (distance, within) = match asked.kind {
                0 | 1 => (record.code.distance(&asked.code), true),
                2 => {
                    let distance = record.code.distance(&asked.code);
                    (distance, distance <= asked.radius)
                }
                3 => {
                    let distance = record.address.distance(asked.address);
                    (distance, distance <= asked.radius)
                }
                _ => {
                    let near = record.address.distance(asked.address) <= asked.radius;
                    (record.code.distance(&asked.code), near)
                }
            };
            if within {
                let (id, address) = (record.id, record.address.value());
                all.push(Neighbor { distance, id, address });
            }
        }
        all.sort_unstable();
        all
    }

    /// Holds an answer against the model.
    pub(crate) fn check(&self, asked: &Asked, answer: Result<Answer, Error>) {
        if self.refuses(asked) {
            let error = answer.expect_err("the search breaks a rule");
            assert!(!error.is_corruption() && !error.to_string().is_empty(), "{asked:?}: {error}");
            return;
        }
        let answer = answer.unwrap_or_else(|error| panic!("{asked:?}: {error}"));
        let mut all = self.answer(asked);
        let found = answer.neighbors;
        if asked.kind == 1 && !answer.stats.exact {
            assert!(found.is_sorted() && found.len() <= asked.k, "{asked:?}: {found:?}");
            assert!(found.windows(2).all(|pair| pair[0] < pair[1]), "{asked:?}: {found:?}");
            assert!(found.iter().all(|near| all.binary_search(near).is_ok()), "{asked:?}");
            return;
        }
        if matches!(asked.kind, 0 | 1 | 4) {
            all.truncate(asked.k);
        }
        assert!(found == all, "{asked:?}\nfound {found:?}\nexpected {all:?}");
    }
}

impl Asked {
    /// The search as the engine takes it.
    pub(crate) fn query(&self) -> Query {
        let Self { code, address, radius, k, .. } = self.clone();
        let mut query = match self.kind {
            0 => Query::knn(code, k),
            1 => Query::approximate(code, k),
            2 => Query::range(code, radius),
            3 => Query::ball(address, radius),
            _ => Query::ball_then_code(address, radius, code, k),
        };
        query = match self.effort {
            Some(Ok(recall)) => query.recall(recall),
            Some(Err(lists)) => query.probes(lists),
            None => query,
        };
        match &self.filter {
            Some(admit) => query.filter(admit.filter()),
            None => query,
        }
    }
}

/// One search, alone or with others, against the model.
pub(crate) fn search(db: &impl Readable, model: &Model, input: &mut Input<'_>) {
    let how = input.u8();
    if how & 0xc0 == 0xc0 {
        let asked: Vec<_> = (0..=how % 20).map(|_| model.ask(input)).collect();
        let queries: Vec<_> = asked.iter().map(Asked::query).collect();
        match db.search_batch(&queries, usize::from(how % 4)) {
            Ok(answers) => {
                assert_eq!(answers.len(), asked.len());
                asked
                    .iter()
                    .zip(answers)
                    .for_each(|(asked, answer)| model.check(asked, Ok(answer)));
            }
            Err(error) => {
                assert!(asked.iter().any(|asked| model.refuses(asked)), "{asked:?}: {error}");
            }
        }
        return;
    }
    let asked = model.ask(input);
    if how & 1 == 1 {
        let explained = db.explain(&asked.query());
        model.check(&asked, explained.map(|explanation| explanation.answer));
    } else {
        model.check(&asked, db.search(&asked.query()));
    }
}
