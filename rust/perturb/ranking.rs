//! Weighted sums of a tile of draws, and the order that they put the models in.

use std::ops::Range;

use super::law::Lanes;
use super::pairs::{Place, Places};
use super::summary::Summary;
use super::{LANES, Problem, TIE_TOLERANCE, TILE};
use crate::Error;

/// Models up to which a nearly sorted order is repaired by insertion.
const FEW: usize = 64;

/// A sorting network (merge exchange: Knuth, The art of computer programming 3, 5.2.2M) over keys of 32 bits, which hold a
/// sum in fixed point and, in the lowest bits, whose it is.
pub(super) struct Sorter {
    comparators: Vec<(usize, usize)>,
    index_bits: u32,
}

impl Sorter {
    pub(super) fn new(n: usize) -> Self {
        Self { comparators: merge_exchange(n), index_bits: usize::BITS - (n - 1).leading_zeros() }
    }

    /// The bits of a key that tell whose it is.
    fn index_mask(&self) -> u32 {
        (1 << self.index_bits) - 1
    }

    /// Steps that the sums of a draw are told apart by.
    fn n_steps(&self) -> f64 {
        ((1u64 << (32 - self.index_bits)) - 2) as f64
    }

    #[inline(always)]
    fn sort<T: Copy + Ord>(&self, keys: &mut [Lanes<T>]) {
        for (a, b) in &self.comparators {
            let (x, y) = (keys[*a], keys[*b]);
            for lane in 0..LANES {
                keys[*a][lane] = x[lane].min(y[lane]);
                keys[*b][lane] = x[lane].max(y[lane]);
            }
        }
    }
}

fn merge_exchange(n: usize) -> Vec<(usize, usize)> {
    let half = n.next_power_of_two() / 2;
    let mut comparators = Vec::new();
    let mut p = half;
    while p > 0 {
        let (mut q, mut r, mut d) = (half, 0, p);
        loop {
            comparators.extend((0..n - d).filter(|i| i & p == r).map(|i| (i, i + d)));
            if q == p {
                break;
            }
            (d, q, r) = (q - p, q / 2, p);
        }
        p /= 2;
    }
    comparators
}

/// What the draws of a tile make of the ranking. Models are numbered by their place in the given one.
pub(super) struct Tile<P: Place> {
    pub(super) n_draws: usize,
    /// For each model its place in every draw.
    pub(super) places: Vec<Places<P>>,
    /// Pairs of models that are not tied, for each draw.
    pub(super) untied: [u64; TILE],
    pub(super) has_ties: bool,
    weights: Vec<Lanes>,
    sums: Vec<Lanes>,
    keys: Vec<Lanes<u32>>,
    tags: Vec<Lanes<P::Tag>>,
    order: Vec<usize>,
}

impl<P: Place> Tile<P> {
    pub(super) fn new(n_models: usize, n_metrics: usize) -> Self {
        Self {
            n_draws: 0,
            places: vec![Default::default(); n_models],
            untied: [0; TILE],
            has_ties: false,
            weights: vec![[0.0; LANES]; n_metrics],
            sums: vec![[0.0; LANES]; n_models],
            keys: vec![[0; LANES]; n_models],
            tags: vec![[P::Tag::default(); LANES]; n_models],
            order: vec![0; n_models],
        }
    }

    /// Ranks the models under these weightings, at most [`TILE`], and counts the ranks.
    #[inline(always)]
    pub(super) fn rank(&mut self, problem: &Problem, draws: Range<usize>, summary: &mut Summary) -> Result<(), Error> {
        (self.n_draws, self.has_ties) = (draws.len(), false);
        for first in draws.clone().step_by(LANES) {
            let (n, at) = (LANES.min(draws.end - first), first - draws.start);
            problem.draws.fill(first, n, &mut self.weights)?;
            self.add_up(&problem.scores);
            let is_clear = self.sort(&problem.sorter);
            self.place_all(&problem.sorter, at);
            for lane in 0..n {
                if !is_clear[lane] {
                    self.place_again(problem.sorter.index_mask(), lane, at + lane, summary);
                }
            }
            if problem.keep_draws {
                summary.keep_weights(&self.weights, n);
            }
        }
        self.leave_out(draws.len());
        Ok(())
    }

    /// Metric by metric, so that two programs that follow this order agree on ties.
    #[inline(always)]
    fn add_up(&mut self, scores: &[f64]) {
        for (sum, row) in self.sums.iter_mut().zip(scores.chunks_exact(self.weights.len())) {
            let mut lanes = [0.0; LANES];
            for (score, weight) in row.iter().zip(&self.weights) {
                for lane in 0..LANES {
                    lanes[lane] += score * weight[lane];
                }
            }
            *sum = lanes;
        }
    }

    /// Sorts the keys of each draw. True where neighbours are so far apart that they are surely in order and not tied.
    #[inline(always)]
    fn sort(&mut self, sorter: &Sorter) -> [bool; LANES] {
        let is_wide = self.make_keys(sorter);
        sorter.sort(&mut self.keys);
        let mut gap = [u32::MAX; LANES];
        for pair in self.keys.windows(2) {
            for lane in 0..LANES {
                gap[lane] = gap[lane].min(pair[1][lane].wrapping_sub(pair[0][lane]));
            }
        }
        let two_steps = if sorter.index_bits > 30 { u32::MAX } else { 2 << sorter.index_bits };
        std::array::from_fn(|lane| is_wide[lane] && gap[lane] >= two_steps)
    }

