//! Weightings, drawn for several draws side by side. Nothing is fused, so they are the same bits on every CPU.

use super::LANES;
use crate::Error;
use crate::error::unknown;
use crate::math::{exp, ln};
use crate::random::{counter_of, key_of, philox_lanes};
use crate::simd::Baseline;

/// Concentration of the Dirichlet law around the given weights.
const CONCENTRATION: f64 = 50.0;

/// Standard deviation of the lognormal law's factors, on the log scale.
const LOG_SPREAD: f64 = 0.25;

/// Where weightings come from.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Law<'a> {
    /// Uniform over all weightings.
    Simplex,
    /// Dirichlet with 50 times the given weights.
    Dirichlet,
    /// The given weights times independent lognormal factors of spread 0.25, normalised.
    Lognormal,
    /// These, row-major.
    Given(&'a [f64]),
}

impl<'a> Law<'a> {
    /// The law of that name, or the draws where there are some.
    ///
    /// # Errors
    /// [`Error::UnknownChoice`] if there is no such law.
    pub fn named(name: &str, draws: Option<&'a [f64]>) -> Result<Self, Error> {
        match (name, draws) {
            (_, Some(draws)) => Ok(Self::Given(draws)),
            ("simplex", None) => Ok(Self::Simplex),
            ("dirichlet", None) => Ok(Self::Dirichlet),
            ("lognormal", None) => Ok(Self::Lognormal),
            _ => Err(unknown("law", name, "\"simplex\", \"dirichlet\" or \"lognormal\"")),
        }
    }
}

/// A number for each draw of a block.
pub(super) type Lanes<T = f64> = [T; LANES];

/// A law around weights, with its random numbers.
pub(super) struct Draws<'a> {
    law: Law<'a>,
    weights: &'a [f64],
    seed: u64,
}

impl<'a> Draws<'a> {
    pub(super) fn new(law: Law<'a>, weights: &'a [f64], seed: u64) -> Self {
        Self { law, weights, seed }
    }

    pub(super) fn n_metrics(&self) -> usize {
        self.weights.len()
    }

    /// Weights of the draws from `first` on, metric by metric, for as many as there are lanes.
    #[inline(always)]
    pub(super) fn fill(&self, first: usize, n: usize, weights: &mut [Lanes]) -> Result<(), Error> {
        match self.law {
            Law::Simplex => self.exponential(first, weights),
            Law::Dirichlet => self.gamma(first, weights),
            Law::Lognormal => self.lognormal(first, weights),
            Law::Given(draws) => return self.given(draws, first, n, weights),
        }
        normalise(weights);
        Ok(())
    }

    /// The `k`-th pair of uniform numbers of each draw's stream `stream`.
    #[inline(always)]
    fn uniforms<const N: usize>(&self, stream: u32, k: usize, first: usize) -> [[f64; N]; 2] {
        let [a, b, c, d] = self.words(stream, k, first);
        [uniform(&a, &b), uniform(&c, &d)]
    }

    #[inline(always)]
    fn words<const N: usize>(&self, stream: u32, k: usize, first: usize) -> [[u32; N]; 4] {
        let mut counter = [[0; N]; 4];
        for lane in 0..N {
            let own = counter_of(k as u32, stream, (first + lane) as u64);
            for word in 0..4 {
                counter[word][lane] = own[word];
            }
        }
        philox_lanes(counter, key_of(self.seed))
    }

    #[inline(always)]
    fn exponential(&self, first: usize, weights: &mut [Lanes]) {
        for (k, pair) in weights.chunks_mut(2).enumerate() {
            let uniforms = self.uniforms::<LANES>(0, k, first);
            for (weight, uniform) in pair.iter_mut().zip(&uniforms) {
                for lane in 0..LANES {
                    weight[lane] = -ln::<Baseline>(uniform[lane]);
                }
            }
        }
    }

