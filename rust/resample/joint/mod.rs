//! Joint bootstrap of a whole table: every model's mean on every metric, over the same drawn examples.
//!
//! The means of [`LANES`] resamples are a matrix product, multiplicities times sums by unit, in `f64` and in the
//! order of the units. Nothing is kept of a resample but its part in the summary.

mod differences;
mod moments;
mod order;

use std::ops::Range;

use super::{Draw, LANES, Lanes};
use crate::simd::{self, Kernel, Level};
use crate::{Error, threads};
pub use differences::{difference_maxima, replicate_maxima};
pub use moments::Moments;
use moments::{Origins, Sums};
use order::{Order, RankCounts};

/// Models whose sums are in registers at once: with 16 resamples side by side, 12 of AVX2's 16.
const TILE: usize = 3;

/// Resamples in one task, and tasks whose summaries are in memory at once.
const RESAMPLES_PER_BLOCK: usize = 16 * LANES;
const BLOCKS_PER_WAVE: usize = 64;

/// The values of every model on one metric.
#[derive(Debug, Clone)]
pub struct Metric {
    /// `[model * n_rows + row]`.
    pub values: Vec<f64>,
    /// Unit of each row, within the units of its sample.
    pub units: Vec<u32>,
    /// Number of its sample; metrics of one sample share the drawn units.
    pub sample: usize,
    /// Whether the model with the largest mean has rank 1.
    pub higher_is_better: bool,
}

/// Models by metrics.
#[derive(Debug, Clone)]
pub struct Table {
    /// Number of models.
    pub n_models: usize,
    /// The metrics.
    pub metrics: Vec<Metric>,
    /// Number of units in each sample.
    pub n_units: Vec<usize>,
}

/// What is kept of the resamples one by one.
#[derive(Debug, Clone, Copy, Default)]
pub struct Keep {
    /// Means.
    pub means: bool,
    /// tau-b of pairs of metrics.
    pub tau: bool,
}

/// What became of the table over all resamples.
#[derive(Debug, Clone, PartialEq)]
pub struct JointBootstrap {
    /// Means, `[model * n_metrics + metric]`.
    pub means: Moments,
    /// tau-b over models between two metrics, both turned so that higher is better, by pair (0, 0), (0, 1), (1, 1), (0, 2), …
    pub tau: Moments,
    /// `[(model * n_metrics + metric) * n_models + rank - 1]`: resamples with that rank (a tie's midrank rounded down).
    pub rank_counts: Vec<u64>,
    /// `[model * n_metrics + metric]`: resamples in which the model came first; tied ones share a resample.
    pub first_counts: Vec<f64>,
    /// Resamples without ranks by metric, because a model's mean is NaN.
    pub n_unranked: Vec<u64>,
}

/// Draws the units of each sample `n_resamples` times, the same for every model, and summarises means, ranks and tau.
///
/// Sample `s` draws from stream `s` of the seed.
///
/// # Errors
/// [`Error::Empty`], [`Error::LengthMismatch`], [`Error::SampleCount`] or [`Error::UnitOutOfRange`] for an unfit table.
pub fn joint_bootstrap(table: &Table, n_resamples: usize, seed: u64, keep: Keep) -> Result<JointBootstrap, Error> {
    table.validate()?;
    let problem = Problem::new(table, seed);
    let mut total = Summary::new(&problem, keep);
    let blocks = threads::blocks(n_resamples, RESAMPLES_PER_BLOCK);
    for wave in blocks.chunks(BLOCKS_PER_WAVE) {
        let work = wave.len() * RESAMPLES_PER_BLOCK * problem.nanoseconds();
        let block = |i: usize| simd::widest(Summarise { problem: &problem, resamples: wave[i].clone(), keep });
        threads::map(wave.len(), work, block).into_iter().for_each(|part| total.merge(part));
    }
    Ok(total.finish())
}

impl Table {
    fn validate(&self) -> Result<(), Error> {
        if self.n_models == 0 || self.metrics.is_empty() {
            return Err(Error::Empty);
        }
        self.metrics.iter().try_for_each(|metric| metric.validate(self.n_models, &self.n_units))
    }
}

