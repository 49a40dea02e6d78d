//! Two samples in order, and what can be told by walking through both.

use std::ops::Range;

use super::lacks_values;
use crate::rank::key;
use crate::{radix, threads};

/// Elements of one task, together with those of the other sample between the same values.
const PIECE: usize = 1 << 16;
/// Nanoseconds that an element takes while walking.
const NANOSECONDS: usize = 4;

/// Keys of two samples in ascending order, each with a last key above all others.
pub(super) struct Sorted {
    pub(super) first: Vec<u64>,
    pub(super) second: Vec<u64>,
}

/// The key that stands after the last element; no number has it.
pub(super) const END: u64 = u64::MAX;

impl Sorted {
    /// Nothing if a sample is empty or has a NaN.
    pub(super) fn new(first: &[f64], second: &[f64]) -> Option<Self> {
        Self::by(first, second, key)
    }

    /// The same with the largest value first.
    pub(super) fn descending(first: &[f64], second: &[f64]) -> Option<Self> {
        Self::by(first, second, |x| !key(x))
    }

    fn by(first: &[f64], second: &[f64], key: impl Fn(f64) -> u64 + Sync) -> Option<Self> {
        if lacks_values(first) || lacks_values(second) {
            return None;
        }
        let sorted = |x: &[f64], depth: u32| {
            let mut keys = Vec::with_capacity(x.len() + 1);
            keys.extend(x.iter().map(|v| key(*v)));
            radix::sort_halves(&mut keys, depth);
            keys.push(END);
            keys
        };
        let n = first.len() + second.len();
        let balanced = first.len().min(second.len()) * 2 > first.len().max(second.len());
        let (first, second) = threads::halving(n, PIECE, radix::NANOSECONDS, |depth| match depth {
            0 => (sorted(first, 0), sorted(second, 0)),
            _ if balanced => threads::join(depth, || sorted(first, depth - 1), || sorted(second, depth - 1)),
            _ => (sorted(first, depth), sorted(second, depth)),
        });
        Some(Self { first, second })
    }

    pub(super) fn sizes(&self) -> (usize, usize) {
        (self.first.len() - 1, self.second.len() - 1)
    }

    /// How many pairs have the second below the first, and how many the first below the second.
    pub(super) fn wins(&self) -> (u64, u64) {
        let (n, m) = self.sizes();
        let parts = self.pieces(|first, second| {
            let (mut below, mut not_above) = (Walk::new(&first, &second), Walk::new(&first, &second));
            let (mut wins, mut not_lost) = (0, 0);
            for _ in 0..first.len() + second.len() {
                wins += below.step(self, |second, first| second < first);
                not_lost += not_above.step(self, |second, first| second <= first);
            }
            (wins, not_lost)
        });
        let (wins, not_lost) = parts.iter().fold((0, 0), |sum, part| (sum.0 + part.0, sum.1 + part.1));
        (wins, n as u64 * m as u64 - not_lost)
    }

    /// The largest excess of the first distribution function over the second, and of the second over the first, both
    /// times the product of the sizes.
    pub(super) fn largest_gaps(&self) -> (u64, u64) {
        let (n, m) = self.sizes();
        let parts = self.pieces(|first, second| {
            let before = first.start as i64 * m as i64 - second.start as i64 * n as i64;
            self.gaps_within((first, second), before, (n, m))
        });
        let (highest, lowest) = parts.iter().fold((0, 0), |sum, part| (sum.0.max(part.0), sum.1.min(part.1)));
        (highest.unsigned_abs(), lowest.unsigned_abs())
    }

    /// The highest and the lowest gap within ranges of both samples that hold the same values, and `before` them; `sizes`
    /// are those of the whole samples.
    pub(super) fn gaps_within(
        &self,
        (first, second): (Range<usize>, Range<usize>),
        before: i64,
        (n, m): (usize, usize),
    ) -> (i64, i64) {
        let (mut i, mut j, mut gap, mut highest, mut lowest) = (first.start, second.start, before, before, before);
        for _ in 0..first.len() + second.len() {
            let (a, b) = (self.first[i], self.second[j]);
            let (taken, from_first) = (a.min(b), a <= b);
            i += usize::from(from_first);
            j += usize::from(!from_first);
            gap += if from_first { m as i64 } else { -(n as i64) };
            // Within a run of equal values neither function has its value yet.
            let complete = self.first[i].min(self.second[j]) != taken;
            let known = if complete { gap } else { before };
            (highest, lowest) = (known.max(highest), known.min(lowest));
        }
        (highest, lowest)
    }

    /// What `f` makes of ranges of both samples that hold the same values; cut by the sizes alone.
    fn pieces<R: Send>(&self, f: impl Fn(Range<usize>, Range<usize>) -> R + Send + Sync) -> Vec<R> {
        let (n, m) = self.sizes();
        let longer = if n < m { &self.second[..m] } else { &self.first[..n] };
        let cut = |start: usize| {
            let value = if start < longer.len() { longer[start] } else { END };
            (self.first.partition_point(|key| *key < value), self.second.partition_point(|key| *key < value))
        };
        let blocks = threads::blocks(longer.len(), PIECE);
        threads::map(blocks.len(), (n + m) * NANOSECONDS, |k| {
            let start = if k == 0 { (0, 0) } else { cut(blocks[k].start) };
            let end = cut(blocks[k].end);
            f(start.0..end.0, start.1..end.1)
        })
    }

    /// Visits each value of either sample in order with how often either sample holds it.
    pub(super) fn for_each_value(&self, mut visit: impl FnMut(u64, usize, usize)) {
        let (mut i, mut j) = (0, 0);
        loop {
            let key = self.first[i].min(self.second[j]);
            if key == END {
                return;
            }
            let (in_first, in_second) = (run(&self.first[i..], key), run(&self.second[j..], key));
            visit(key, in_first, in_second);
            (i, j) = (i + in_first, j + in_second);
        }
    }
}

/// How many of the first keys are `key`.
#[inline(always)]
fn run(keys: &[u64], key: u64) -> usize {
    keys.iter().take_while(|k| **k == key).count()
}

/// A place in both samples.
struct Walk {
    i: usize,
    j: usize,
}

impl Walk {
    fn new(first: &Range<usize>, second: &Range<usize>) -> Self {
        Self { i: first.start, j: second.start }
    }

    /// Takes one element; if of the first sample, tells how many of the second came before it.
    #[inline(always)]
    fn step(&mut self, sorted: &Sorted, second_comes: impl Fn(u64, u64) -> bool) -> u64 {
        let take_second = second_comes(sorted.second[self.j], sorted.first[self.i]);
        let before = self.j as u64 & u64::from(!take_second).wrapping_neg();
        self.i += usize::from(!take_second);
        self.j += usize::from(take_second);
        before
    }
}
