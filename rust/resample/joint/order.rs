//! Which of two models is better, for all pairs of models in many resamples at once: ranks and tau-b follow from it.

use super::super::{LANES, Lanes};
use crate::rank::tau_b;

/// Means closer than this, relative to the largest of their resample, are ties: they differ by rounding at most.
const TIE_TOLERANCE: f64 = 1e-12;

/// Comparisons of all pairs of models by one metric.
#[derive(Debug, Clone)]
pub(super) struct Order {
    /// For each model the number of better less the number of worse ones.
    net: Vec<Lanes<i64>>,
    /// One bit a pair: whether the later model is better, and whether one is.
    later: Vec<Lanes<u64>>,
    untied: Vec<Lanes<u64>>,
    n_untied: Lanes<u64>,
    defined: Lanes<bool>,
}

impl Order {
    pub(super) fn new(n_models: usize) -> Self {
        let words = vec![[0; LANES]; (n_models * n_models.saturating_sub(1) / 2).div_ceil(64)];
        Self {
            net: vec![[0; LANES]; n_models],
            later: words.clone(),
            untied: words,
            n_untied: [0; LANES],
            defined: [false; LANES],
        }
    }

    #[inline(always)]
    pub(super) fn compare(&mut self, means: &[Lanes<f64>], higher_is_better: bool) {
        let tolerance = self.look_over(means);
        let sign = if higher_is_better { 1.0 } else { -1.0 };
        let (mut later, mut untied) = ([0u64; LANES], [0u64; LANES]);
        let mut pair = 0;
        for i in 0..means.len() {
            let (x, mut net) = (means[i], [0; LANES]);
            let (before, here) = self.net.split_at_mut(i);
            for (y, net_y) in means[..i].iter().zip(before) {
                for lane in 0..LANES {
                    let lead = sign * (x[lane] - y[lane]);
                    let above = if lead > tolerance[lane] { -1i64 } else { 0 };
                    let below = if lead < -tolerance[lane] { -1i64 } else { 0 };
                    net[lane] += above - below;
                    net_y[lane] += below - above;
                    later[lane] = (later[lane] + later[lane]) | (above & 1) as u64;
                    untied[lane] = (untied[lane] + untied[lane]) | ((above | below) & 1) as u64;
                }
                pair += 1;
                if pair % 64 == 0 {
                    (self.later[pair / 64 - 1], self.untied[pair / 64 - 1]) = (later, untied);
                    (later, untied) = ([0; LANES], [0; LANES]);
                }
            }
            here[0] = net;
        }
        if pair % 64 != 0 {
            (self.later[pair / 64], self.untied[pair / 64]) = (later, untied);
        }
        self.count_untied();
    }

    /// Notes where all means are defined; returns how close means are tied.
    #[inline(always)]
    fn look_over(&mut self, means: &[Lanes<f64>]) -> Lanes<f64> {
        let mut largest = [0.0; LANES];
        self.defined = [true; LANES];
        for mean in means {
            for lane in 0..LANES {
                let size = mean[lane].abs();
                largest[lane] = if size > largest[lane] && size < f64::INFINITY { size } else { largest[lane] };
                self.defined[lane] &= !mean[lane].is_nan();
            }
        }
        largest.map(|largest| TIE_TOLERANCE * largest)
    }

    #[inline(always)]
    fn count_untied(&mut self) {
        self.n_untied = [0; LANES];
        for word in &self.untied {
            for lane in 0..LANES {
                self.n_untied[lane] += u64::from(word[lane].count_ones());
            }
        }
    }

    /// tau-b between two orders; NaN where one has an undefined mean or only ties.
    #[inline(always)]
    pub(super) fn tau(&self, other: &Self) -> Lanes<f64> {
        let (mut both, mut apart) = ([0u64; LANES], [0u64; LANES]);
        for word in 0..self.later.len() {
            for lane in 0..LANES {
                let untied = self.untied[word][lane] & other.untied[word][lane];
                let differ = (self.later[word][lane] ^ other.later[word][lane]) & untied;
                both[lane] += u64::from(untied.count_ones());
                apart[lane] += u64::from(differ.count_ones());
            }
        }
        let mut tau = [f64::NAN; LANES];
        for lane in 0..LANES {
            if self.defined[lane] && other.defined[lane] {
                let net = both[lane] as i64 - 2 * apart[lane] as i64;
                tau[lane] = tau_b(net, self.n_untied[lane], other.n_untied[lane]);
            }
        }
        tau
    }
}

/// How often each model had each rank by one metric.
#[derive(Debug, Clone)]
pub(super) struct RankCounts {
    /// `[model * n_models + rank - 1]`.
    counts: Vec<u64>,
    pub(super) first: Vec<f64>,
    pub(super) n_unranked: u64,
}

impl RankCounts {
    pub(super) fn new(n_models: usize) -> Self {
        Self { counts: vec![0; n_models * n_models], first: vec![0.0; n_models], n_unranked: 0 }
    }

    pub(super) fn of_model(&self, model: usize) -> &[u64] {
        let n_models = self.first.len();
        &self.counts[model * n_models..(model + 1) * n_models]
    }

    #[inline(always)]
    pub(super) fn add(&mut self, order: &Order, n_valid: usize) {
        for lane in 0..n_valid {
            if order.defined[lane] {
                self.add_one(order, lane);
            } else {
                self.n_unranked += 1;
            }
        }
    }

    /// A model's midrank is half of `n + 1` and the better less the worse ones.
    #[inline(always)]
    fn add_one(&mut self, order: &Order, lane: usize) {
        let n_models = self.first.len();
        let mut best = (i64::MAX, 0.0);
        for model in 0..n_models {
            let net = order.net[model][lane];
            let twice_rank = (n_models as i64 + 1 + net) as usize;
            self.counts[model * n_models + twice_rank / 2 - 1] += 1;
            best = match net.cmp(&best.0) {
                std::cmp::Ordering::Less => (net, 1.0),
                std::cmp::Ordering::Equal => (net, best.1 + 1.0),
                std::cmp::Ordering::Greater => best,
            };
        }
        for model in 0..n_models {
            if order.net[model][lane] == best.0 {
                self.first[model] += 1.0 / best.1;
            }
        }
    }

    pub(super) fn merge(&mut self, part: Self) {
        self.counts.iter_mut().zip(part.counts).for_each(|(sum, part)| *sum += part);
        self.first.iter_mut().zip(part.first).for_each(|(sum, part)| *sum += part);
        self.n_unranked += part.n_unranked;
    }
}