impl Metric {
    fn validate(&self, n_models: usize, n_units: &[usize]) -> Result<(), Error> {
        if self.units.is_empty() {
            return Err(Error::Empty);
        }
        let (left, right) = (self.values.len(), n_models * self.units.len());
        if left != right {
            return Err(Error::LengthMismatch { left, right });
        }
        let n_units =
            *n_units.get(self.sample).ok_or(Error::SampleCount { seen: n_units.len(), wanted: self.sample + 1 })?;
        let outside = self.units.iter().find(|unit| **unit as usize >= n_units);
        outside.map_or(Ok(()), |unit| Err(Error::UnitOutOfRange { unit: *unit, n_units }))
    }
}

/// Sums of the values by unit, and how many there are.
struct UnitSums {
    /// `[tile][unit][model within the tile]`.
    tiles: Vec<Vec<[f64; TILE]>>,
    /// Rows of each unit; nothing where all have the same.
    sizes: Option<Vec<f64>>,
    n_rows: f64,
    finite: bool,
}

impl UnitSums {
    fn new(metric: &Metric, n_models: usize, n_units: usize) -> Self {
        let n_rows = metric.units.len();
        let mut tiles = vec![vec![[0.0; TILE]; n_units]; n_models.div_ceil(TILE)];
        for (model, values) in metric.values.chunks_exact(n_rows).enumerate() {
            for (value, unit) in values.iter().zip(&metric.units) {
                tiles[model / TILE][*unit as usize][model % TILE] += value;
            }
        }
        let mut sizes = vec![0.0; n_units];
        metric.units.iter().for_each(|unit| sizes[*unit as usize] += 1.0);
        let same = sizes.iter().all(|size| *size == sizes[0]);
        let finite = tiles.iter().flatten().flatten().all(|sum| sum.is_finite());
        Self { tiles, sizes: (!same).then_some(sizes), n_rows: n_rows as f64, finite }
    }

    /// The mean of each model in the resamples of these multiplicities.
    #[inline(always)]
    fn means(&self, counts: &[Lanes<f64>], means: &mut [Lanes<f64>]) {
        let n_rows = self.n_rows(counts);
        for (tile, means) in self.tiles.iter().zip(means.chunks_mut(TILE)) {
            let sums = if self.finite { drawn_sums::<true>(counts, tile) } else { drawn_sums::<false>(counts, tile) };
            for (mean, sum) in means.iter_mut().zip(&sums) {
                for lane in 0..LANES {
                    mean[lane] = sum[lane] / n_rows[lane];
                }
            }
        }
    }

    #[inline(always)]
    fn n_rows(&self, counts: &[Lanes<f64>]) -> Lanes<f64> {
        let Some(sizes) = &self.sizes else { return [self.n_rows; LANES] };
        let mut total = [0.0; LANES];
        for (count, size) in counts.iter().zip(sizes) {
            for lane in 0..LANES {
                total[lane] += count[lane] * size;
            }
        }
        total
    }
}

/// Multiplicities times sums by unit. What was not drawn counts for nothing, even where it is not finite.
#[inline(always)]
fn drawn_sums<const FINITE: bool>(counts: &[Lanes<f64>], tile: &[[f64; TILE]]) -> [Lanes<f64>; TILE] {
    let mut sums = [[0.0; LANES]; TILE];
    for (count, values) in counts.iter().zip(tile) {
        for model in 0..TILE {
            for lane in 0..LANES {
                let product = count[lane] * values[model];
                sums[model][lane] += if FINITE || count[lane] != 0.0 { product } else { 0.0 };
            }
        }
    }
    sums
}

struct Problem<'a> {
    table: &'a Table,
    sums: Vec<UnitSums>,
    seed: u64,
    observed: Vec<f64>,
    origins: Vec<f64>,
    observed_tau: Vec<f64>,
    origins_of_tau: Vec<f64>,
}

