//! How a ranking by a weighted sum changes when the weights do.
//!
//! Draws go through in blocks of [`LANES`] side by side: weights, sums, and a sort of the sums by a fixed network. Blocks
//! are gathered in tiles of [`TILE`] draws, in which places are counted and compared, many draws in one register.

mod law;
mod pairs;
mod ranking;
mod summary;

use std::ops::Range;

pub use law::Law;

use crate::simd::{self, Kernel, Level};
use crate::{Error, threads};
use law::Draws;
use pairs::Place;
use ranking::Sorter;
use summary::Summary;

/// Sums closer than this, relative to the largest of their draw, are ties: they differ by rounding at most.
pub const TIE_TOLERANCE: f64 = 1e-12;

/// Draws side by side.
const LANES: usize = 16;

/// Draws whose places are in memory at once.
const TILE: usize = 512;

/// Draws in one task.
const DRAWS_PER_TASK: usize = 2 * TILE;

/// Tasks whose summaries are in memory at once: up to 64, fewer where a summary is large.
fn tasks_per_wave(n_models: usize) -> usize {
    ((1 << 23) / (n_models * n_models)).clamp(4, 64)
}

/// What became of the ranking over all draws.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Perturbation {
    /// Mean of tau-b between the given and the drawn ranking, over the draws where it is defined.
    pub tau_mean: f64,
    /// Its standard deviation (population).
    pub tau_sd: f64,
    /// Draws in which tau is undefined.
    pub n_undefined: u64,
    /// `[model * n_models + rank - 1]`: draws in which the model had the rank (a tie's midrank rounded down).
    pub rank_counts: Vec<u64>,
    /// Draws in which the model came first; tied ones share a draw.
    pub first_counts: Vec<f64>,
    /// `[i * n_models + j]`: draws in which model `i` is above model `j`.
    pub wins: Vec<u64>,
    /// tau of each draw, if asked for.
    pub tau: Vec<f64>,
    /// Weights of each draw, row-major, if asked for.
    pub weights: Vec<f64>,
}

/// Ranks the models anew under each of `n_draws` weightings. `scores` is `(n_models, n_metrics)`, row-major, higher better.
///
/// # Errors
/// [`Error::Empty`] without models, metrics or draws; [`Error::LengthMismatch`] if the sizes contradict each other;
/// [`Error::UnusableWeights`] if a given draw has a negative or infinite weight or no positive one.
pub fn perturb_weights(
    scores: &[f64],
    weights: &[f64],
    n_draws: usize,
    law: Law,
    seed: u64,
    keep_draws: bool,
) -> Result<Perturbation, Error> {
    validate(scores, weights, n_draws, law)?;
    let problem = Problem::new(scores, weights, Draws::new(law, weights, seed), keep_draws);
    if problem.n_models() <= 1 + i8::MAX as usize {
        problem.all_draws::<i8>(n_draws)
    } else {
        problem.all_draws::<i16>(n_draws)
    }
}

fn validate(scores: &[f64], weights: &[f64], n_draws: usize, law: Law) -> Result<(), Error> {
    if scores.is_empty() || weights.is_empty() || n_draws == 0 {
        return Err(Error::Empty);
    }
    if !scores.len().is_multiple_of(weights.len()) {
        return Err(Error::LengthMismatch { left: scores.len(), right: weights.len() });
    }
    let n_models = scores.len() / weights.len();
    if n_models > 1 + i16::MAX as usize {
        return Err(Error::TooMany { argument: "scores", what: "models", seen: n_models, most: 1 + i16::MAX as usize });
    }
    match law {
        Law::Given(draws) if draws.len() != n_draws * weights.len() => {
            Err(Error::LengthMismatch { left: draws.len(), right: n_draws * weights.len() })
        }
        _ => Ok(()),
    }
}

/// The task with its models in ascending order of their sums under the given weights.
struct Problem<'a> {
    /// Row-major, in that order.
    scores: Vec<f64>,
    /// Model at each place of the order.
    order: Vec<usize>,
    /// First place of the set of ties that the model at a place belongs to.
    tied_from: Vec<usize>,
    draws: Draws<'a>,
    sorter: Sorter,
    keep_draws: bool,
}

