//! Shapes, strides, numbers and token ids of tables.
#![no_main]

use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;
use vestige::distribution::Space;
use vestige::likelihood::{self, token_log_probs};
use vestige::{Rows, Table};

#[derive(Debug, Arbitrary)]
struct Input {
    bits: Vec<u32>,
    n_rows: usize,
    n_classes: usize,
    stride: usize,
    /// Shapes of a byte instead, which are often right.
    small: bool,
    tokens: Vec<i64>,
    classes: Vec<u8>,
}

/// Rows that lie on one another could be any number.
const MOST_ROWS: usize = 300;

fuzz_target!(|input: Input| {
    let single: Vec<f32> = input.bits.iter().map(|bits| f32::from_bits(*bits)).collect();
    let double: Vec<f64> = single.iter().map(|x| f64::from(*x)).collect();
    let wide: Vec<half::bf16> = single.iter().map(|x| half::bf16::from_f32(*x)).collect();
    check(input.rows(&single), &input);
    check(input.rows(&double), &input);
    check(input.rows(&wide), &input);
});

impl Input {
    fn rows<'a, T>(&self, data: &'a [T]) -> Option<Rows<'a, T>> {
        let [n_rows, n_classes, stride] =
            [self.n_rows, self.n_classes, self.stride].map(|n| if self.small { n % 128 } else { n });
        let rows = Rows::new(data, n_rows, n_classes, stride).ok()?;
        assert_eq!(rows.row(n_rows - 1).len(), n_classes);
        (n_rows <= MOST_ROWS).then_some(rows)
    }
}

fn check<'a, T: Copy>(rows: Option<Rows<'a, T>>, input: &Input)
where
    Table<'a>: From<Rows<'a, T>>,
{
    let Some(rows) = rows else { return };
    let (table, n_rows, n_classes) = (Table::from(rows), rows.n_rows(), rows.n_classes() as i64);
    assert_eq!(likelihood::logsumexp(table).len(), n_rows);
    if let Ok(log_probs) = token_log_probs(table, &input.tokens) {
        assert!(input.tokens.iter().all(|token| *token == -100 || (0..n_classes).contains(token)));
        assert_eq!(log_probs.len(), n_rows);
    }
    let tokens: Vec<i64> = input.classes.iter().map(|class| i64::from(*class) % n_classes).collect();
    assert_eq!(token_log_probs(table, &tokens).is_ok(), tokens.len() == n_rows);
    for space in [Space::Logits, Space::LogProbs, Space::Probs] {
        assert!(likelihood::entropy(table, space).is_ok_and(|h| h.len() == n_rows) || space != Space::Logits);
    }
}