impl<'a> Problem<'a> {
    fn new(table: &'a Table, seed: u64) -> Self {
        let sums = |metric: &Metric| UnitSums::new(metric, table.n_models, table.n_units[metric.sample]);
        let sums = table.metrics.iter().map(sums).collect();
        let [observed, origins, observed_tau, origins_of_tau] = [const { Vec::new() }; 4];
        let mut problem = Self { table, sums, seed, observed, origins, observed_tau, origins_of_tau };
        let once: Vec<_> = table.n_units.iter().map(|n| vec![[1.0; LANES]; *n]).collect();
        let mut work = Work::new(&problem);
        problem.evaluate(&once, &mut work);
        problem.observed = work.in_table_order(&problem).map(|lanes| lanes[0]).collect();
        problem.observed_tau = work.tau.iter().map(|lanes| lanes[0]).collect();
        (problem.origins, problem.origins_of_tau) = problem.find_origins(&mut work);
        problem
    }

    /// [`Origins`] of means and tau, from resamples of the first block if need be.
    fn find_origins(&self, work: &mut Work) -> (Vec<f64>, Vec<f64>) {
        let (mut means, mut tau) = (Origins::new(&self.observed), Origins::new(&self.observed_tau));
        for first in (0..RESAMPLES_PER_BLOCK).step_by(LANES) {
            if means.are_known() && tau.are_known() {
                break;
            }
            self.evaluate(&self.drawn(first), work);
            means.look_in(work.in_table_order(self));
            tau.look_in(work.tau.iter());
        }
        (means.into_values(), tau.into_values())
    }

    fn n_metrics(&self) -> usize {
        self.table.metrics.len()
    }

    fn nanoseconds(&self) -> usize {
        let n = self.table.n_models;
        let product: usize = self.table.metrics.iter().map(|metric| metric.units.len() * n / 8).sum();
        let n_pairs = n * n / 2;
        product + self.n_metrics() * n_pairs + self.n_metrics().pow(2) * (20 + n_pairs / 100)
    }

    /// Multiplicities by sample and unit of the resamples from `first` on.
    #[inline(always)]
    fn drawn(&self, first: usize) -> Vec<Vec<Lanes<f64>>> {
        let mut drawn = Vec::with_capacity(self.table.n_units.len());
        for (stream, n_units) in (0..).zip(&self.table.n_units) {
            let counts = simd::widest(Draw { n_units: *n_units, seed: self.seed, stream, first });
            drawn.push(as_floats(&counts));
        }
        drawn
    }

    #[inline(always)]
    fn evaluate(&self, counts: &[Vec<Lanes<f64>>], work: &mut Work) {
        for (k, (sums, metric)) in self.sums.iter().zip(&self.table.metrics).enumerate() {
            sums.means(&counts[metric.sample], &mut work.means[k]);
            work.orders[k].compare(&work.means[k], metric.higher_is_better);
        }
        let mut pair = 0;
        for b in 0..self.n_metrics() {
            for a in 0..=b {
                work.tau[pair] = work.orders[a].tau(&work.orders[b]);
                pair += 1;
            }
        }
    }
}

#[inline(always)]
pub(super) fn as_floats(counts: &[Lanes<u32>]) -> Vec<Lanes<f64>> {
    let mut floats = vec![[0.0; LANES]; counts.len()];
    for (float, count) in floats.iter_mut().zip(counts) {
        for lane in 0..LANES {
            float[lane] = f64::from(count[lane]);
        }
    }
    floats
}

/// What [`LANES`] resamples come to.
struct Work {
    /// `[metric][model]`.
    means: Vec<Vec<Lanes<f64>>>,
    orders: Vec<Order>,
    tau: Vec<Lanes<f64>>,
}

impl Work {
    fn new(problem: &Problem) -> Self {
        let (n_models, n_metrics) = (problem.table.n_models, problem.n_metrics());
        Self {
            means: vec![vec![[0.0; LANES]; n_models]; n_metrics],
            orders: vec![Order::new(n_models); n_metrics],
            tau: vec![[0.0; LANES]; n_metrics * (n_metrics + 1) / 2],
        }
    }

    /// Means by model and metric.
    fn in_table_order(&self, problem: &Problem) -> impl Iterator<Item = &Lanes<f64>> {
        (0..problem.table.n_models).flat_map(|model| self.means.iter().map(move |metric| &metric[model]))
    }
}

/// The summary of some resamples.
struct Summarise<'a> {
    problem: &'a Problem<'a>,
    resamples: Range<usize>,
    keep: Keep,
}

