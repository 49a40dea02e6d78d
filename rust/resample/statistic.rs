//! Statistics of multiplicities: everything that depends on the data alone is done once.

use std::ops::{Add, AddAssign, Mul, Range, Sub};

use super::draw::{Counts, Source};
use super::kendall::Kendall;
use super::quantile::Quantile;
use super::ratio::Ratio;
use super::spearman::Spearman;
use super::two_sample::{Ks, RocAuc};
use super::{LANES, Lanes, Sample, Statistic};
use crate::simd::{self, Kernel, Level};

/// Numbers that hold counts of rows. `i16` and `i32` are taken where nothing can exceed them, else `f64`, which is
/// exact up to 2^53.
pub(super) trait Number:
    Copy
    + Default
    + PartialOrd
    + From<u8>
    + Into<f64>
    + Add<Output = Self>
    + AddAssign
    + Sub<Output = Self>
    + Mul<Output = Self>
    + Send
    + Sync
    + 'static
{
}

impl Number for i16 {}
impl Number for i32 {}
impl Number for f64 {}

/// How often one unit occurs, by lane.
#[inline(always)]
pub(super) fn occurrences<N: Number>(counts: &Counts) -> Lanes<N> {
    let mut occurrences = [N::default(); LANES];
    for lane in 0..LANES {
        occurrences[lane] = N::from(counts[lane]);
    }
    occurrences
}

#[inline(always)]
pub(super) fn add<N: Number>(to: &mut Lanes<N>, summands: &Lanes<N>) {
    for lane in 0..LANES {
        to[lane] += summands[lane];
    }
}

/// Number of rows drawn, from the unit of each row.
#[inline(always)]
pub(super) fn rows_drawn<N: Number>(units: &[u32], counts: &[Counts]) -> Lanes<N> {
    let mut rows = [N::default(); LANES];
    for unit in units {
        add(&mut rows, &occurrences(&counts[*unit as usize]));
    }
    rows
}

/// A statistic whose data are sorted and waiting for multiplicities.
pub(super) trait Reweighted: Send + Sync {
    /// Memory that one thread reuses from resample to resample.
    type Scratch;

    fn scratch(&self) -> Self::Scratch;

    /// A guess at the time of one resample.
    fn nanoseconds(&self) -> usize;

    /// The statistic of [`LANES`] resamples. Must be `#[inline(always)]`.
    fn values(&self, counts: &[Counts], scratch: &mut Self::Scratch) -> Lanes<f64>;
}

/// A [`Reweighted`] statistic of any kind.
pub(super) trait Evaluate: Send + Sync {
    /// The statistic of the resamples of some blocks of [`LANES`].
    fn evaluate(&self, source: &Source<'_>, n_units: usize, blocks: Range<usize>) -> Vec<f64>;

    /// [`Reweighted::nanoseconds`]
    fn cost(&self) -> usize;
}

impl<S: Reweighted> Evaluate for S {
    fn evaluate(&self, source: &Source<'_>, n_units: usize, blocks: Range<usize>) -> Vec<f64> {
        let (mut counts, mut scratch) = (vec![Counts::default(); n_units], self.scratch());
        let mut values = Vec::with_capacity(LANES * blocks.len());
        for block in blocks {
            source.fill(block, &mut counts);
            values.extend(simd::widest(Values { statistic: self, counts: &counts, scratch: &mut scratch }));
        }
        values
    }

    fn cost(&self) -> usize {
        self.nanoseconds()
    }
}

struct Values<'a, S: Reweighted> {
    statistic: &'a S,
    counts: &'a [Counts],
    scratch: &'a mut S::Scratch,
}

impl<S: Reweighted> Kernel for Values<'_, S> {
    type Output = Lanes<f64>;

    #[inline(always)]
    fn run<L: Level>(self) -> Lanes<f64> {
        self.statistic.values(self.counts, self.scratch)
    }
}

/// A statistic of data that hold a NaN.
struct Undefined;

impl Reweighted for Undefined {
    type Scratch = ();

    fn scratch(&self) {}

    fn nanoseconds(&self) -> usize {
        1
    }

