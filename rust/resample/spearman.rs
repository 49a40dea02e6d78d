//! Spearman's rho of multiplicities.

use std::marker::PhantomData;

use super::draw::Counts;
use super::statistic::{Entry, Groups, Number, Reweighted, add, occurrences, rows_drawn};
use super::{LANES, Lanes, Sample};
use crate::rank::{correlation, tie_groups};

/// rho; `N` holds the number of all rows drawn, `P` its square and `S` its cube.
pub(super) struct Spearman<N, P, S> {
    /// By x; y is the row's place by y.
    by_x: Groups<Entry>,
    /// Units by y.
    by_y: Groups<u32>,
    numbers: PhantomData<(N, P, S)>,
}

impl<N: Number, P: Number + From<N>, S: Number + From<P>> Spearman<N, P, S> {
    pub(super) fn new(sample: &Sample) -> Self {
        let mut place = vec![0; sample.units.len()];
        for (row, place_by_y) in tie_groups(&sample.columns[1]).iter().flatten().zip(0..) {
            place[*row as usize] = place_by_y;
        }
        Self {
            by_x: Groups::new(&sample.columns[0], |row| Entry { unit: sample.units[row], y: place[row] }),
            by_y: Groups::new(&sample.columns[1], |row| sample.units[row]),
            numbers: PhantomData,
        }
    }
}

impl<N: Number, P: Number + From<N>, S: Number + From<P>> Reweighted for Spearman<N, P, S> {
    /// Centred rank of x of each row, by y.
    type Scratch = Vec<Lanes<N>>;

    fn scratch(&self) -> Self::Scratch {
        vec![[N::default(); LANES]; self.by_x.n_rows()]
    }

    fn nanoseconds(&self) -> usize {
        3 * self.by_x.n_rows()
    }

    #[inline(always)]
    fn values(&self, counts: &[Counts], ranks_of_x: &mut Self::Scratch) -> Lanes<f64> {
        let (mut xx, mut xy, mut yy) = ([S::default(); LANES], [S::default(); LANES], [S::default(); LANES]);
        let n = rows_drawn::<N>(self.by_y.things(), counts);
        let mut ranks = CentredRanks { below: [N::default(); LANES], not_below: n };
        for group in self.by_x.iter() {
            let mut drawn = [N::default(); LANES];
            for entry in group {
                add(&mut drawn, &occurrences(&counts[entry.unit as usize]));
            }
            let rank = ranks.next(&drawn);
            for entry in group {
                ranks_of_x[entry.y as usize] = rank;
            }
            add_products::<N, P, S>(&mut xx, &drawn, &rank, &rank);
        }
        let mut ranks = CentredRanks { below: [N::default(); LANES], not_below: n };
        let mut ranks_of_x = ranks_of_x.iter();
        for group in self.by_y.iter() {
            let mut drawn = [N::default(); LANES];
            for unit in group {
                add(&mut drawn, &occurrences(&counts[*unit as usize]));
            }
            let rank = ranks.next(&drawn);
            for (unit, rank_of_x) in group.iter().zip(&mut ranks_of_x) {
                add_products::<N, P, S>(&mut xy, &occurrences(&counts[*unit as usize]), rank_of_x, &rank);
            }
            add_products::<N, P, S>(&mut yy, &drawn, &rank, &rank);
        }
        let mut rho = [0.0; LANES];
        for lane in 0..LANES {
            rho[lane] = correlation(xy[lane].into(), xx[lane].into(), yy[lane].into());
        }
        rho
    }
}

struct CentredRanks<N> {
    below: Lanes<N>,
    not_below: Lanes<N>,
}

impl<N: Number> CentredRanks<N> {
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
