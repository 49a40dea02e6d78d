//! Bootstrap and jackknife of statistics that are sorted once and then only reweighted.
//!
//! A resample is a multiplicity for each unit (a row, or a cluster of rows). Sixteen resamples are worked on side by
//! side, so every statistic has one control flow for all of them. Resample `i` draws from stream `i` of the seed.

pub mod joint;
mod statistic;

use std::str::FromStr;

use crate::error::unknown;
use crate::random::{SHORT_INDEX, Stream, counter_of, draw_indices, key_of, philox_lanes};
use crate::simd::{self, Kernel, Level};
use crate::{Error, threads};
use statistic::Prepared;

/// Resamples that are worked on side by side.
pub(crate) const LANES: usize = 16;

/// One number for each of the resamples worked on side by side.
pub(crate) type Lanes<T> = [T; LANES];

/// A statistic that can be resampled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Statistic {
    /// Mean of one sample.
    Mean,
    /// Area under the ROC curve of two independent samples, positives first.
    RocAuc,
    /// Kendall's tau-b of paired values.
    KendallTau,
    /// Spearman's rho of paired values.
    SpearmanRho,
}

impl FromStr for Statistic {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self, Error> {
        match name {
            "mean" => Ok(Self::Mean),
            "roc_auc" => Ok(Self::RocAuc),
            "kendall_tau" => Ok(Self::KendallTau),
            "spearman_rho" => Ok(Self::SpearmanRho),
            _ => Err(unknown("statistic", name, "\"mean\", \"roc_auc\", \"kendall_tau\" or \"spearman_rho\"")),
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
    /// Number of units.
    pub n_units: usize,
}

impl Sample {
    fn validate(&self) -> Result<(), Error> {
        for column in &self.columns {
            let (left, right) = (column.len(), self.units.len());
            if left != right {
                return Err(Error::LengthMismatch { left, right });
            }
        }
        let outside = self.units.iter().find(|unit| **unit as usize >= self.n_units);
        if self.units.is_empty() {
            return Err(Error::Empty);
        }
        outside.map_or(Ok(()), |unit| Err(Error::UnitOutOfRange { unit: *unit, n_units: self.n_units }))
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
    let prepared = prepare(samples, statistic)?;
    let blocks = threads::blocks(n_resamples, LANES);
    let replicates = threads::map(blocks.len(), n_resamples * prepared.nanoseconds(), |block| {
        prepared.evaluate(&drawn_counts(samples, seed, blocks[block].start))
    });
    Ok(replicates.into_iter().flatten().take(n_resamples).collect())
}

/// The statistic without each unit in turn, one vector for each sample.
///
/// # Errors
/// As [`bootstrap_replicates`].
pub fn jackknife_values(samples: &[Sample], statistic: Statistic) -> Result<Vec<Vec<f64>>, Error> {
    let prepared = prepare(samples, statistic)?;
    let leave_out = |left: usize| {
        let n_units = samples[left].n_units;
        let blocks = threads::blocks(n_units, LANES);
        let values = threads::map(blocks.len(), n_units * prepared.nanoseconds(), |block| {
            let mut counts = full_counts(samples);
            blocks[block].clone().zip(0..).for_each(|(unit, lane): (usize, usize)| counts[left][unit][lane] = 0);
            prepared.evaluate(&counts)
        });
        values.into_iter().flatten().take(n_units).collect()
    };
    Ok((0..samples.len()).map(leave_out).collect())
}

/// `n_resamples` rows of `n_units` unit indices each, from the streams that [`bootstrap_replicates`] uses for a first sample.
pub fn resample_indices(n_units: usize, n_resamples: usize, seed: u64) -> Vec<i64> {
    let rows = threads::map(n_resamples, n_resamples * n_units * 4, |resample| {
        let mut row = Vec::with_capacity(n_units);
        draw_indices(&mut Stream::new(seed, 0, resample as u64), n_units, |unit| row.push(unit as i64));
        row
    });
    rows.concat()
}

fn prepare(samples: &[Sample], statistic: Statistic) -> Result<Prepared, Error> {
    let wanted: &[usize] = match statistic {
        Statistic::Mean => &[1],
        Statistic::RocAuc => &[1, 1],
        Statistic::KendallTau | Statistic::SpearmanRho => &[2],
    };
    let shape: Vec<usize> = samples.iter().map(|sample| sample.columns.len()).collect();
    if shape != wanted {
        return Err(Error::SampleCount { seen: shape.iter().sum(), wanted: wanted.iter().sum() });
    }
    samples.iter().try_for_each(Sample::validate)?;
    Ok(Prepared::new(samples, statistic))
}

/// Multiplicities by sample and unit of the resamples from `first` on; each sample has streams of its own.
fn drawn_counts(samples: &[Sample], seed: u64, first: usize) -> Vec<Vec<Lanes<u32>>> {
    let draw = |(sample, stream): (&Sample, u32)| simd::widest(Draw { n_units: sample.n_units, seed, stream, first });
    samples.iter().zip(0..).map(draw).collect()
}

/// Multiplicities of the units of one sample in [`LANES`] resamples.
struct Draw {
    n_units: usize,
    seed: u64,
    stream: u32,
    first: usize,
}

impl Kernel for Draw {
    type Output = Vec<Lanes<u32>>;

    #[inline(always)]
    fn run<L: Level>(self) -> Self::Output {
        let mut counts = vec![[0; LANES]; self.n_units];
        if self.n_units <= SHORT_INDEX {
            self.side_by_side(&mut counts)
        } else {
            self.one_by_one(&mut counts)
        }
        counts
    }
}

impl Draw {
    /// The words of [`Stream`], four at a time for all lanes.
    #[inline(always)]
    fn side_by_side(&self, counts: &mut [Lanes<u32>]) {
        let mut counter = [[0; LANES]; 4];
        for lane in 0..LANES {
            let start = counter_of(0, self.stream, (self.first + lane) as u64);
            (0..4).for_each(|word| counter[word][lane] = start[word]);
        }
        for block in 0..self.n_units.div_ceil(4) {
            counter[0] = [block as u32; LANES];
            let words = philox_lanes(counter, key_of(self.seed));
            for word in &words[..(self.n_units - 4 * block).min(4)] {
                for lane in 0..LANES {
                    counts[((u64::from(word[lane]) * self.n_units as u64) >> 32) as usize][lane] += 1;
                }
            }
        }
    }

    fn one_by_one(&self, counts: &mut [Lanes<u32>]) {
        for lane in 0..LANES {
            let mut stream = Stream::new(self.seed, self.stream, (self.first + lane) as u64);
            draw_indices(&mut stream, self.n_units, |unit| counts[unit][lane] += 1);
        }
    }
}

fn full_counts(samples: &[Sample]) -> Vec<Vec<Lanes<u32>>> {
    samples.iter().map(|sample| vec![[1; LANES]; sample.n_units]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(columns: &[&[f64]]) -> Sample {
        let n_units = columns[0].len();
        Sample { columns: columns.iter().map(|c| c.to_vec()).collect(), units: (0..n_units as u32).collect(), n_units }
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
        let indices = resample_indices(5, 40, 7);
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
