//! Mean, standard deviation and number of undefined replicates of many quantities at once.

use super::super::{LANES, Lanes};

/// What became of some quantities over the resamples.
#[derive(Debug, Clone, PartialEq)]
pub struct Moments {
    /// Their values in the data.
    pub observed: Vec<f64>,
    /// Their means over the resamples where they are defined.
    pub mean: Vec<f64>,
    /// Their standard deviations over those (with `n - 1`).
    pub sd: Vec<f64>,
    /// Resamples in which they are NaN.
    pub n_undefined: Vec<u64>,
    /// Their value in each resample, `[resample * n_quantities + quantity]`, if asked for.
    pub replicates: Vec<f64>,
}

/// Sums over resamples of the distances from some origin, lane by lane.
pub(super) struct Sums<'a> {
    observed: &'a [f64],
    origins: &'a [f64],
    n: Vec<Lanes<f64>>,
    first: Vec<Lanes<f64>>,
    second: Vec<Lanes<f64>>,
    n_seen: u64,
    replicates: Option<Vec<f64>>,
}

impl<'a> Sums<'a> {
    pub(super) fn new(observed: &'a [f64], origins: &'a [f64], keep: bool) -> Self {
        let zeros = vec![[0.0; LANES]; observed.len()];
        let replicates = keep.then(Vec::new);
        Self { observed, origins, n: zeros.clone(), first: zeros.clone(), second: zeros, n_seen: 0, replicates }
    }

    /// Adds the first `n_valid` lanes to one quantity.
    #[inline(always)]
    pub(super) fn add(&mut self, quantity: usize, values: &Lanes<f64>, n_valid: usize) {
        let origin = self.origins[quantity];
        let (n, first, second) = (&mut self.n[quantity], &mut self.first[quantity], &mut self.second[quantity]);
        for lane in 0..LANES {
            let defined = !values[lane].is_nan() && lane < n_valid;
            let distance = if defined { values[lane] - origin } else { 0.0 };
            n[lane] += if defined { 1.0 } else { 0.0 };
            first[lane] += distance;
            second[lane] += distance * distance;
        }
    }

    /// Counts `n_valid` resamples, and keeps them one by one if asked to.
    #[inline(always)]
    pub(super) fn keep<'b>(&mut self, quantities: impl Iterator<Item = &'b Lanes<f64>>, n_valid: usize) {
        self.n_seen += n_valid as u64;
        let Some(replicates) = &mut self.replicates else { return };
        let (start, width) = (replicates.len(), self.observed.len());
        replicates.resize(start + n_valid * width, f64::NAN);
        for (quantity, lanes) in quantities.enumerate() {
            for lane in 0..n_valid {
                replicates[start + lane * width + quantity] = lanes[lane];
            }
        }
    }

    pub(super) fn merge(&mut self, part: Self) {
        let sums = [(&mut self.n, part.n), (&mut self.first, part.first), (&mut self.second, part.second)];
        for (total, part) in sums {
            for (total, part) in total.as_flattened_mut().iter_mut().zip(part.as_flattened()) {
                *total += part;
            }
        }
        self.n_seen += part.n_seen;
        if let (Some(all), Some(part)) = (&mut self.replicates, part.replicates) {
            all.extend(part);
        }
    }

    pub(super) fn finish(self) -> Moments {
        let total = |lanes: &Lanes<f64>| lanes.iter().sum::<f64>();
        let n: Vec<f64> = self.n.iter().map(total).collect();
        let sums = || n.iter().zip(self.first.iter().map(total));
        let spread = |((n, first), second): ((&f64, f64), f64)| {
            let squares = second - first * first / n;
            let undefined = *n < 2.0 || squares.is_nan();
            if undefined { f64::NAN } else { (squares.max(0.0) / (n - 1.0)).sqrt() }
        };
        Moments {
            mean: self.origins.iter().zip(sums()).map(|(origin, (n, first))| origin + first / n).collect(),
            sd: sums().zip(self.second.iter().map(total)).map(spread).collect(),
            n_undefined: n.iter().map(|n| self.n_seen - *n as u64).collect(),
            observed: self.observed.to_vec(),
            replicates: self.replicates.unwrap_or_default(),
        }
    }
}

/// Where distances are measured from, so that squares keep their digits: the observed values. In place of those that are
/// not finite the first finite ones of some resamples.
pub(super) struct Origins(Vec<Option<f64>>);

impl Origins {
    pub(super) fn new(observed: &[f64]) -> Self {
        Self(observed.iter().map(|value| Some(*value).filter(|value| value.is_finite())).collect())
    }

    pub(super) fn are_known(&self) -> bool {
        self.0.iter().all(Option::is_some)
    }

    pub(super) fn look_in<'b>(&mut self, resamples: impl Iterator<Item = &'b Lanes<f64>>) {
        for (origin, lanes) in self.0.iter_mut().zip(resamples) {
            *origin = origin.or_else(|| lanes.iter().copied().find(|value| value.is_finite()));
        }
    }

    /// 0 where none was found.
    pub(super) fn into_values(self) -> Vec<f64> {
        self.0.into_iter().map(Option::unwrap_or_default).collect()
    }
}