impl<'a> Kernel for Summarise<'a> {
    type Output = Summary<'a>;

    #[inline(always)]
    fn run<L: Level>(self) -> Summary<'a> {
        let mut summary = Summary::new(self.problem, self.keep);
        let mut work = Work::new(self.problem);
        for first in self.resamples.clone().step_by(LANES) {
            self.problem.evaluate(&self.problem.drawn(first), &mut work);
            summary.add(&work, (self.resamples.end - first).min(LANES));
        }
        summary
    }
}

struct Summary<'a> {
    problem: &'a Problem<'a>,
    means: Sums<'a>,
    tau: Sums<'a>,
    ranks: Vec<RankCounts>,
}

impl<'a> Summary<'a> {
    fn new(problem: &'a Problem<'a>, keep: Keep) -> Self {
        Self {
            problem,
            means: Sums::new(&problem.observed, &problem.origins, keep.means),
            tau: Sums::new(&problem.observed_tau, &problem.origins_of_tau, keep.tau),
            ranks: vec![RankCounts::new(problem.table.n_models); problem.n_metrics()],
        }
    }

    #[inline(always)]
    fn add(&mut self, work: &Work, n_valid: usize) {
        let (n_models, n_metrics) = (self.problem.table.n_models, self.problem.n_metrics());
        for model in 0..n_models {
            for metric in 0..n_metrics {
                self.means.add(model * n_metrics + metric, &work.means[metric][model], n_valid);
            }
        }
        for (pair, tau) in work.tau.iter().enumerate() {
            self.tau.add(pair, tau, n_valid);
        }
        self.means.keep(work.in_table_order(self.problem), n_valid);
        self.tau.keep(work.tau.iter(), n_valid);
        for (counts, order) in self.ranks.iter_mut().zip(&work.orders) {
            counts.add(order, n_valid);
        }
    }

    fn merge(&mut self, part: Self) {
        self.means.merge(part.means);
        self.tau.merge(part.tau);
        self.ranks.iter_mut().zip(part.ranks).for_each(|(sum, part)| sum.merge(part));
    }

    fn finish(self) -> JointBootstrap {
        let by_model = |model: usize| self.ranks.iter().map(move |metric| (model, metric));
        let cells = || (0..self.problem.table.n_models).flat_map(by_model);
        JointBootstrap {
            rank_counts: cells().flat_map(|(model, metric)| metric.of_model(model).iter().copied()).collect(),
            first_counts: cells().map(|(model, metric)| metric.first[model]).collect(),
            n_unranked: self.ranks.iter().map(|metric| metric.n_unranked).collect(),
            means: self.means.finish(),
            tau: self.tau.finish(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(values: &[f64], n_models: usize) -> Table {
        let n_rows = values.len() / n_models;
        let units = (0..n_rows as u32).collect();
        let metric = Metric { values: values.to_vec(), units, sample: 0, higher_is_better: true };
        Table { n_models, metrics: vec![metric.clone(), metric], n_units: vec![n_rows] }
    }

    #[test]
    fn one_example_leaves_nothing_to_chance() {
        let result = joint_bootstrap(&table(&[3.0, 1.0], 2), 20, 0, Keep::default()).unwrap();
        assert_eq!((result.means.mean, result.means.sd), (vec![3.0, 3.0, 1.0, 1.0], vec![0.0; 4]));
        assert_eq!(result.rank_counts, [20, 0, 20, 0, 0, 20, 0, 20]);
        assert_eq!((result.tau.mean, result.first_counts), (vec![1.0; 3], vec![20.0, 20.0, 0.0, 0.0]));
    }

    #[test]
    fn unfit_tables_are_refused() {
        let mut unfit = table(&[3.0, 1.0], 2);
        unfit.n_units = vec![];
        assert!(joint_bootstrap(&unfit, 1, 0, Keep::default()).is_err());
        unfit.n_units = vec![0];
        assert!(joint_bootstrap(&unfit, 1, 0, Keep::default()).is_err());
        unfit.metrics[0].values.pop();
        assert!(joint_bootstrap(&unfit, 1, 0, Keep::default()).is_err());
    }
}