    /// Sums in fixed point between the lowest and the highest of their draw. True where a step is far above the tolerance.
    #[inline(always)]
    fn make_keys(&mut self, sorter: &Sorter) -> [bool; LANES] {
        const WHOLE: f64 = 4_503_599_627_370_496.0; // 2^52: adding it leaves a whole number in the low bits
        let (mut low, mut high) = ([f64::INFINITY; LANES], [f64::NEG_INFINITY; LANES]);
        for sum in &self.sums {
            for lane in 0..LANES {
                low[lane] = if sum[lane] < low[lane] { sum[lane] } else { low[lane] };
                high[lane] = if sum[lane] > high[lane] { sum[lane] } else { high[lane] };
            }
        }
        let (mut scale, mut is_wide) = ([0.0; LANES], [false; LANES]);
        for lane in 0..LANES {
            let range = high[lane] - low[lane];
            let magnitude = low[lane].abs().max(high[lane].abs());
            scale[lane] = sorter.n_steps() / range;
            is_wide[lane] = range > 4.0 * TIE_TOLERANCE * magnitude * sorter.n_steps() && scale[lane] > 0.0;
        }
        for (model, (key, sum)) in self.keys.iter_mut().zip(&self.sums).enumerate() {
            for lane in 0..LANES {
                let steps = ((sum[lane] - low[lane]) * scale[lane] + WHOLE).to_bits() as u32;
                key[lane] = steps << sorter.index_bits | model as u32;
            }
        }
        is_wide
    }

    /// Notes the places of the draws from `at` on as if there were no ties: sorted again, by model.
    #[inline(always)]
    fn place_all(&mut self, sorter: &Sorter, at: usize) {
        let mask = sorter.index_mask();
        for (place, (tag, key)) in self.tags.iter_mut().zip(&self.keys).enumerate() {
            for lane in 0..LANES {
                tag[lane] = P::tag(key[lane] & mask, place as u32);
            }
        }
        sorter.sort(&mut self.tags);
        for (places, tag) in self.places.iter_mut().zip(&self.tags) {
            let places = &mut places.as_flattened_mut()[at..at + LANES];
            for lane in 0..LANES {
                places[lane] = P::of_tag(tag[lane]);
            }
        }
        self.untied[at..at + LANES].fill(pairs(self.keys.len()));
    }

    /// Places one draw that may have ties: neighbours within the tolerance are tied, and neighbours of neighbours.
    fn place_again(&mut self, index_mask: u32, lane: usize, draw: usize, summary: &mut Summary) {
        let sums = &self.sums;
        let sum = |model: usize| sums[model][lane];
        for (model, key) in self.order.iter_mut().zip(&self.keys) {
            *model = (key[lane] & index_mask) as usize;
        }
        sort_by_sum(&mut self.order, sum);
        let tolerance = TIE_TOLERANCE * sums.iter().fold(0.0, |a: f64, b| a.max(b[lane].abs()));
        let is_above = |a: usize, b: usize| sum(b) - sum(a) > tolerance;
        let mut below = 0;
        for group in self.order.chunk_by(|a, b| !is_above(*a, *b)) {
            for model in group {
                self.places[*model].as_flattened_mut()[draw] = P::at(below + group.len() / 2);
            }
            below += group.len();
            self.has_ties |= group.len() > 1;
            self.untied[draw] -= pairs(group.len());
            if below == self.keys.len() && group.len() > 1 {
                summary.share_first(group);
            }
        }
    }

    /// Takes back what was noted from `draw` on, in this tile or in one before: there is no draw.
    fn leave_out(&mut self, draw: usize) {
        for places in &mut self.places {
            places.as_flattened_mut()[draw..].fill(P::NONE);
        }
    }
}

/// Few models are nearly in order already.
fn sort_by_sum(order: &mut [usize], sum: impl Fn(usize) -> f64) {
    if order.len() > FEW {
        return order.sort_unstable_by(|a, b| sum(*a).total_cmp(&sum(*b)));
    }
    for end in 1..order.len() {
        let mut i = end;
        while i > 0 && sum(order[i - 1]).total_cmp(&sum(order[i])).is_gt() {
            order.swap(i - 1, i);
            i -= 1;
        }
    }
}

/// Pairs of `n` things.
pub(super) fn pairs(n: usize) -> u64 {
    (n as u64) * (n as u64 - 1) / 2
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_network_sorts() {
        for n in 1..40 {
            let sorter = Sorter::new(n);
            let mut keys: Vec<Lanes<u32>> =
                (0..n as u32).map(|i| std::array::from_fn(|lane| (i * 7919 + 31 * lane as u32) % 101)).collect();
            let mut expected: Vec<u32> = keys.iter().map(|key| key[3]).collect();
            sorter.sort(&mut keys);
            expected.sort_unstable();
            assert_eq!(keys.iter().map(|key| key[3]).collect::<Vec<_>>(), expected);
        }
    }
}
