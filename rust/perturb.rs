//! How a ranking by a weighted sum changes when the weights do.

use std::ops::Range;

use crate::error::unknown;
use crate::random::Stream;
use crate::rank::tau_b;
use crate::simd::{self, Kernel, Level};
use crate::{Error, threads};

/// Sums closer than this, relative to the largest of their draw, are ties: they differ by rounding at most.
pub const TIE_TOLERANCE: f64 = 1e-12;

/// Concentration of the Dirichlet law around the given weights.
const CONCENTRATION: f64 = 50.0;

/// Standard deviation of the lognormal law's factors, on the log scale.
const LOG_SPREAD: f64 = 0.25;

/// Draws in one task, and tasks whose summaries are in memory at once.
const DRAWS_PER_BLOCK: usize = 512;
const BLOCKS_PER_WAVE: usize = 64;

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
/// [`Error::Empty`] without models, metrics or draws; [`Error::LengthMismatch`] if the sizes contradict each other.
pub fn perturb_weights(
    scores: &[f64],
    weights: &[f64],
    n_draws: usize,
    law: Law,
    seed: u64,
    keep_draws: bool,
) -> Result<Perturbation, Error> {
    validate(scores, weights, n_draws, law)?;
    let problem = Problem::new(scores, weights, law, seed, keep_draws);
    let blocks = threads::blocks(n_draws, DRAWS_PER_BLOCK);
    let mut total = Summary::new(problem.n_models());
    for wave in blocks.chunks(BLOCKS_PER_WAVE) {
        let work = wave.len() * DRAWS_PER_BLOCK * problem.nanoseconds();
        let parts =
            threads::map(wave.len(), work, |i| simd::widest(Summarise { problem: &problem, draws: wave[i].clone() }));
        parts.into_iter().for_each(|part| total.merge(part));
    }
    Ok(total.finish())
}

fn validate(scores: &[f64], weights: &[f64], n_draws: usize, law: Law) -> Result<(), Error> {
    if scores.is_empty() || weights.is_empty() || n_draws == 0 {
        return Err(Error::Empty);
    }
    if !scores.len().is_multiple_of(weights.len()) {
        return Err(Error::LengthMismatch { left: scores.len(), right: weights.len() });
    }
    match law {
        Law::Given(draws) if draws.len() != n_draws * weights.len() => {
            Err(Error::LengthMismatch { left: draws.len(), right: n_draws * weights.len() })
        }
        _ => Ok(()),
    }
}

struct Problem<'a> {
    scores: &'a [f64],
    weights: &'a [f64],
    law: Law<'a>,
    seed: u64,
    keep_draws: bool,
    given: Ranking,
}

/// The summary of some draws.
struct Summarise<'a> {
    problem: &'a Problem<'a>,
    draws: Range<usize>,
}

impl Kernel for Summarise<'_> {
    type Output = Summary;

    #[inline(always)]
    fn run<L: Level>(self) -> Summary {
        self.problem.summarise(self.draws)
    }
}

/// Models in ascending order of their sums, with the number of each model's set of ties.
#[derive(Debug, Clone, Default)]
struct Ranking {
    order: Vec<u32>,
    tie: Vec<i32>,
}

impl<'a> Problem<'a> {
    fn new(scores: &'a [f64], weights: &'a [f64], law: Law<'a>, seed: u64, keep_draws: bool) -> Self {
        let mut problem = Self { scores, weights, law, seed, keep_draws, given: Ranking::default() };
        let mut given = Ranking::default();
        problem.rank(weights, &mut Vec::new(), &mut given);
        problem.given = given;
        problem
    }

    fn n_models(&self) -> usize {
        self.scores.len() / self.weights.len()
    }

    fn nanoseconds(&self) -> usize {
        let n = self.n_models();
        200 + 4 * n * n + 40 * n
    }

    #[inline(always)]
    fn summarise(&self, draws: Range<usize>) -> Summary {
        let mut summary = Summary::new(self.n_models());
        let (mut weights, mut sums, mut ranking) = (vec![0.0; self.weights.len()], Vec::new(), Ranking::default());
        for draw in draws {
            self.draw(draw, &mut weights);
            self.rank(&weights, &mut sums, &mut ranking);
            let tau = self.given.tau(&ranking);
            summary.add(tau, &ranking);
            if self.keep_draws {
                summary.kept_tau.push(tau);
                summary.kept_weights.extend(&weights);
            }
        }
        summary
    }

    fn draw(&self, draw: usize, weights: &mut [f64]) {
        let mut stream = Stream::new(self.seed, 0, draw as u64);
        for (i, (weight, given)) in weights.iter_mut().zip(self.weights).enumerate() {
            *weight = match self.law {
                Law::Simplex => -stream.uniform().ln(),
                Law::Dirichlet => stream.gamma(CONCENTRATION * given),
                Law::Lognormal => given * (LOG_SPREAD * stream.normal()).exp(),
                Law::Given(draws) => draws[draw * self.weights.len() + i],
            };
        }
        if !matches!(self.law, Law::Given(_)) {
            let total: f64 = weights.iter().sum();
            weights.iter_mut().for_each(|weight| *weight /= total);
        }
    }

    /// Weighted sums are added metric by metric, so that two programs that follow this order agree on ties.
    fn rank(&self, weights: &[f64], sums: &mut Vec<f64>, ranking: &mut Ranking) {
        let sum = |row: &[f64]| row.iter().zip(weights).map(|(score, weight)| score * weight).sum::<f64>();
        sums.clear();
        sums.extend(self.scores.chunks_exact(weights.len()).map(sum));
        ranking.order.clear();
        ranking.order.extend(0..sums.len() as u32);
        ranking.order.sort_unstable_by(|a, b| sums[*a as usize].total_cmp(&sums[*b as usize]).then(a.cmp(b)));
        ranking.find_ties(sums);
    }
}

