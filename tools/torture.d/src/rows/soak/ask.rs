//! Questions of every kind to a snapshot, and their answers by brute force over the state that it must
//! show. The brute force is its own: it counts bits of words that it made itself.

use anyhow::{Context as _, Result, bail, ensure};
use fastrand::Rng;
use hashdb::{Address, Filter, Neighbor, Query, Readable as _, Snapshot};

use super::load::{ADDRESS_BITS, Content, GROUPS, Model, code_of, key_of, prefix_of};

/// Which records a question admits, as the model sees it.
#[derive(Debug, Clone, Copy)]
enum Admitted {
    All,
    /// Keys of this group.
    Group(u32),
    /// Ids that leave no rest.
    EveryHundredthId,
    /// Values whose first byte is below this.
    ValuesBelow(u8),
}

/// What is looked for around an address or a code.
#[derive(Debug, Clone, Copy)]
enum Wanted {
    Nearest { k: usize },
    Approximate { k: usize },
    Within { radius: u32 },
    Ball { radius: u32 },
    BallNearest { radius: u32, k: usize },
}

/// A question and what brute force has found so far.
#[derive(Debug)]
struct Question {
    address: u32,
    code: [u64; 4],
    wanted: Wanted,
    admitted: Admitted,
    found: Vec<Neighbor>,
}

/// What a reader keeps between its rounds: a filter remembers what it has seen.
#[derive(Debug)]
pub(super) struct Reader {
    random: Rng,
    values_below: u8,
    values: Filter,
}

impl Reader {
    pub(super) fn new(seed: u64) -> Self {
        let mut random = Rng::with_seed(seed);
        let below = random.u8(1..80);
        let values = Filter::values(move |value| value.first().is_some_and(|byte| *byte < below));
        Self { random, values_below: below, values }
    }

    /// Asks one round of questions; returns how many. An answer that is wrong is an error.
    pub(super) fn ask(&mut self, snapshot: &Snapshot, model: &Model) -> Result<u64> {
        ensure!(snapshot.len() == model.records, "a snapshot has another number of records");
        let mut questions = self.questions(model);
        for (slot, held) in model.live() {
            let content = model.load.content(held.stamp);
            for question in &mut questions {
                question.consider(slot, held.id, &content);
            }
        }
        let every_hundredth: Vec<_> =
            model.live().map(|(_, held)| held.id).filter(|id| id.is_multiple_of(100)).collect();
        let mut queries = Vec::new();
        for question in &mut questions {
            question.keep_best(question.best().unwrap_or(usize::MAX));
            let query = question.query()?;
            let query = match question.admitted {
                Admitted::All => query,
                Admitted::Group(group) => query.filter(Filter::key_prefix(prefix_of(group))),
                Admitted::EveryHundredthId => query.filter(Filter::ids(every_hundredth.clone())),
                Admitted::ValuesBelow(_) => query.filter(self.values.clone()),
            };
            let answer =
                snapshot.search(&query).with_context(|| format!("{:?}", question.wanted))?;
            question.check(&answer.neighbors, answer.stats.exact)?;
            queries.push(query);
        }
        // All of them once more, side by side.
        let answers = snapshot.search_batch(&queries, 2).context("a batch of queries")?;
        for (question, answer) in questions.iter().zip(&answers) {
            question.check(&answer.neighbors, answer.stats.exact).context("in a batch")?;
        }
        Ok(2 * questions.len() as u64 + self.look_up(snapshot, model)?)
    }

    fn questions(&mut self, model: &Model) -> Vec<Question> {
        let random = &mut self.random;
        let wanted = [
            (Wanted::Ball { radius: random.u32(..4) }, Admitted::All),
            (Wanted::BallNearest { radius: 3, k: random.usize(1..20) }, Admitted::All),
            (Wanted::Nearest { k: random.usize(1..100) }, Admitted::All),
            (Wanted::Nearest { k: 10 }, Admitted::Group(random.u32(..GROUPS))),
            (Wanted::Nearest { k: 10 }, Admitted::ValuesBelow(self.values_below)),
            (Wanted::Approximate { k: 10 }, Admitted::All),
            (Wanted::Within { radius: random.u32(..30) }, Admitted::All),
            (Wanted::Within { radius: random.u32(30..105) }, Admitted::All),
            (Wanted::Within { radius: 90 }, Admitted::EveryHundredthId),
            (Wanted::Ball { radius: 2 }, Admitted::ValuesBelow(self.values_below)),
        ];
        let question = |(wanted, admitted)| {
            let (address, code) = model.load.centre(random.u64(..1100));
            Question { address, code, wanted, admitted, found: Vec::new() }
        };
        wanted.map(question).into_iter().collect()
    }