    #[inline(always)]
    fn values(&self, _: &[Counts], (): &mut ()) -> Lanes<f64> {
        [f64::NAN; LANES]
    }
}

pub(super) fn prepare(samples: &[Sample], statistic: Statistic) -> Box<dyn Evaluate> {
    if samples.iter().flat_map(|sample| &sample.columns).flatten().any(|value| value.is_nan()) {
        return Box::new(Undefined);
    }
    let sample = &samples[0];
    let most: Vec<u64> = samples.iter().map(Sample::most_rows).collect();
    let products_fit = most.iter().fold(1, |product: u64, n| product.saturating_mul(*n)) <= i32::MAX as u64;
    match statistic {
        Statistic::Mean | Statistic::WeightedMean | Statistic::Ratio => Box::new(Ratio::new(sample, statistic)),
        Statistic::Quantile(level) if products_fit => Box::new(Quantile::<i32>::new(sample, level)),
        Statistic::Quantile(level) => Box::new(Quantile::<f64>::new(sample, level)),
        Statistic::RocAuc if products_fit => Box::new(RocAuc::<i32>::new(sample, &samples[1])),
        Statistic::RocAuc => Box::new(RocAuc::<f64>::new(sample, &samples[1])),
        Statistic::KsStatistic if products_fit => Box::new(Ks::<i32>::new(sample, &samples[1])),
        Statistic::KsStatistic => Box::new(Ks::<f64>::new(sample, &samples[1])),
        Statistic::KendallTau => match most[0] {
            0..=0x7fff => Box::new(Kendall::<i16, i32>::new(sample)),
            0x8000..=0x7fff_ffff => Box::new(Kendall::<i32, f64>::new(sample)),
            _ => Box::new(Kendall::<f64, f64>::new(sample)),
        },
        Statistic::SpearmanRho => match most[0] {
            // A sum of products of ranks is at most n^3 / 3.
            0..=1860 => Box::new(Spearman::<i16, i32, i32>::new(sample)),
            1861..=0x7fff => Box::new(Spearman::<i16, i32, f64>::new(sample)),
            _ => Box::new(Spearman::<f64, f64, f64>::new(sample)),
        },
    }
}

/// A row of paired values, in the order of one of them: its unit, and the dense rank of the other.
#[derive(Clone, Copy)]
pub(super) struct Entry {
    pub(super) unit: u32,
    pub(super) other: u32,
}

/// Dense ranks of a column, 0 for the smallest value, and their number.
pub(super) fn dense_ranks(column: &[f64]) -> (Vec<u32>, usize) {
    let (groups, mut dense) = (crate::rank::tie_groups(column), vec![0; column.len()]);
    for (rank, group) in (0..).zip(groups.iter()) {
        group.iter().for_each(|row| dense[*row as usize] = rank);
    }
    (dense, groups.len())
}

/// Things in an order, cut into groups of ties.
pub(super) struct Groups<T> {
    things: Vec<T>,
    sizes: Vec<u32>,
}

impl<T> Groups<T> {
    /// The rows of `column` in ascending order, each as `thing` shows it.
    pub(super) fn new(column: &[f64], thing: impl Fn(usize) -> T) -> Self {
        let groups = crate::rank::tie_groups(column);
        let sizes = groups.iter().map(|group| group.len() as u32).collect();
        Self { things: groups.iter().flatten().map(|row| thing(*row as usize)).collect(), sizes }
    }

    pub(super) fn into_things(self) -> Vec<T> {
        self.things
    }

    pub(super) fn things(&self) -> &[T] {
        &self.things
    }

    pub(super) fn n_rows(&self) -> usize {
        self.things.len()
    }

    pub(super) fn has_ties(&self) -> bool {
        self.sizes.len() < self.things.len()
    }

    #[inline(always)]
    pub(super) fn iter(&self) -> impl Iterator<Item = &[T]> {
        let mut rest = &self.things[..];
        self.sizes.iter().map(
            #[inline(always)]
            move |size| {
                let (group, after) = rest.split_at(*size as usize);
                rest = after;
                group
            },
        )
    }
}
