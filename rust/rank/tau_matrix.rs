//! Kendall's tau-b of all pairs of columns.
//!
//! A column is one bit for each pair of items, whether the later item is larger; the discordant pairs of two columns are
//! the bits in which they differ. The bits of some thousand pairs of items are made and counted at a time, so they stay
//! in the cache, and memory does not grow with the square of the items. Long columns are merged instead.

use std::ops::Range;

use super::bits::{self, Block, Both, Differ, DifferWithin};
use super::tau::PairCounts;
use super::{pairs, same_length, square, tau_b, tie_groups, tied_pairs};
use crate::simd::{self, Kernel, Level};
use crate::{Error, merge, threads};

/// Longer columns are merged pair by pair.
const MOST_ITEMS: usize = 4000;
/// Up to so many items are ranked by comparing all with all.
const FEW: usize = 64;
/// Pairs of items whose bits are held at a time, or those of one item if they are more.
const PAIRS_PER_PIECE: usize = 1 << 14;
/// Tasks that the pieces are dealt to.
const TASKS: usize = 16;

/// Kendall's tau-b of each pair of columns, row-major; a pair leaves out the items that either lacks (NaN).
///
/// # Errors
/// [`Error::LengthMismatch`] if the columns differ in length.
pub fn kendall_tau_matrix(columns: &[Vec<f64>]) -> Result<Vec<f64>, Error> {
    columns.iter().try_for_each(|column| same_length(column, &columns[0]))?;
    let n_items = columns.first().map_or(0, Vec::len);
    let ranked = threads::map(columns.len(), columns.len() * n_items * 30, |i| Ranked::new(&columns[i]));
    Ok(if n_items <= MOST_ITEMS { by_bits(&ranked, n_items) } else { by_merging(&ranked, n_items) })
}

/// A column with its order and ties found once.
struct Ranked {
    /// Items that have a value, smallest first; only for merging.
    order: Vec<u32>,
    n_defined: usize,
    /// 0 for the smallest value, the same for equal ones; [`MISSING`] for NaN.
    ranks: Vec<i32>,
    /// Pairs of equal values.
    tied: u64,
}

const MISSING: i32 = -1;

impl Ranked {
    fn new(x: &[f64]) -> Self {
        if x.len() <= FEW {
            return simd::widest(CountSmaller(x));
        }
        let groups = tie_groups(x); // NaN comes first or last
        let (mut order, mut ranks, mut tied) = (Vec::with_capacity(x.len()), vec![MISSING; x.len()], 0);
        for (rank, group) in (0..).zip(groups.iter().filter(|group| !x[group[0] as usize].is_nan())) {
            group.iter().for_each(|i| ranks[*i as usize] = rank);
            order.extend_from_slice(group);
            tied += pairs(group.len());
        }
        Self { n_defined: order.len(), order, ranks, tied }
    }

    fn is_complete(&self) -> bool {
        self.n_defined == self.ranks.len()
    }

    fn is_plain(&self) -> bool {
        self.tied == 0 && self.is_complete()
    }

    fn untied(&self) -> u64 {
        pairs(self.n_defined) - self.tied
    }
}

/// Ranks of few items: to compare each with all takes less time than to sort.
struct CountSmaller<'a>(&'a [f64]);

impl Kernel for CountSmaller<'_> {
    type Output = Ranked;

    #[inline(always)]
    fn run<L: Level>(self) -> Ranked {
        let (mut values, n) = ([f64::NAN; FEW], self.0.len());
        values[..n].copy_from_slice(self.0);
        let width = n.next_multiple_of(8);
        let (mut ranks, mut n_defined, mut n_equal) = (vec![MISSING; n], 0, 0);
        for (x, rank) in self.0.iter().zip(&mut ranks) {
            let (mut smaller, mut equal) = (0i64, 0i64);
            for y in &values[..width] {
                smaller += i64::from(y < x);
                equal += i64::from(y == x);
            }
            if !x.is_nan() {
                (*rank, n_defined, n_equal) = (smaller as i32, n_defined + 1, n_equal + equal as u64);
            }
        }
        Ranked { order: Vec::new(), n_defined, ranks, tied: (n_equal - n_defined as u64) / 2 }
    }
}

fn by_merging(columns: &[Ranked], n_items: usize) -> Vec<f64> {
    let nanoseconds = columns.len().pow(2) * n_items * 15;
    square(columns.len(), nanoseconds, |i, j| tau_by_merging(&columns[i], &columns[j]))
}

fn tau_by_merging(x: &Ranked, y: &Ranked) -> f64 {
    let ranks = |i: &u32| (x.ranks[*i as usize], y.ranks[*i as usize]);
    let mut shared: Vec<(i32, i32)> = x.order.iter().map(ranks).filter(|(_, y)| *y != MISSING).collect();
    let (mut tied_x, mut tied_both) = (0, 0);
    if x.tied > 0 {
        for group in shared.chunk_by_mut(|a, b| a.0 == b.0) {
            group.sort_unstable();
            tied_x += pairs(group.len());
            tied_both += tied_pairs(group, |a, b| a == b);
        }
    }
    let mut in_x_order: Vec<i32> = shared.into_iter().map(|(_, y)| y).collect();
    let discordant = merge::count_inversions(&mut in_x_order);
    let tied_y = tied_pairs(&in_x_order, |a, b| a == b);
    PairCounts { all: pairs(in_x_order.len()), tied_x, tied_y, tied_both, discordant }.tau()
}

