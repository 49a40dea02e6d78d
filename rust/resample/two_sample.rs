//! Statistics of two independent samples.

use std::marker::PhantomData;

use super::draw::Counts;
use super::statistic::{Groups, Number, Reweighted, add, occurrences, rows_drawn};
use super::{LANES, Lanes, Sample};

/// A row of one of two samples: its unit among those of both.
#[derive(Clone, Copy)]
struct Row {
    unit: u32,
    second: bool,
}

/// Rows of both samples by ascending value, in groups of ties.
fn merged(first: &Sample, second: &Sample) -> Groups<Row> {
    let (n_rows, n_units) = (first.units.len(), first.n_units() as u32);
    let both = [&first.columns[0][..], &second.columns[0]].concat();
    Groups::new(&both, |row| match row.checked_sub(n_rows) {
        None => Row { unit: first.units[row], second: false },
        Some(row) => Row { unit: n_units + second.units[row], second: true },
    })
}

/// `P(first > second) + ½ P(equal)`; `N` holds the product of the numbers of rows drawn.
pub(super) struct RocAuc<N> {
    /// All rows so that each of the first sample comes before its ties of the second, and then so that it comes after;
    /// only one of the two orders where no row has such ties.
    orders: Vec<Vec<Row>>,
    number: PhantomData<N>,
}

impl<N: Number> RocAuc<N> {
    pub(super) fn new(first: &Sample, second: &Sample) -> Self {
        let groups = merged(first, second);
        let order = |first_first: bool| {
            let mut rows = Vec::with_capacity(groups.n_rows());
            for group in groups.iter() {
                rows.extend(group.iter().filter(|row| row.second != first_first));
                rows.extend(group.iter().filter(|row| row.second == first_first));
            }
            rows
        };
        let tied = groups.iter().any(|group| group.iter().any(|row| row.second != group[0].second));
        let orders = if tied { vec![order(true), order(false)] } else { vec![order(true)] };
        Self { orders, number: PhantomData }
    }
}

/// Counts that are kept for rows of the second sample.
const KEPT: [u8; 2] = [0, u8::MAX];

impl<N: Number> Reweighted for RocAuc<N> {
    type Scratch = ();

    fn scratch(&self) {}

    fn nanoseconds(&self) -> usize {
        2 * self.orders.iter().map(Vec::len).sum::<usize>()
    }

    #[inline(always)]
    fn values(&self, counts: &[Counts], (): &mut ()) -> Lanes<f64> {
        let (mut wins, mut drawn) = ([0.0; LANES], [[N::default(); LANES]; 2]);
        for order in &self.orders {
            let (mut won, mut above, mut below) = ([N::default(); LANES], [N::default(); LANES], [N::default(); LANES]);
            for row in order {
                let (mut first, mut second, kept) =
                    (counts[row.unit as usize], [0; LANES], KEPT[usize::from(row.second)]);
                for lane in 0..LANES {
                    second[lane] = first[lane] & kept;
                    first[lane] &= !kept;
                }
                let first = occurrences::<N>(&first);
                add(&mut below, &occurrences(&second));
                add(&mut above, &first);
                for lane in 0..LANES {
                    won[lane] += first[lane] * below[lane];
                }
            }
            for lane in 0..LANES {
                wins[lane] += won[lane].into();
            }
            drawn = [above, below];
        }
        for lane in 0..LANES {
            let (above, below): (f64, f64) = (drawn[0][lane].into(), drawn[1][lane].into());
            wins[lane] /= self.orders.len() as f64 * above * below;
        }
        wins
    }
}

/// The largest distance of two distribution functions; `N` holds the product of the numbers of rows drawn.
pub(super) struct Ks<N> {
    groups: Groups<Row>,
    /// Unit of each row of the first sample, and of the second, among those of both.
    units: [Vec<u32>; 2],
    number: PhantomData<N>,
}

impl<N: Number> Ks<N> {
    pub(super) fn new(first: &Sample, second: &Sample) -> Self {
        let n_units = first.n_units() as u32;
        let units = [first.units.clone(), second.units.iter().map(|unit| n_units + unit).collect()];
        Self { groups: merged(first, second), units, number: PhantomData }
    }
}

impl<N: Number> Reweighted for Ks<N> {
    type Scratch = ();

    fn scratch(&self) {}

    fn nanoseconds(&self) -> usize {
        2 * self.groups.n_rows()
    }

    #[inline(always)]
    fn values(&self, counts: &[Counts], (): &mut ()) -> Lanes<f64> {
        let drawn = [rows_drawn::<N>(&self.units[0], counts), rows_drawn::<N>(&self.units[1], counts)];
        let mut steps = [drawn[1], drawn[0]];
        for lane in 0..LANES {
            steps[1][lane] = N::default() - steps[1][lane];
        }
        let (mut distance, mut largest) = ([N::default(); LANES], [N::default(); LANES]);
        for group in self.groups.iter() {
            for row in group {
                let (times, step) = (occurrences::<N>(&counts[row.unit as usize]), &steps[usize::from(row.second)]);
                for lane in 0..LANES {
                    distance[lane] += times[lane] * step[lane];
                }
            }
            for lane in 0..LANES {
                let opposite = N::default() - distance[lane];
                let size = if distance[lane] < opposite { opposite } else { distance[lane] };
                largest[lane] = if largest[lane] < size { size } else { largest[lane] };
            }
        }
        let mut share = [0.0; LANES];
        for lane in 0..LANES {
            share[lane] = largest[lane].into() / (drawn[0][lane].into() * drawn[1][lane].into());
        }
        share
    }
}