impl<'a> Problem<'a> {
    fn new(scores: &[f64], weights: &[f64], draws: Draws<'a>, keep_draws: bool) -> Self {
        let row = |model: usize| &scores[model * weights.len()..][..weights.len()];
        let sums: Vec<f64> = (0..scores.len() / weights.len()).map(|model| weighted_sum(row(model), weights)).collect();
        let mut order: Vec<usize> = (0..sums.len()).collect();
        order.sort_by(|a, b| sums[*a].total_cmp(&sums[*b]));
        let tolerance = TIE_TOLERANCE * sums.iter().fold(0.0, |a: f64, b| a.max(b.abs()));
        let mut tied_from = vec![0; order.len()];
        for place in 1..order.len() {
            let apart = sums[order[place]] - sums[order[place - 1]] > tolerance;
            tied_from[place] = if apart { place } else { tied_from[place - 1] };
        }
        let scores = order.iter().flat_map(|model| row(*model)).copied().collect();
        Self { scores, sorter: Sorter::new(order.len()), order, tied_from, draws, keep_draws }
    }

    fn n_models(&self) -> usize {
        self.order.len()
    }

    /// A guess at the time of one draw.
    fn nanoseconds(&self) -> usize {
        let n = self.n_models();
        50 + n * n / 40 + 4 * n
    }

    fn all_draws<P: Place>(&self, n_draws: usize) -> Result<Perturbation, Error> {
        let tasks = threads::blocks(n_draws, DRAWS_PER_TASK);
        let mut total = Summary::new(self.n_models(), self.keep_draws);
        for wave in tasks.chunks(tasks_per_wave(self.n_models())) {
            let work = wave.len().min(n_draws) * DRAWS_PER_TASK * self.nanoseconds();
            let parts = threads::map(wave.len(), work, |i| {
                simd::widest(Summarise::<P> { problem: self, draws: wave[i].clone(), place: std::marker::PhantomData })
            });
            for part in parts {
                total.merge(part?);
            }
        }
        Ok(total.finish(&self.order))
    }
}

/// Added metric by metric, so that two programs that follow this order agree on ties.
fn weighted_sum(row: &[f64], weights: &[f64]) -> f64 {
    row.iter().zip(weights).fold(0.0, |sum, (score, weight)| sum + score * weight)
}

/// The summary of some draws.
struct Summarise<'a, P> {
    problem: &'a Problem<'a>,
    draws: Range<usize>,
    place: std::marker::PhantomData<P>,
}

impl<P: Place> Kernel for Summarise<'_, P> {
    type Output = Result<Summary, Error>;

    #[inline(always)]
    fn run<L: Level>(self) -> Self::Output {
        let mut summary = Summary::new(self.problem.n_models(), self.problem.keep_draws);
        let mut tile = ranking::Tile::<P>::new(self.problem.n_models(), self.problem.draws.n_metrics());
        for start in self.draws.clone().step_by(TILE) {
            tile.rank(self.problem, start..self.draws.end.min(start + TILE), &mut summary)?;
            summary.add(&tile, &self.problem.tied_from);
        }
        Ok(summary)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_given_weights_themselves_change_nothing() {
        let scores = [3.0, 1.0, 2.0, 1.0, 1.0, 1.0];
        let result = perturb_weights(&scores, &[0.5, 0.5], 2, Law::Given(&[0.5, 0.5, 0.5, 0.5]), 0, true).unwrap();
        assert_eq!((result.tau_mean, result.tau_sd), (1.0, 0.0));
        assert_eq!(result.rank_counts, [2, 0, 0, 0, 2, 0, 0, 0, 2]);
        assert_eq!(result.wins, [0, 2, 2, 0, 0, 2, 0, 0, 0]);
    }

    #[test]
    fn equal_models_share_the_first_place_and_have_no_tau() {
        let result = perturb_weights(&[1.0, 1.0], &[1.0], 3, Law::Simplex, 0, false).unwrap();
        assert_eq!((result.n_undefined, result.first_counts), (3, vec![1.5, 1.5]));
        assert!(result.tau_mean.is_nan() && result.tau_sd.is_nan());
    }

    #[test]
    fn a_given_draw_without_weight_is_refused() {
        let error = perturb_weights(&[1.0, 2.0], &[1.0], 2, Law::Given(&[1.0, 0.0]), 0, false).unwrap_err();
        assert_eq!(error, Error::UnusableWeights { row: 1 });
    }
}
