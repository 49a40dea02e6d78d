//! Kendall's tau-b of multiplicities.

use std::marker::PhantomData;

use super::draw::Counts;
use super::statistic::{Entry, Groups, Number, Reweighted, add, dense_ranks, occurrences};
use super::{LANES, Lanes, Sample};
use crate::rank::correlation;

/// tau-b; `N` holds the number of all rows drawn, `P` its square.
pub(super) struct Kendall<N, P> {
    /// By x; y is a dense rank.
    by_x: Groups<Entry>,
    n_y: usize,
    numbers: PhantomData<(N, P)>,
}

impl<N: Number, P: Number + From<N>> Kendall<N, P> {
    pub(super) fn new(sample: &Sample) -> Self {
        let (dense, n_y) = dense_ranks(&sample.columns[1]);
        let by_x = Groups::new(&sample.columns[0], |row| Entry { unit: sample.units[row], other: dense[row] });
        Self { by_x, n_y, numbers: PhantomData }
    }
}

/// Rows drawn so far by dense rank of y.
pub(super) struct Seen<N> {
    tree: Fenwick<N>,
    /// Themselves, if y has ties.
    by_y: Vec<Lanes<N>>,
}

impl<N: Number, P: Number + From<N>> Reweighted for Kendall<N, P> {
    type Scratch = Seen<N>;

    fn scratch(&self) -> Seen<N> {
        let n_tied = if self.n_y < self.by_x.n_rows() { self.n_y } else { 0 };
        Seen { tree: Fenwick(vec![[N::default(); LANES]; self.n_y + 1]), by_y: vec![[N::default(); LANES]; n_tied] }
    }

    fn nanoseconds(&self) -> usize {
        3 * self.by_x.n_rows()
    }

    #[inline(always)]
    fn values(&self, counts: &[Counts], Seen { tree, by_y }: &mut Seen<N>) -> Lanes<f64> {
        let none = [N::default(); LANES];
        tree.0.fill(none);
        by_y.fill(none);
        let (mut net, mut seen) = ([P::default(); LANES], none);
        let (mut tied_x, mut tied_y) = ([P::default(); LANES], [P::default(); LANES]);
        for group in self.by_x.iter() {
            let mut drawn = none;
            for entry in group {
                let times = occurrences(&counts[entry.unit as usize]);
                let less = tree.below(entry.other as usize);
                let mut less_than_greater = difference(&less, &seen);
                add(&mut less_than_greater, &less);
                if let Some(equal) = by_y.get(entry.other as usize) {
                    add(&mut less_than_greater, equal);
                }
                add_products(&mut net, &times, &less_than_greater);
                add(&mut drawn, &times);
            }
            for entry in group {
                let times = occurrences(&counts[entry.unit as usize]);
                tree.add(entry.other as usize, &times);
                add_products(&mut tied_y, &times, &times);
                if let Some(before) = by_y.get_mut(entry.other as usize) {
                    add_products(&mut tied_y, &times, before);
                    add_products(&mut tied_y, &times, before);
                    add(before, &times);
                }
            }
            add(&mut seen, &drawn);
            add_products(&mut tied_x, &drawn, &drawn);
        }
        tau(&net, &seen, &tied_x, &tied_y)
    }
}

/// tau-b from the net number of concordant pairs, and from twice the number of tied ones with each row and itself.
#[inline(always)]
fn tau<N: Number, P: Number>(net: &Lanes<P>, n: &Lanes<N>, tied_x: &Lanes<P>, tied_y: &Lanes<P>) -> Lanes<f64> {
    let mut tau = [0.0; LANES];
    for lane in 0..LANES {
        let pairs = n[lane].into() * n[lane].into();
        let (untied_x, untied_y) = (pairs - tied_x[lane].into(), pairs - tied_y[lane].into());
        tau[lane] = correlation(2.0 * net[lane].into(), untied_x, untied_y);
    }
    tau
}

#[inline(always)]
fn difference<N: Number>(a: &Lanes<N>, b: &Lanes<N>) -> Lanes<N> {
    let mut difference = [N::default(); LANES];
    for lane in 0..LANES {
        difference[lane] = a[lane] - b[lane];
    }
    difference
}

#[inline(always)]
fn add_products<N: Number, P: Number + From<N>>(to: &mut Lanes<P>, a: &Lanes<N>, b: &Lanes<N>) {
    for lane in 0..LANES {
        to[lane] += P::from(a[lane]) * P::from(b[lane]);
    }
}

/// Running sums over dense ranks, for all lanes at once (Fenwick 1994).
struct Fenwick<N>(Vec<Lanes<N>>);

impl<N: Number> Fenwick<N> {
    #[inline(always)]
    fn add(&mut self, rank: usize, times: &Lanes<N>) {
        let mut node = rank + 1;
        while node < self.0.len() {
            add(&mut self.0[node], times);
            node += node & node.wrapping_neg();
        }
    }

    /// Total of the ranks below `rank`.
    #[inline(always)]
    fn below(&self, rank: usize) -> Lanes<N> {
        let (mut total, mut node) = ([N::default(); LANES], rank);
        while node > 0 {
            add(&mut total, &self.0[node]);
            node &= node - 1;
        }
        total
    }
}
