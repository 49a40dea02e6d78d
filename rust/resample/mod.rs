//! Bootstrap and jackknife of statistics that are sorted once and then only reweighted.
//!
//! A resample is a multiplicity for each unit (a row, or a cluster of rows). Sixteen resamples are worked on side by
//! side, so every statistic has one control flow for all of them. Resample `i` draws from stream `i` of the seed.

mod draw;
pub mod joint;
mod kendall;
mod quantile;
mod ratio;
mod spearman;
mod statistic;
mod two_sample;

use crate::error::unknown;
use crate::random::{Stream, draw_indices};
use crate::{Error, threads};
pub(crate) use draw::Draw;
use draw::Source;
use statistic::{Evaluate, prepare};

/// Resamples that are worked on side by side.
pub(crate) const LANES: usize = 16;

/// One number for each of the resamples worked on side by side.
pub(crate) type Lanes<T> = [T; LANES];

/// Blocks of resamples that one task works on, in the same memory.
const BLOCKS_OF_A_TASK: usize = 8;

/// A statistic that can be resampled.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Statistic {
    /// Mean of one sample.
    Mean,
    /// Mean of a first column, weighted by a second.
    WeightedMean,
    /// Quantile of one sample at a level within 0 to 1.
    Quantile(f64),
    /// Sum of a first column over the sum of a second.
    Ratio,
    /// Area under the ROC curve of two independent samples, positives first.
    RocAuc,
    /// Kolmogorov–Smirnov statistic of two independent samples.
    KsStatistic,
    /// Kendall's tau-b of paired values.
    KendallTau,
    /// Spearman's rho of paired values.
    SpearmanRho,
}

impl Statistic {
    /// The statistic called `name`; `level` is that of a quantile.
    ///
    /// # Errors
    /// [`Error::UnknownChoice`]
    pub fn named(name: &str, level: f64) -> Result<Self, Error> {
        const NAMES: &str = "\"mean\", \"weighted_mean\", \"quantile\", \"ratio\", \"roc_auc\", \"ks_statistic\", \
                             \"kendall_tau\" or \"spearman_rho\"";
        match name {
            "mean" => Ok(Self::Mean),
            "weighted_mean" => Ok(Self::WeightedMean),
            "quantile" => Ok(Self::Quantile(level)),
            "ratio" => Ok(Self::Ratio),
            "roc_auc" => Ok(Self::RocAuc),
            "ks_statistic" => Ok(Self::KsStatistic),
            "kendall_tau" => Ok(Self::KendallTau),
            "spearman_rho" => Ok(Self::SpearmanRho),
            _ => Err(unknown("statistic", name, NAMES)),
        }
    }

    /// Number of columns of each of its samples.
    fn shape(self) -> &'static [usize] {
        match self {
            Self::Mean | Self::Quantile(_) => &[1],
            Self::RocAuc | Self::KsStatistic => &[1, 1],
            Self::WeightedMean | Self::Ratio | Self::KendallTau | Self::SpearmanRho => &[2],
        }
    }
}

/// One sample: its vectors (two if paired) and the unit that each of its rows belongs to.
#[derive(Debug, Clone)]
pub struct Sample {
    /// Vectors of one length, one value a row.
    pub columns: Vec<Vec<f64>>,
    /// Unit of each row, within `0..n_units`.
    pub units: Vec<u32>,
    /// Number of units of each stratum, which lie side by side; each is resampled on its own, to its own size.
    pub strata: Vec<usize>,
}

impl Sample {
    /// Number of units of all strata.
    pub fn n_units(&self) -> usize {
        self.strata.iter().sum()
    }

    fn validate(&self) -> Result<(), Error> {
        for column in &self.columns {
            let (left, right) = (column.len(), self.units.len());
            if left != right {
                return Err(Error::LengthMismatch { left, right });
            }
        }
        let n_units = self.n_units();
        let outside = self.units.iter().find(|unit| **unit as usize >= n_units);
        if self.units.is_empty() {
            return Err(Error::Empty);
        }
        outside.map_or(Ok(()), |unit| Err(Error::UnitOutOfRange { unit: *unit, n_units }))
    }

    /// The largest number of rows that a resample can have: each stratum's largest unit time and again.
    fn most_rows(&self) -> u64 {
        let mut sizes = vec![0; self.n_units()];
        self.units.iter().for_each(|unit| sizes[*unit as usize] += 1);
        let (mut most, mut rest) = (0, &sizes[..]);
        for n_units in &self.strata {
            let (stratum, after) = rest.split_at(*n_units);
            most += *n_units as u64 * stratum.iter().copied().max().unwrap_or(0);
            rest = after;
        }
        most
    }
}

