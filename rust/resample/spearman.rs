//! Spearman's rho of multiplicities.

use std::marker::PhantomData;

use super::draw::Counts;
use super::statistic::{Entry, Groups, Number, Reweighted, add, dense_ranks, occurrences, rows_drawn};
use super::{LANES, Lanes, Sample};
use crate::rank::correlation;

/// rho; `N` holds the number of all rows drawn, `P` its square and `S` its cube.
pub(super) struct Spearman<N, P, S> {
    /// Units by x.
    by_x: Groups<u32>,
    by_y: Groups<Entry>,
    n_x: usize,
    numbers: PhantomData<(N, P, S)>,
}

impl<N: Number, P: Number + From<N>, S: Number + From<P>> Spearman<N, P, S> {
    pub(super) fn new(sample: &Sample) -> Self {
        let (dense, n_x) = dense_ranks(&sample.columns[0]);
        Self {
            by_x: Groups::new(&sample.columns[0], |row| sample.units[row]),
            by_y: Groups::new(&sample.columns[1], |row| Entry { unit: sample.units[row], other: dense[row] }),
            n_x,
            numbers: PhantomData,
        }
    }
}

impl<N: Number, P: Number + From<N>, S: Number + From<P>> Reweighted for Spearman<N, P, S> {
    /// Centred rank of each value of x.
    type Scratch = Vec<Lanes<N>>;

    fn scratch(&self) -> Self::Scratch {
        vec![[N::default(); LANES]; self.n_x]
    }

    fn nanoseconds(&self) -> usize {
        3 * self.by_x.n_rows()
    }

    #[inline(always)]
    fn values(&self, counts: &[Counts], ranks_of_x: &mut Self::Scratch) -> Lanes<f64> {
        let n = rows_drawn::<N>(self.by_x.things(), counts);
        let (mut ranks, mut xx) = (CentredRanks::new(n), Squares::<P, S>::new(&self.by_x));
        for (group, rank) in self.by_x.iter().zip(ranks_of_x.iter_mut()) {
            let drawn = rows_drawn::<N>(group, counts);
            *rank = ranks.next(&drawn);
            xx.add(&drawn, rank);
        }
        let (mut ranks, mut yy) = (CentredRanks::new(n), Squares::<P, S>::new(&self.by_y));
        let mut xy = [S::default(); LANES];
        for group in self.by_y.iter() {
            let mut drawn = [N::default(); LANES];
            for entry in group {
                add(&mut drawn, &occurrences(&counts[entry.unit as usize]));
            }
            let rank = ranks.next(&drawn);
            for entry in group {
                let times = occurrences(&counts[entry.unit as usize]);
                add_products::<N, P, S>(&mut xy, &times, &ranks_of_x[entry.other as usize], &rank);
            }
            yy.add(&drawn, &rank);
        }
        let mut rho = [0.0; LANES];
        for lane in 0..LANES {
            let n = n[lane].into();
            rho[lane] = correlation(xy[lane].into(), xx.total(n, lane), yy.total(n, lane));
        }
        rho
    }
}

/// The sum of squares of centred ranks.
struct Squares<P, S> {
    has_ties: bool,
    /// Without ties, from which the sum follows: those of how often each row was drawn.
    cubes: Lanes<P>,
    squares: Lanes<S>,
}

impl<P: Number, S: Number + From<P>> Squares<P, S> {
    #[inline(always)]
    fn new<T>(groups: &Groups<T>) -> Self {
        Self { has_ties: groups.has_ties(), cubes: [P::default(); LANES], squares: [S::default(); LANES] }
    }

    #[inline(always)]
    fn add<N: Number>(&mut self, drawn: &Lanes<N>, rank: &Lanes<N>)
    where
        P: From<N>,
    {
        if self.has_ties {
            return add_products::<N, P, S>(&mut self.squares, drawn, rank, rank);
        }
        for lane in 0..LANES {
            // At most 255^2 times the rows drawn, which `i32` holds for as many as `i16` does.
            self.cubes[lane] += P::from(drawn[lane]) * P::from(drawn[lane]) * P::from(drawn[lane]);
        }
    }

    /// With `n` rows drawn.
    #[inline(always)]
    fn total(&self, n: f64, lane: usize) -> f64 {
        if self.has_ties { self.squares[lane].into() } else { (n * n * n - self.cubes[lane].into()) / 3.0 }
    }
}

struct CentredRanks<N> {
    below: Lanes<N>,
    not_below: Lanes<N>,
}

impl<N: Number> CentredRanks<N> {
    #[inline(always)]
    fn new(n: Lanes<N>) -> Self {
        Self { below: [N::default(); LANES], not_below: n }
    }

    /// Twice the midrank of the next group less `n + 1`: what is below it less what is above it.
    #[inline(always)]
    fn next(&mut self, drawn: &Lanes<N>) -> Lanes<N> {
        let mut rank = [N::default(); LANES];
        for lane in 0..LANES {
            self.not_below[lane] = self.not_below[lane] - drawn[lane];
            rank[lane] = self.below[lane] - self.not_below[lane];
            self.below[lane] += drawn[lane];
        }
        rank
    }
}

#[inline(always)]
fn add_products<N: Number, P: Number + From<N>, S: Number + From<P>>(
    to: &mut Lanes<S>,
    times: &Lanes<N>,
    x: &Lanes<N>,
    y: &Lanes<N>,
) {
    for lane in 0..LANES {
        to[lane] += S::from(P::from(times[lane])) * S::from(P::from(x[lane]) * P::from(y[lane]));
    }
}