fn by_bits(columns: &[Ranked], n_items: usize) -> Vec<f64> {
    let (n, pieces) = (columns.len(), pieces(n_items));
    let ranks: Vec<Vec<i16>> = columns.iter().map(|c| c.ranks.iter().map(|rank| *rank as i16).collect()).collect();
    let dealt = threads::blocks(pieces.len(), pieces.len().div_ceil(TASKS).max(1));
    let nanoseconds = n * (n + 30) * n_items * n_items / 1000;
    let parts = threads::map(dealt.len(), nanoseconds, |task| {
        let mut counts = vec![Counts::default(); n * n];
        for piece in &pieces[dealt[task].clone()] {
            simd::widest(Piece { columns, ranks: &ranks, items: piece.clone(), counts: &mut counts });
        }
        counts
    });
    square(n, 0, |i, j| {
        let mut sum = Counts::default();
        parts.iter().for_each(|part| sum.add(&part[i * n + j]));
        sum.tau(&columns[i], &columns[j])
    })
}

/// Ranges of first items whose pairs with all later ones make a piece.
fn pieces(n_items: usize) -> Vec<Range<usize>> {
    let (mut pieces, mut start) = (Vec::new(), 0);
    while start + 1 < n_items {
        let end = (start + (PAIRS_PER_PIECE / (n_items - start - 1)).max(1)).min(n_items);
        pieces.push(start..end);
        start = end;
    }
    pieces
}

/// How the pairs of items stand in two columns; only what the columns leave open is counted.
#[derive(Clone, Copy, Default)]
struct Counts {
    discordant: u64,
    /// Untied in both columns; counted if one has ties or gaps.
    untied_both: u64,
    /// Untied in one column, and defined in the other; counted if one has gaps.
    untied: [u64; 2],
}

impl Counts {
    fn add(&mut self, other: &Self) {
        self.discordant += other.discordant;
        self.untied_both += other.untied_both;
        self.untied[0] += other.untied[0];
        self.untied[1] += other.untied[1];
    }

    fn tau(&self, x: &Ranked, y: &Ranked) -> f64 {
        let complete = x.is_complete() && y.is_complete();
        let [untied_x, untied_y] = if complete { [x.untied(), y.untied()] } else { self.untied };
        let untied_both = if x.is_plain() && y.is_plain() { untied_x } else { self.untied_both };
        tau_b(untied_both as i64 - 2 * self.discordant as i64, untied_x, untied_y)
    }
}

/// The pairs of some items with all later ones.
struct Piece<'a> {
    columns: &'a [Ranked],
    ranks: &'a [Vec<i16>],
    items: Range<usize>,
    counts: &'a mut [Counts],
}

impl Kernel for Piece<'_> {
    type Output = ();

    #[inline(always)]
    fn run<L: Level>(self) {
        let n = self.columns.len();
        let plain = self.columns.iter().all(Ranked::is_plain);
        let complete = self.columns.iter().all(Ranked::is_complete);
        let mut rows = Vec::with_capacity(n);
        for ranks in self.ranks {
            let larger = packed(ranks, &self.items, |a, b| b > a);
            let untied = if plain { Vec::new() } else { packed(ranks, &self.items, |a, b| (a != b) & (a.min(b) >= 0)) };
            let defined = if complete { Vec::new() } else { packed(ranks, &self.items, |a, b| a.min(b) >= 0) };
            rows.push(Bits { larger, untied, defined });
        }
        for i in 0..n {
            for j in 0..=i {
                let plain = self.columns[i].is_plain() && self.columns[j].is_plain();
                let complete = self.columns[i].is_complete() && self.columns[j].is_complete();
                rows[i].count(&rows[j], plain, complete, &mut self.counts[i * n + j]);
            }
        }
    }
}

/// Bits of the pairs of each of `items` with all later ones.
#[inline(always)]
fn packed(ranks: &[i16], items: &Range<usize>, flag: impl Fn(i16, i16) -> bool) -> Vec<Block> {
    let n_pairs = pairs(ranks.len() - items.start) - pairs(ranks.len() - items.end);
    let mut flags = vec![0u16; bits::room_for(n_pairs as usize)];
    let mut start = 0;
    for i in items.clone() {
        let later = &ranks[i + 1..];
        let slots = &mut flags[start..start + later.len()];
        for (slot, rank) in slots.iter_mut().zip(later) {
            *slot = u16::from(flag(ranks[i], *rank));
        }
        start += later.len();
    }
    bits::pack(&flags)
}

/// A column's bits of the pairs of a piece; those that no column needs are left out.
struct Bits {
    larger: Vec<Block>,
    untied: Vec<Block>,
    defined: Vec<Block>,
}

impl Bits {
    #[inline(always)]
    fn count(&self, other: &Self, plain: bool, complete: bool, counts: &mut Counts) {
        let larger = Differ(&self.larger, &other.larger);
        if plain {
            counts.discordant += bits::count(&larger);
            return;
        }
        counts.discordant += bits::count(&DifferWithin(larger, Both(&self.untied, &other.untied)));
        counts.untied_both += bits::count(&Both(&self.untied, &other.untied));
        if !complete {
            counts.untied[0] += bits::count(&Both(&self.untied, &other.defined));
            counts.untied[1] += bits::count(&Both(&self.defined, &other.untied));
        }
    }
}