    #[inline(always)]
    fn lognormal(&self, first: usize, weights: &mut [Lanes]) {
        for (k, (pair, given)) in weights.chunks_mut(2).zip(self.weights.chunks(2)).enumerate() {
            let [a, b] = self.uniforms::<LANES>(0, k, first);
            let normals = normals(&a, &b);
            for ((weight, given), normal) in pair.iter_mut().zip(given).zip(&normals) {
                for lane in 0..LANES {
                    weight[lane] = given * exp::<Baseline>(LOG_SPREAD * normal[lane]);
                }
            }
        }
    }

    #[inline(always)]
    fn gamma(&self, first: usize, weights: &mut [Lanes]) {
        for (metric, (weight, given)) in weights.iter_mut().zip(self.weights).enumerate() {
            *weight = self.gammas(metric as u32, CONCENTRATION * given, first);
        }
    }

    /// Gamma numbers of scale 1 (Marsaglia and Tsang 2000); 0 for shape 0. The first try is made for all draws at once,
    /// the few that it fails are tried again one by one.
    #[inline(always)]
    fn gammas(&self, stream: u32, shape: f64, first: usize) -> Lanes {
        if shape <= 0.0 {
            return [0.0; LANES];
        }
        let boosted = if shape < 1.0 { shape + 1.0 } else { shape };
        let (mut gammas, accepted) = self.try_gammas::<LANES>(stream, 0, boosted, first);
        for lane in 0..LANES {
            if !accepted[lane] {
                gammas[lane] = self.gamma_after_a_miss(stream, boosted, first + lane);
            }
        }
        if shape < 1.0 {
            let [uniforms, _] = self.uniforms::<LANES>(stream, u32::MAX as usize, first);
            for lane in 0..LANES {
                gammas[lane] *= exp::<Baseline>(ln::<Baseline>(uniforms[lane]) / shape);
            }
        }
        gammas
    }

    #[inline(always)]
    fn gamma_after_a_miss(&self, stream: u32, shape: f64, draw: usize) -> f64 {
        let mut attempt = 0;
        loop {
            attempt += 1;
            let ([gamma], [accepted]) = self.try_gammas::<1>(stream, attempt, shape, draw);
            if accepted {
                return gamma;
            }
        }
    }

    /// One try for each draw: a normal number from 52 and 32 random bits, accepted by another 32.
    #[inline(always)]
    fn try_gammas<const N: usize>(
        &self,
        stream: u32,
        attempt: usize,
        shape: f64,
        first: usize,
    ) -> ([f64; N], [bool; N]) {
        let [a, b, c, d] = self.words(stream, attempt, first);
        let [normals, _] = normals(&uniform(&a, &b), &uniform(&c, &[1 << 31; N]));
        let (uniforms, third) = (uniform(&d, &[1 << 31; N]), shape - 1.0 / 3.0);
        let (scale, mut gammas, mut accepted) = (1.0 / (9.0 * third).sqrt(), [0.0; N], [false; N]);
        for lane in 0..N {
            let (z, root) = (normals[lane], 1.0 + scale * normals[lane]);
            let cube = root * root * root;
            gammas[lane] = third * cube;
            let bound = 0.5 * z * z + third * (1.0 - cube + ln::<Baseline>(if cube > 0.0 { cube } else { 0.0 }));
            accepted[lane] = ln::<Baseline>(uniforms[lane]) < bound;
        }
        (gammas, accepted)
    }

    #[inline(always)]
    fn given(&self, draws: &[f64], first: usize, n: usize, weights: &mut [Lanes]) -> Result<(), Error> {
        let n_metrics = weights.len();
        weights.fill([0.0; LANES]);
        for (lane, row) in draws[first * n_metrics..][..n * n_metrics].chunks_exact(n_metrics).enumerate() {
            let mut total = 0.0;
            for (weight, given) in weights.iter_mut().zip(row) {
                weight[lane] = *given;
                total += if *given >= 0.0 { *given } else { f64::NAN };
            }
            if !(total > 0.0 && total < f64::INFINITY) {
                return Err(Error::UnusableWeights { row: first + lane });
            }
        }
        Ok(())
    }
}

