//! The largest scaled difference between models in each resample, for simultaneous statements about their order.

use super::super::{Draw, LANES, Lanes};
use super::{Metric, UnitSums, as_floats};
use crate::simd::{self, Kernel, Level};
use crate::{Error, threads};

/// For each model and resample the largest of `d[j, k] * up[j, k]` and `-d[j, k] * down[j, k]` over the other models `k`,
/// as `[model * n_resamples + resample]`.
///
/// `d[j, k]` is how far the difference of the means of `j` and `k` is from the one in the data. Factors of 0 leave a
/// difference out, and so does NaN; `-inf` is left where nothing is compared.
///
/// # Errors
/// As [`super::joint_bootstrap`]; [`Error::LengthMismatch`] if the factors are not `n_models` squared.
pub fn difference_maxima(
    metric: &Metric,
    n_units: usize,
    (up, down): (&[f64], &[f64]),
    n_resamples: usize,
    seed: u64,
) -> Result<Vec<f64>, Error> {
    let factors = Factors::new(up, down)?;
    metric.validate(factors.n_models, &[n_units])?;
    let sums = UnitSums::new(metric, factors.n_models, n_units);
    let mut observed = vec![[0.0; LANES]; factors.n_models];
    sums.means(&vec![[1.0; LANES]; n_units], &mut observed);
    let product = n_units * factors.n_models / 8;
    Ok(factors.over_blocks(n_resamples, product, |first| {
        simd::widest(Deviations { sums: &sums, observed: &observed, draw: Draw { n_units, seed, stream: 0, first } })
    }))
}

/// [`difference_maxima`] of replicates that are there already: `deviations` is `[resample * n_models + model]`, the
/// replicate of each model's value less the value.
///
/// # Errors
/// [`Error::LengthMismatch`] if the sizes contradict each other.
pub fn replicate_maxima(deviations: &[f64], (up, down): (&[f64], &[f64])) -> Result<Vec<f64>, Error> {
    let factors = Factors::new(up, down)?;
    let n_models = factors.n_models;
    if n_models == 0 || !deviations.len().is_multiple_of(n_models) {
        return Err(Error::LengthMismatch { left: deviations.len(), right: n_models });
    }
    let n_resamples = deviations.len() / n_models;
    Ok(factors.over_blocks(n_resamples, n_models, |first| {
        let mut lanes = vec![[0.0; LANES]; n_models];
        for (lane, row) in deviations.chunks_exact(n_models).skip(first).take(LANES).enumerate() {
            row.iter().zip(&mut lanes).for_each(|(value, lanes)| lanes[lane] = *value);
        }
        lanes
    }))
}

/// What differences are multiplied by, `[j * n_models + k]`.
struct Factors<'a> {
    up: &'a [f64],
    down: &'a [f64],
    n_models: usize,
}

impl<'a> Factors<'a> {
    fn new(up: &'a [f64], down: &'a [f64]) -> Result<Self, Error> {
        let n_models = up.len().isqrt();
        match (up.len() == n_models * n_models, up.len() == down.len()) {
            (true, true) => Ok(Self { up, down, n_models }),
            _ => Err(Error::LengthMismatch { left: up.len(), right: down.len() }),
        }
    }

    fn over_blocks(
        &self,
        n_resamples: usize,
        work: usize,
        deviations: impl Fn(usize) -> Vec<Lanes<f64>> + Send + Sync,
    ) -> Vec<f64> {
        let blocks = threads::blocks(n_resamples, LANES);
        let maxima = threads::map(blocks.len(), n_resamples * (work + self.up.len()), |i| {
            simd::widest(Maxima { factors: self, deviations: &deviations(blocks[i].start) })
        });
        let mut by_model = vec![f64::NAN; self.n_models * n_resamples];
        for (block, maxima) in blocks.into_iter().zip(maxima) {
            for (model, lanes) in maxima.iter().enumerate() {
                let start = model * n_resamples + block.start;
                by_model[start..start + block.len()].copy_from_slice(&lanes[..block.len()]);
            }
        }
        by_model
    }
}

/// How far the means of [`LANES`] resamples are from those in the data, by model.
struct Deviations<'a> {
    sums: &'a UnitSums,
    observed: &'a [Lanes<f64>],
    draw: Draw,
}

impl Kernel for Deviations<'_> {
    type Output = Vec<Lanes<f64>>;

    #[inline(always)]
    fn run<L: Level>(self) -> Self::Output {
        let counts = self.draw.run::<L>();
        let mut means = vec![[0.0; LANES]; self.observed.len()];
        self.sums.means(&as_floats(&counts), &mut means);
        for (mean, observed) in means.iter_mut().zip(self.observed) {
            for lane in 0..LANES {
                mean[lane] -= observed[lane];
            }
        }
        means
    }
}

struct Maxima<'a> {
    factors: &'a Factors<'a>,
    deviations: &'a [Lanes<f64>],
}

impl Kernel for Maxima<'_> {
    type Output = Vec<Lanes<f64>>;

    #[inline(always)]
    fn run<L: Level>(self) -> Self::Output {
        let n_models = self.factors.n_models;
        let mut maxima = vec![[f64::NEG_INFINITY; LANES]; n_models];
        for j in 0..n_models {
            for k in 0..n_models {
                let (up, down) = (self.factors.up[j * n_models + k], -self.factors.down[j * n_models + k]);
                for factor in [up, down] {
                    if factor != 0.0 {
                        raise(&mut maxima[j], &self.deviations[j], &self.deviations[k], factor);
                    }
                }
            }
        }
        maxima
    }
}

#[inline(always)]
fn raise(maxima: &mut Lanes<f64>, j: &Lanes<f64>, k: &Lanes<f64>, factor: f64) {
    for lane in 0..LANES {
        let scaled = (j[lane] - k[lane]) * factor;
        maxima[lane] = if scaled > maxima[lane] { scaled } else { maxima[lane] };
    }
}