    /// Keys that are there and keys that are not, with their values.
    fn look_up(&mut self, snapshot: &Snapshot, model: &Model) -> Result<u64> {
        for _ in 0..50 {
            let slot = self.random.u32(..model.load.slots);
            let held = model.slots[slot as usize];
            let found = snapshot.get(&key_of(slot)).context("a look-up")?;
            match found {
                None => ensure!(held.stamp == 0, "the key of slot {slot} is gone"),
                Some(record) => {
                    ensure!(held.stamp > 0, "the key of slot {slot} is back");
                    ensure!(record.id == held.id, "the key of slot {slot} has an older record");
                    let value = snapshot.value(&record).context("a value")?;
                    let content = model.load.content(held.stamp);
                    ensure!(value == content.value(), "slot {slot} has another value");
                }
            }
        }
        Ok(50)
    }
}

fn distance(one: &[u64; 4], other: &[u64; 4]) -> u32 {
    one.iter().zip(other).map(|(a, b)| (a ^ b).count_ones()).sum()
}

impl Question {
    fn query(&self) -> Result<Query> {
        let code = code_of(&self.code)?;
        let address = Address::new(self.address, ADDRESS_BITS)?;
        Ok(match self.wanted {
            Wanted::Nearest { k } => Query::knn(code, k),
            Wanted::Approximate { k } => Query::approximate(code, k),
            Wanted::Within { radius } => Query::range(code, radius),
            Wanted::Ball { radius } => Query::ball(address, radius),
            Wanted::BallNearest { radius, k } => Query::ball_then_code(address, radius, code, k),
        })
    }

    /// Looks at one record of the state.
    fn consider(&mut self, slot: u32, id: u64, content: &Content) {
        let admitted = match self.admitted {
            Admitted::All => true,
            Admitted::Group(group) => slot % GROUPS == group,
            Admitted::EveryHundredthId => id.is_multiple_of(100),
            Admitted::ValuesBelow(below) => content.first_byte().is_some_and(|byte| byte < below),
        };
        if !admitted {
            return;
        }
        let of_address = (content.address ^ self.address).count_ones();
        let (distance, most) = match self.wanted {
            Wanted::Ball { radius } => (of_address, radius),
            Wanted::BallNearest { radius, .. } if of_address > radius => return,
            Wanted::BallNearest { .. } => (distance(&content.code, &self.code), u32::MAX),
            Wanted::Within { radius } => (distance(&content.code, &self.code), radius),
            Wanted::Nearest { .. } | Wanted::Approximate { .. } => {
                (distance(&content.code, &self.code), u32::MAX)
            }
        };
        if distance > most {
            return;
        }
        self.found.push(Neighbor { id, address: content.address, distance });
        // The best so far are enough; with them as a bound there is little to sort.
        if let Some(k) = self.best()
            && self.found.len() >= 4096 + k
        {
            self.keep_best(k);
        }
    }

    /// How many of the best are wanted, if not all.
    fn best(&self) -> Option<usize> {
        match self.wanted {
            Wanted::Nearest { k } | Wanted::Approximate { k } | Wanted::BallNearest { k, .. } => {
                Some(k)
            }
            Wanted::Within { .. } | Wanted::Ball { .. } => None,
        }
    }

    fn keep_best(&mut self, k: usize) {
        self.found.sort_unstable_by_key(|neighbor| (neighbor.distance, neighbor.id));
        self.found.truncate(k);
    }

    fn check(&self, answer: &[Neighbor], exact: bool) -> Result<()> {
        if matches!(self.wanted, Wanted::Approximate { .. }) && !exact {
            // It may miss some; what it shows must be no nearer than the nearest.
            ensure!(answer.len() == self.found.len(), "an approximate answer is short");
            let nearer = answer.iter().zip(&self.found);
            let wrong = nearer.filter(|(a, b)| (a.distance, a.id) < (b.distance, b.id)).count();
            ensure!(wrong == 0, "an approximate answer is nearer than the nearest");
            return Ok(());
        }
        if answer != self.found {
            bail!(
                "{:?} of {:?} around {:05x} {:x?}: {} neighbours, brute force {}",
                self.wanted,
                self.admitted,
                self.address,
                self.code,
                answer.len(),
                self.found.len()
            );
        }
        Ok(())
    }
}