/// Numbers within (0, 1) from two words each: the middles of 2^52 equal cells, so never 0 nor 1.
#[inline(always)]
fn uniform<const N: usize>(high: &[u32; N], low: &[u32; N]) -> [f64; N] {
    const ONE: u64 = 1.0f64.to_bits();
    let mut uniforms = [0.0; N];
    for lane in 0..N {
        let bits = (u64::from(high[lane]) << 32 | u64::from(low[lane])) >> 12;
        uniforms[lane] = (f64::from_bits(ONE | bits) - 1.0) + 0.5 * f64::EPSILON;
    }
    uniforms
}

/// Two standard normal numbers from two uniform ones (Box and Muller 1958).
#[inline(always)]
fn normals<const N: usize>(a: &[f64; N], b: &[f64; N]) -> [[f64; N]; 2] {
    let mut normals = [[0.0; N]; 2];
    for lane in 0..N {
        let radius = (-2.0 * ln::<Baseline>(a[lane])).sqrt();
        let (sine, cosine) = sine_and_cosine_of_turns(b[lane]);
        normals[0][lane] = radius * cosine;
        normals[1][lane] = radius * sine;
    }
    normals
}

/// `sin(2 pi x)` and `cos(2 pi x)` for `x` within [0, 1], to 2e-15.
#[inline(always)]
fn sine_and_cosine_of_turns(x: f64) -> (f64, f64) {
    const ROUND: f64 = 6_755_399_441_055_744.0; // 1.5 * 2^52: adding it rounds, and leaves the whole number in the low bits
    let shifted = 4.0 * x + ROUND;
    let quarter = shifted.to_bits() & 3;
    let angle = std::f64::consts::TAU * (x - 0.25 * (shifted - ROUND)); // within pi / 4 of 0
    let square = angle * angle;
    let (mut sine, mut cosine) = (1.0, 1.0);
    for i in (1..8).rev() {
        let k = 2.0 * i as f64;
        sine = 1.0 - sine * square * (1.0 / (k * (k + 1.0)));
        cosine = 1.0 - cosine * square * (1.0 / (k * (k - 1.0)));
    }
    sine *= angle;
    let (sine, cosine) = if quarter & 1 == 0 { (sine, cosine) } else { (cosine, -sine) };
    if quarter & 2 == 0 { (sine, cosine) } else { (-sine, -cosine) }
}

/// Divides the weights of each draw by their sum.
#[inline(always)]
fn normalise(weights: &mut [Lanes]) {
    let mut totals = [0.0; LANES];
    for weight in &*weights {
        for lane in 0..LANES {
            totals[lane] += weight[lane];
        }
    }
    for weight in weights {
        for lane in 0..LANES {
            weight[lane] /= totals[lane];
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sine_and_cosine_are_those_of_the_standard_library() {
        for i in 0..=10_000 {
            let turns = f64::from(i) / 10_000.0;
            let (sine, cosine) = sine_and_cosine_of_turns(turns);
            let (expected_sine, expected_cosine) = (std::f64::consts::TAU * turns).sin_cos();
            let error = (sine - expected_sine).abs().max((cosine - expected_cosine).abs());
            assert!(error < 2e-15, "{error} at {turns}");
        }
    }

    #[test]
    fn gammas_have_their_mean_and_variance() {
        for shape in [0.3, 1.0, 7.5] {
            let draws = Draws::new(Law::Dirichlet, &[1.0], 1);
            let gammas: Vec<f64> = (0..40_000).step_by(LANES).flat_map(|i| draws.gammas(0, shape, i)).collect();
            let mean = gammas.iter().sum::<f64>() / 4e4;
            let variance = gammas.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / 4e4;
            assert!((mean / shape - 1.0).abs() < 0.05, "{mean} for {shape}");
            assert!((variance / shape - 1.0).abs() < 0.1, "{variance} for {shape}");
        }
    }
}