/// The statistic of `n_resamples` samples whose units are drawn with replacement; NaN where it is undefined.
///
/// # Errors
/// [`Error::SampleCount`], [`Error::LengthMismatch`], [`Error::Empty`] or [`Error::UnitOutOfRange`] for unfit samples.
pub fn bootstrap_replicates(
    samples: &[Sample],
    statistic: Statistic,
    n_resamples: usize,
    seed: u64,
) -> Result<Vec<f64>, Error> {
    let prepared = checked(samples, statistic)?;
    Ok(evaluate(&*prepared, samples, &Source::Drawn { samples, seed }, n_resamples))
}

/// The statistic without each unit in turn, one vector for each sample.
///
/// # Errors
/// As [`bootstrap_replicates`].
pub fn jackknife_values(samples: &[Sample], statistic: Statistic) -> Result<Vec<Vec<f64>>, Error> {
    let prepared = checked(samples, statistic)?;
    let mut first = 0;
    let leave_out = |sample: &Sample| {
        let n_units = sample.n_units();
        let values = evaluate(&*prepared, samples, &Source::LeaveOneOut { first, n_units }, n_units);
        first += n_units;
        values
    };
    Ok(samples.iter().map(leave_out).collect())
}

fn evaluate(prepared: &dyn Evaluate, samples: &[Sample], source: &Source<'_>, n_resamples: usize) -> Vec<f64> {
    let n_units = samples.iter().map(Sample::n_units).sum();
    let tasks = threads::blocks(n_resamples.div_ceil(LANES), BLOCKS_OF_A_TASK);
    let work = n_resamples * (prepared.cost() + n_units);
    let values = threads::map(tasks.len(), work, |task| prepared.evaluate(source, n_units, tasks[task].clone()));
    values.into_iter().flatten().take(n_resamples).collect()
}

/// `n_resamples` rows of unit indices, from the streams that [`bootstrap_replicates`] uses for sample number `stream`;
/// as many units of each stratum as it has.
pub fn resample_indices(strata: &[usize], n_resamples: usize, seed: u64, stream: u32) -> Vec<i64> {
    let n_units: usize = strata.iter().sum();
    let rows = threads::map(n_resamples, n_resamples * n_units * 4, |resample| {
        let mut row = Vec::with_capacity(n_units);
        draw_indices(&mut Stream::new(seed, stream, resample as u64), strata, |unit| row.push(unit as i64));
        row
    });
    rows.concat()
}

fn checked(samples: &[Sample], statistic: Statistic) -> Result<Box<dyn Evaluate>, Error> {
    let (wanted, seen): (_, Vec<usize>) = (statistic.shape(), samples.iter().map(|s| s.columns.len()).collect());
    if seen != wanted {
        return Err(Error::SampleCount { seen: seen.iter().sum(), wanted: wanted.iter().sum() });
    }
    samples.iter().try_for_each(Sample::validate)?;
    Ok(prepare(samples, statistic))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(columns: &[&[f64]]) -> Sample {
        let n_units = columns[0].len();
        Sample {
            columns: columns.iter().map(|c| c.to_vec()).collect(),
            units: (0..n_units as u32).collect(),
            strata: vec![n_units],
        }
    }

    #[test]
    fn a_jackknife_mean_leaves_one_out() {
        let values = jackknife_values(&[sample(&[&[1.0, 2.0, 6.0]])], Statistic::Mean).unwrap();
        assert_eq!(values, [[4.0, 3.5, 1.5]]);
    }

    #[test]
    fn replicates_are_the_statistic_of_the_drawn_rows() {
        let (x, y) = ([3.0, 1.0, 2.0, 2.0, 9.0], [1.0, 4.0, 2.0, 8.0, 5.0]);
        let replicates = bootstrap_replicates(&[sample(&[&x, &y])], Statistic::KendallTau, 40, 7).unwrap();
        let indices = resample_indices(&[5], 40, 7, 0);
        for (tau, rows) in replicates.iter().zip(indices.chunks(5)) {
            let pick = |v: &[f64]| rows.iter().map(|i| v[*i as usize]).collect::<Vec<_>>();
            let expected = crate::rank::kendall_tau(&pick(&x), &pick(&y)).unwrap();
            assert!((tau - expected).abs() < 1e-14 || (tau.is_nan() && expected.is_nan()));
        }
    }

    #[test]
    fn a_wrong_number_of_samples_is_refused() {
        let error = bootstrap_replicates(&[sample(&[&[1.0]])], Statistic::KendallTau, 1, 0).unwrap_err();
        assert_eq!(error, Error::SampleCount { seen: 1, wanted: 2 });
    }
}
