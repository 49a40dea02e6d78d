//! Quantiles with linear interpolation between two neighbours.

use std::marker::PhantomData;

use super::draw::Counts;
use super::statistic::{Groups, Number, Reweighted, add, occurrences, rows_drawn};
use super::{LANES, Lanes, Sample};

/// A quantile; `N` holds the number of all rows drawn.
pub(super) struct Quantile<N> {
    level: f64,
    /// In ascending order, each with its unit.
    values: Vec<f64>,
    units: Vec<u32>,
    number: PhantomData<N>,
}

impl<N: Number> Quantile<N> {
    pub(super) fn new(sample: &Sample, level: f64) -> Self {
        let column = &sample.columns[0];
        let (values, units) =
            Groups::new(column, |row| (column[row], sample.units[row])).into_things().into_iter().unzip();
        Self { level, values, units, number: PhantomData }
    }

    /// How many of the sorted values have at most `low` and at most `high` draws up to and with themselves.
    #[inline(always)]
    fn passed(&self, counts: &[Counts], low: &Lanes<N>, high: &Lanes<N>) -> [Lanes<u32>; 2] {
        let (mut seen, mut passed) = ([N::default(); LANES], [[0; LANES]; 2]);
        for unit in &self.units {
            add(&mut seen, &occurrences(&counts[*unit as usize]));
            for lane in 0..LANES {
                passed[0][lane] += u32::from(seen[lane] <= low[lane]);
                passed[1][lane] += u32::from(seen[lane] <= high[lane]);
            }
        }
        passed
    }
}

impl<N: Number + FromFloat> Reweighted for Quantile<N> {
    type Scratch = ();

    fn scratch(&self) {}

    fn nanoseconds(&self) -> usize {
        2 * self.units.len()
    }

    #[inline(always)]
    fn values(&self, counts: &[Counts], (): &mut ()) -> Lanes<f64> {
        let rows = rows_drawn::<N>(&self.units, counts);
        let (mut low, mut high, mut share) = ([N::default(); LANES], [N::default(); LANES], [0.0; LANES]);
        for lane in 0..LANES {
            let last: f64 = rows[lane].into() - 1.0;
            let position = self.level * last;
            share[lane] = position - position.floor();
            low[lane] = N::from_float(position.floor());
            high[lane] = N::from_float((position.floor() + 1.0).min(last));
        }
        let [below, above] = self.passed(counts, &low, &high);
        let mut quantiles = [f64::NAN; LANES];
        for lane in 0..LANES {
            let ends = (self.values.get(below[lane] as usize), self.values.get(above[lane] as usize));
            if let (Some(a), Some(b)) = ends
                && rows[lane] > N::default()
            {
                quantiles[lane] = between(*a, *b, share[lane]);
            }
        }
        quantiles
    }
}

/// Whole numbers that are given as `f64`.
pub(super) trait FromFloat {
    fn from_float(x: f64) -> Self;
}

impl FromFloat for i32 {
    #[inline(always)]
    fn from_float(x: f64) -> Self {
        x as Self
    }
}

impl FromFloat for f64 {
    #[inline(always)]
    fn from_float(x: f64) -> Self {
        x
    }
}

/// The point `share` of the way from `a` to `b`, from the nearer end as NumPy does it.
#[inline(always)]
fn between(a: f64, b: f64, share: f64) -> f64 {
    if a == b {
        a
    } else if share < 0.5 {
        a + (b - a) * share
    } else {
        b - (b - a) * (1.0 - share)
    }
}
