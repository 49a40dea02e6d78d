//! Numbers and formats of two tables, and tokens at offsets of sequences.
#![no_main]

use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;
use vestige::distribution::Space;
use vestige::divergence::{self, divergences};
use vestige::likelihood::{self, token_statistics};
use vestige::{Ragged, Rows, Table, sequence};

#[derive(Debug, Arbitrary)]
struct Input {
    p: Vec<u32>,
    q: Vec<u32>,
    formats: [u8; 2],
    n_classes: u8,
    kinds: Vec<u8>,
    order: f64,
    space: u8,
    double: bool,
    tokens: Vec<i64>,
    offsets: Vec<i64>,
}

const DIVERGENCES: [&str; 9] =
    ["kl", "reverse_kl", "js", "tv", "squared_hellinger", "chi_squared", "renyi", "cross_entropy", "entropy"];
const STATISTICS: [&str; 7] =
    ["token_log_prob", "logsumexp", "entropy", "rank", "argmax_hit", "log_prob_mean", "log_prob_variance"];
const SPACES: [Space; 3] = [Space::Logits, Space::LogProbs, Space::Probs];

fuzz_target!(|input: Input| {
    let [p, q] = [Values::of(&input.p), Values::of(&input.q)];
    let n_classes = usize::from(input.n_classes);
    let (Some(p), Some(q)) = (p.table(input.formats[0], n_classes), q.table(input.formats[1], n_classes)) else {
        return;
    };
    input.compare(p, q);
    input.look_up(p);
});

impl Input {
    fn compare(&self, p: Table<'_>, q: Table<'_>) {
        let named =
            |kind: &u8| divergence::Kind::named(DIVERGENCES[usize::from(*kind) % DIVERGENCES.len()], self.order);
        let kinds: Vec<_> = self.kinds.iter().take(20).flat_map(named).collect();
        let space = SPACES[usize::from(self.space) % SPACES.len()];
        if let Ok(values) = divergences(p, q, &kinds, space, self.double) {
            assert!(values.len() == kinds.len() && values.iter().all(|rows| rows.len() == p.n_rows()));
            for (kind, rows) in kinds.iter().zip(&values) {
                let bounded = matches!(kind, divergence::Kind::Js | divergence::Kind::Tv | divergence::Kind::Hellinger);
                assert!(!bounded || rows.iter().all(|value| value.is_nan() || (0.0..=1.0 + 1e-6).contains(value)));
            }
        }
    }

    fn look_up(&self, logits: Table<'_>) {
        let named = |kind: &u8| STATISTICS[usize::from(*kind) % STATISTICS.len()].parse::<likelihood::Kind>();
        let kinds: Vec<_> = self.kinds.iter().take(20).flat_map(named).collect();
        let Ok(statistics) = token_statistics(logits, &self.tokens, &kinds) else { return };
        assert_eq!(statistics.len(), kinds.len());
        for values in &statistics {
            if let Ok(ragged) = Ragged::new(values, &self.offsets) {
                assert_eq!(sequence::means(ragged).len(), self.offsets.len() - 1);
            }
        }
    }
}

/// The same numbers in every format.
struct Values {
    single: Vec<f32>,
    double: Vec<f64>,
    bfloat: Vec<half::bf16>,
    half: Vec<half::f16>,
}

impl Values {
    fn of(bits: &[u32]) -> Self {
        let single: Vec<f32> = bits.iter().map(|bits| f32::from_bits(*bits)).collect();
        Self {
            double: single.iter().map(|x| f64::from(*x)).collect(),
            bfloat: single.iter().map(|x| half::bf16::from_f32(*x)).collect(),
            half: single.iter().map(|x| half::f16::from_f32(*x)).collect(),
            single,
        }
    }

    fn table(&self, format: u8, n_classes: usize) -> Option<Table<'_>> {
        match format % 4 {
            0 => rows(&self.single, n_classes),
            1 => rows(&self.double, n_classes),
            2 => rows(&self.bfloat, n_classes),
            _ => rows(&self.half, n_classes),
        }
    }
}

fn rows<'a, T>(values: &'a [T], n_classes: usize) -> Option<Table<'a>>
where
    Table<'a>: From<Rows<'a, T>>,
{
    let n_rows = values.len().checked_div(n_classes)?;
    Rows::new(values, n_rows, n_classes, n_classes).ok().map(Table::from)
}
