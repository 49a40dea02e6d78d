//! Kendall's tau-b of multiplicities.

use std::marker::PhantomData;

use super::draw::Counts;
use super::statistic::{Entry, Groups, Number, Reweighted, add, occurrences};
use super::{LANES, Lanes, Sample};
use crate::rank::{correlation, tie_groups};

/// tau-b; `N` holds the number of all rows drawn, `P` its square.
pub(super) struct Kendall<N, P> {
    /// By x; y is a dense rank.
    by_x: Groups<Entry>,
    n_y: usize,
    numbers: PhantomData<(N, P)>,
}

impl<N: Number, P: Number + From<N>> Kendall<N, P> {
    pub(super) fn new(sample: &Sample) -> Self {
        let (groups, mut dense) = (tie_groups(&sample.columns[1]), vec![0; sample.units.len()]);
        for (rank, group) in (0..).zip(groups.iter()) {
            group.iter().for_each(|row| dense[*row as usize] = rank);
        }
        let by_x = Groups::new(&sample.columns[0], |row| Entry { unit: sample.units[row], y: dense[row] });
        Self { by_x, n_y: groups.len(), numbers: PhantomData }
    }
}

/// Rows drawn so far by dense rank of y: their running sums, and themselves.
pub(super) struct Seen<N> {
    tree: Fenwick<N>,
    by_y: Vec<Lanes<N>>,
}

impl<N: Number, P: Number + From<N>> Reweighted for Kendall<N, P> {
    type Scratch = Seen<N>;

    fn scratch(&self) -> Seen<N> {
        Seen { tree: Fenwick(vec![[N::default(); LANES]; self.n_y + 1]), by_y: vec![[N::default(); LANES]; self.n_y] }
    }

    fn nanoseconds(&self) -> usize {
        3 * self.by_x.n_rows()
    }

    #[inline(always)]
    fn values(&self, counts: &[Counts], Seen { tree, by_y }: &mut Seen<N>) -> Lanes<f64> {
        tree.0.fill([N::default(); LANES]);
        by_y.fill([N::default(); LANES]);
        let (mut net, mut seen) = ([P::default(); LANES], [N::default(); LANES]);
        let (mut tied_x, mut tied_y) = ([P::default(); LANES], [P::default(); LANES]);
        for group in self.by_x.iter() {
            for entry in group {
                let (less, equal) = (tree.below(entry.y as usize), &by_y[entry.y as usize]);
                let times = occurrences::<P>(&counts[entry.unit as usize]);
                for lane in 0..LANES {
                    let less_than_greater = (less[lane] - seen[lane]) + (less[lane] + equal[lane]);
                    net[lane] += times[lane] * P::from(less_than_greater);
                }
            }
            let mut drawn = [N::default(); LANES];
            for entry in group {
                let times = occurrences(&counts[entry.unit as usize]);
                tree.add(entry.y as usize, &times);
                add(&mut drawn, &times);
                let equal = &mut by_y[entry.y as usize];
                for lane in 0..LANES {
                    let (before, more) = (P::from(equal[lane]), P::from(times[lane]));
                    tied_y[lane] += more * (before + before + more); // (before + more)^2 - before^2
                    equal[lane] += times[lane];
                }
            }
            add(&mut seen, &drawn);
            for lane in 0..LANES {
                tied_x[lane] += P::from(drawn[lane]) * P::from(drawn[lane]);
            }
        }
        let mut tau = [0.0; LANES];
        for lane in 0..LANES {
            // Twice the number of pairs, without and with those of a row and itself.
            let pairs = seen[lane].into() * seen[lane].into();
            let (untied_x, untied_y) = (pairs - tied_x[lane].into(), pairs - tied_y[lane].into());
            tau[lane] = correlation(2.0 * net[lane].into(), untied_x, untied_y);
        }
        tau
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