impl Ranking {
    /// Neighbours within the tolerance are tied, and so are neighbours of neighbours.
    fn find_ties(&mut self, sums: &[f64]) {
        let tolerance = TIE_TOLERANCE * sums.iter().fold(0.0, |a: f64, b| a.max(b.abs()));
        self.tie.clear();
        self.tie.resize(sums.len(), 0);
        let mut tie = 0;
        for pair in self.order.windows(2) {
            let (lower, upper) = (pair[0] as usize, pair[1] as usize);
            tie += i32::from(sums[upper] - sums[lower] > tolerance);
            self.tie[upper] = tie;
        }
    }

    /// Sets of tied models.
    fn best_first(&self) -> impl Iterator<Item = &[u32]> {
        self.order.chunk_by(|a, b| self.tie[*a as usize] == self.tie[*b as usize]).rev()
    }

    #[inline(always)]
    fn tau(&self, other: &Self) -> f64 {
        let (mut net, mut untied, mut untied_other) = (0i64, 0u64, 0u64);
        for (i, (a, b)) in self.tie.iter().zip(&other.tie).enumerate() {
            let (mut row, mut row_untied, mut row_untied_other) = (0i32, 0i32, 0i32);
            for (c, d) in self.tie[..i].iter().zip(&other.tie[..i]) {
                let x = i32::from(a > c) - i32::from(a < c);
                let y = i32::from(b > d) - i32::from(b < d);
                row += x * y;
                row_untied += x * x;
                row_untied_other += y * y;
            }
            net += i64::from(row);
            untied += row_untied as u64;
            untied_other += row_untied_other as u64;
        }
        tau_b(net, untied, untied_other)
    }
}

/// Sums over the draws of a block.
struct Summary {
    result: Perturbation,
    n_defined: u64,
    tau_squares: f64,
    /// Wins within one block: there a narrow count is wide enough.
    wins: Vec<u32>,
    kept_tau: Vec<f64>,
    kept_weights: Vec<f64>,
    n_models: usize,
}

impl Summary {
    fn new(n_models: usize) -> Self {
        let square = n_models * n_models;
        let result = Perturbation {
            rank_counts: vec![0; square],
            first_counts: vec![0.0; n_models],
            wins: vec![0; square],
            ..Perturbation::default()
        };
        let (kept_tau, kept_weights) = (Vec::new(), Vec::new());
        Self { result, n_defined: 0, tau_squares: 0.0, wins: vec![0; square], kept_tau, kept_weights, n_models }
    }

    #[inline(always)]
    fn add(&mut self, tau: f64, ranking: &Ranking) {
        if tau.is_nan() {
            self.result.n_undefined += 1;
        } else {
            self.merge_moments(1, tau, 0.0);
        }
        self.add_ranks(ranking);
        self.add_wins(ranking);
    }

    fn add_ranks(&mut self, ranking: &Ranking) {
        let mut above = 0;
        for group in ranking.best_first() {
            let rank = above + group.len().div_ceil(2); // midrank of ranks above + 1 ..= above + len, rounded down
            for model in group {
                self.result.rank_counts[*model as usize * self.n_models + rank - 1] += 1;
                if above == 0 {
                    self.result.first_counts[*model as usize] += 1.0 / group.len() as f64;
                }
            }
            above += group.len();
        }
    }

    #[inline(always)]
    fn add_wins(&mut self, ranking: &Ranking) {
        for (tie, row) in ranking.tie.iter().zip(self.wins.chunks_exact_mut(self.n_models)) {
            for (win, other) in row.iter_mut().zip(&ranking.tie) {
                *win += u32::from(tie > other);
            }
        }
    }

    /// Adds `n` values of this mean and sum of squared deviations (Chan, Golub and LeVeque 1983).
    fn merge_moments(&mut self, n: u64, mean: f64, squares: f64) {
        if n == 0 {
            return;
        }
        let (before, after) = (self.n_defined as f64, (self.n_defined + n) as f64);
        let step = mean - self.result.tau_mean;
        self.result.tau_mean += step * n as f64 / after;
        self.tau_squares += squares + step * step * before * n as f64 / after;
        self.n_defined += n;
    }

    fn merge(&mut self, part: Self) {
        self.merge_moments(part.n_defined, part.result.tau_mean, part.tau_squares);
        let (sum, part_result) = (&mut self.result, part.result);
        sum.n_undefined += part_result.n_undefined;
        sum.rank_counts.iter_mut().zip(part_result.rank_counts).for_each(|(a, b)| *a += b);
        sum.wins.iter_mut().zip(part.wins).for_each(|(a, b)| *a += u64::from(b));
        sum.first_counts.iter_mut().zip(part_result.first_counts).for_each(|(a, b)| *a += b);
        self.kept_tau.extend(part.kept_tau);
        self.kept_weights.extend(part.kept_weights);
    }

    fn finish(self) -> Perturbation {
        let n = self.n_defined as f64;
        let undefined = self.n_defined == 0;
        Perturbation {
            tau_mean: if undefined { f64::NAN } else { self.result.tau_mean },
            tau_sd: (self.tau_squares / n).sqrt(), // 0 / 0 is NaN: no tau was defined
            tau: self.kept_tau,
            weights: self.kept_weights,
            ..self.result
        }
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
}
