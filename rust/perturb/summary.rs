//! Sums over draws, in which models are numbered by their place in the given ranking until the end.

use super::law::Lanes;
use super::pairs::{Place, Places, compare, count_places};
use super::ranking::Tile;
use super::{Perturbation, TILE};
use crate::rank::tau_b;

pub(super) struct Summary {
    n_models: usize,
    n_defined: u64,
    n_undefined: u64,
    tau_mean: f64,
    tau_squares: f64,
    /// `[place * n_models + model]`, the highest place being the first rank.
    place_counts: Vec<u64>,
    /// What ties add to the draws in which a model came first.
    first_shares: Vec<f64>,
    /// `[i * n_models + j]` for `j < i`: draws in which `i` is above `j`, and in which it is below.
    above: Vec<u64>,
    below: Vec<u64>,
    tau: Vec<f64>,
    weights: Vec<f64>,
    keep_draws: bool,
}

impl Summary {
    pub(super) fn new(n_models: usize, keep_draws: bool) -> Self {
        let square = vec![0; n_models * n_models];
        Self {
            n_models,
            n_defined: 0,
            n_undefined: 0,
            tau_mean: 0.0,
            tau_squares: 0.0,
            place_counts: square.clone(),
            first_shares: vec![0.0; n_models],
            above: square.clone(),
            below: square,
            tau: Vec::new(),
            weights: Vec::new(),
            keep_draws,
        }
    }

    /// Adds the weights of `n` draws.
    pub(super) fn keep_weights(&mut self, weights: &[Lanes], n: usize) {
        for lane in 0..n {
            self.weights.extend(weights.iter().map(|weight| weight[lane]));
        }
    }

    /// These come first together, so each has come first in a part of a draw; those of two also have the first rank.
    pub(super) fn share_first(&mut self, group: &[usize]) {
        for model in group {
            self.first_shares[*model] += 1.0 / group.len() as f64 - if group.len() == 2 { 1.0 } else { 0.0 };
        }
    }

    /// Adds the draws of a tile. `tied_from` tells the ties of the given ranking.
    #[inline(always)]
    pub(super) fn add<P: Place>(&mut self, tile: &Tile<P>, tied_from: &[usize]) {
        let untied: u64 = tied_from.iter().map(|from| *from as u64).sum();
        for (model, places) in tile.places.iter().enumerate() {
            count_places(places, tile.n_draws, &mut self.place_counts[model..], self.n_models);
        }
        let mut net = [0; TILE];
        if tile.has_ties {
            self.compare_all::<P, true>(tile, tied_from, &mut net);
        } else {
            self.compare_all::<P, false>(tile, tied_from, &mut net);
            for net in &mut net {
                *net = 2 * *net - untied as i32;
            }
        }
        let mut tau = [0.0; TILE];
        for draw in 0..tile.n_draws {
            tau[draw] = tau_b(net[draw].into(), untied, tile.untied[draw]);
        }
        self.add_tau(&tau[..tile.n_draws]);
    }

    #[inline(always)]
    fn compare_all<P: Place, const TIES: bool>(&mut self, tile: &Tile<P>, tied_from: &[usize], net: &mut [i32; TILE]) {
        let n_draws = tile.n_draws;
        for (i, own) in tile.places.iter().enumerate() {
            let row = i * self.n_models..i * self.n_models + i;
            let (above, below) = (&mut self.above[row.clone()], &mut self.below[row]);
            let (mut counted, mut ignored): (Places<P>, Places<P>) = Default::default();
            let (others, tied) = tile.places[..i].split_at(tied_from[i]);
            let (above, above_tied) = above.split_at_mut(tied_from[i]);
            let (below, below_tied) = below.split_at_mut(tied_from[i]);
            compare::<P, TIES>(own, others, n_draws, (above, below), &mut counted);
            compare::<P, TIES>(own, tied, n_draws, (above_tied, below_tied), &mut ignored);
            for (net, counted) in net.iter_mut().zip(counted.as_flattened()) {
                let counted: i32 = (*counted).into();
                *net += counted;
            }
        }
    }

    fn add_tau(&mut self, tau: &[f64]) {
        let (mut n, mut sum) = (0, 0.0);
        for tau in tau.iter().filter(|tau| !tau.is_nan()) {
            n += 1;
            sum += tau;
        }
        let mean = sum / n as f64;
        let squares = tau.iter().filter(|tau| !tau.is_nan()).map(|tau| (tau - mean).powi(2)).sum();
        self.n_undefined += tau.len() as u64 - n;
        self.merge_moments(n, mean, squares);
        if self.keep_draws {
            self.tau.extend(tau);
        }
    }

    /// Adds `n` values of this mean and sum of squared deviations (Chan, Golub and LeVeque 1983).
    fn merge_moments(&mut self, n: u64, mean: f64, squares: f64) {
        if n == 0 {
            return;
        }
        let (before, after) = (self.n_defined as f64, (self.n_defined + n) as f64);
        let step = mean - self.tau_mean;
        self.tau_mean += step * n as f64 / after;
        self.tau_squares += squares + step * step * before * n as f64 / after;
        self.n_defined += n;
    }

    pub(super) fn merge(&mut self, part: Self) {
        self.merge_moments(part.n_defined, part.tau_mean, part.tau_squares);
        self.n_undefined += part.n_undefined;
        for (sums, parts) in
            [(&mut self.place_counts, part.place_counts), (&mut self.above, part.above), (&mut self.below, part.below)]
        {
            sums.iter_mut().zip(parts).for_each(|(sum, part)| *sum += part);
        }
        self.first_shares.iter_mut().zip(part.first_shares).for_each(|(sum, part)| *sum += part);
        self.tau.extend(part.tau);
        self.weights.extend(part.weights);
    }

    /// The result, for the model that is at each place of `order`.
    pub(super) fn finish(self, order: &[usize]) -> Perturbation {
        let n = self.n_models;
        let mut result = Perturbation {
            tau_mean: if self.n_defined == 0 { f64::NAN } else { self.tau_mean },
            tau_sd: (self.tau_squares / self.n_defined as f64).sqrt(), // 0 / 0 is NaN: no tau was defined
            n_undefined: self.n_undefined,
            rank_counts: vec![0; n * n],
            first_counts: vec![0.0; n],
            wins: vec![0; n * n],
            tau: self.tau,
            weights: self.weights,
        };
        for (i, model) in order.iter().enumerate() {
            result.first_counts[*model] = self.place_counts[(n - 1) * n + i] as f64 + self.first_shares[i];
            for (j, other) in order.iter().enumerate() {
                result.rank_counts[model * n + j] = self.place_counts[(n - 1 - j) * n + i];
                if j < i {
                    result.wins[model * n + other] = self.above[i * n + j];
                    result.wins[other * n + model] = self.below[i * n + j];
                }
            }
        }
        result
    }
}
