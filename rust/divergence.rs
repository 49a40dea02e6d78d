//! Divergences between matching rows of two tables, in nats.
//!
//! A table has shape `(n_rows, n_classes)` and holds log-probabilities, logits or probabilities ([`Space`]); sums are
//! kept in `f64` whatever the input precision. `-inf` is probability 0. A row with a NaN gives NaN, for that row only.

use std::str::FromStr;

use crate::error::unknown;
use crate::likelihood::row_logsumexp;
use crate::math::{exp, ln, ln_1p};
use crate::{Error, Real, Rows, threads};

/// What the numbers of a table are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Space {
    /// Natural-log probabilities, at most 0.
    LogProbs,
    /// Unnormalised scores; a row's softmax is meant.
    Logits,
    /// Probabilities, summing to 1.
    Probs,
}

/// A divergence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Kullback–Leibler, `Σ p ln(p / q)`: 0 to infinity, not symmetric; infinite where `q` is 0 and `p` is not.
    Kl,
    /// Jensen–Shannon, `½ KL(p‖m) + ½ KL(q‖m)` with `m = ½(p + q)`: 0 to `ln 2`, symmetric. Lin (1991).
    Js,
    /// Total variation, `½ Σ |p - q|`: 0 to 1, symmetric.
    Tv,
}

impl FromStr for Space {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self, Error> {
        match name {
            "log_probs" => Ok(Self::LogProbs),
            "logits" => Ok(Self::Logits),
            "probs" => Ok(Self::Probs),
            _ => Err(unknown("space", name, "\"log_probs\", \"logits\" or \"probs\"")),
        }
    }
}

impl FromStr for Kind {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self, Error> {
        match name {
            "kl" => Ok(Self::Kl),
            "js" => Ok(Self::Js),
            "tv" => Ok(Self::Tv),
            _ => Err(unknown("kinds", name, "\"kl\", \"js\" or \"tv\"")),
        }
    }
}

/// How far above 0 rounding may leave a log-probability.
const LOG_PROB_TOLERANCE: f64 = 1e-4;

/// Classes that are brought into `f64` together: four buffers of this size stay in the first-level cache.
const BLOCK: usize = 128;

/// Classes that are summed side by side, so that a sum has one order on every machine.
const LANES: usize = 8;

/// The divergences asked for, one vector of `n_rows` values for each of `kinds`, in one pass over memory.
///
/// # Errors
/// [`Error::ShapeMismatch`] if `p` and `q` differ in shape; [`Error::PositiveLogProb`], [`Error::NegativeProbability`] or
/// [`Error::NotNormalised`] for the first row that is not in `space`. Sums of `q` are seen only where its
/// probabilities are needed, so not for [`Kind::Kl`] of log-probabilities alone.
pub fn divergences<T: Real>(p: Rows<T>, q: Rows<T>, kinds: &[Kind], space: Space) -> Result<Vec<Vec<f64>>, Error> {
    p.same_shape(&q)?;
    let work = match (kinds.contains(&Kind::Js), kinds.contains(&Kind::Tv)) {
        (true, _) => row_divergences::<T, true, true>,
        (false, true) => row_divergences::<T, true, false>,
        (false, false) => row_divergences::<T, false, false>,
    };
    let rows = threads::map_rows((p.n_rows(), p.n_classes()), 4, |row| work(p.row(row), q.row(row), space, row))?;
    Ok(kinds.iter().map(|kind| rows.iter().map(|row| row.value(*kind)).collect()).collect())
}

/// What one pass over a pair of rows adds up.
#[derive(Default)]
struct Sums {
    kl: [f64; LANES],
    js: [f64; LANES],
    tv: [f64; LANES],
    p: [f64; LANES],
    q: [f64; LANES],
    nans: [f64; LANES],
}

/// The divergences of one pair of rows.
struct RowDivergences {
    kl: f64,
    js: f64,
    tv: f64,
}

impl RowDivergences {
    const UNDEFINED: Self = Self { kl: f64::NAN, js: f64::NAN, tv: f64::NAN };

    fn value(&self, kind: Kind) -> f64 {
        match kind {
            Kind::Kl => self.kl,
            Kind::Js => self.js,
            Kind::Tv => self.tv,
        }
    }
}

/// One block of a row in `f64`: probabilities with their logarithms.
struct Block {
    log: [f64; BLOCK],
    prob: [f64; BLOCK],
    extreme: f64,
}

impl Block {
    fn new(space: Space) -> Self {
        let extreme = if space == Space::Probs { f64::INFINITY } else { f64::NEG_INFINITY };
        Self { log: [0.0; BLOCK], prob: [0.0; BLOCK], extreme }
    }

    /// Reads `values`, filling up to whole lanes with probability 0; `shift` is the row's log-sum-exp.
    #[inline(always)]
    fn read<T: Real, const PROB: bool>(&mut self, values: &[T], space: Space, shift: f64) -> usize {
        let n = values.len().next_multiple_of(LANES);
        if space == Space::Probs {
            self.read_probs(values, n)
        } else {
            self.read_logs(values, n, shift)
        }
        if PROB && space != Space::Probs {
            for (prob, log) in self.prob[..n].iter_mut().zip(&self.log[..n]) {
                *prob = exp(*log);
            }
        }
        n
    }

    #[inline(always)]
    fn read_logs<T: Real>(&mut self, values: &[T], n: usize, shift: f64) {
        for (log, value) in self.log.iter_mut().zip(values) {
            *log = value.widen() - shift;
        }
        self.log[values.len()..n].fill(f64::NEG_INFINITY);
        self.extreme = self.log[..n].iter().fold(self.extreme, |a, b| if *b > a { *b } else { a });
    }

    #[inline(always)]
    fn read_probs<T: Real>(&mut self, values: &[T], n: usize) {
        for (prob, value) in self.prob.iter_mut().zip(values) {
            *prob = value.widen();
        }
        self.prob[values.len()..n].fill(0.0);
        for (log, prob) in self.log[..n].iter_mut().zip(&self.prob[..n]) {
            *log = ln(prob.abs()); // a probability below 0 is an error that `check` reports, not a NaN
        }
        self.extreme = self.prob[..n].iter().fold(self.extreme, |a, b| if *b < a { *b } else { a });
    }
}

/// `Q`: whether the probabilities of `q` are needed; `JS`: whether its sum is.
fn row_divergences<T: Real, const Q: bool, const JS: bool>(
    p: &[T],
    q: &[T],
    space: Space,
    row: usize,
) -> Result<RowDivergences, Error> {
    let shift = |x: &[T]| if space == Space::Logits { row_logsumexp(x) } else { 0.0 };
    let (shift_p, shift_q) = (shift(p), shift(q));
    let (mut block_p, mut block_q, mut sums) = (Block::new(space), Block::new(space), Sums::default());
    for (p, q) in p.chunks(BLOCK).zip(q.chunks(BLOCK)) {
        let n = block_p.read::<T, true>(p, space, shift_p);
        block_q.read::<T, Q>(q, space, shift_q);
        sums.add::<Q, JS>(&block_p, &block_q, n);
    }
    if total(&sums.nans) > 0.0 {
        return Ok(RowDivergences::UNDEFINED);
    }
    check::<T>("p", row, space, block_p.extreme, Some(total(&sums.p)))?;
    check::<T>("q", row, space, block_q.extreme, (Q || space == Space::Probs).then(|| total(&sums.q)))?;
    Ok(sums.divergences())
}

impl Sums {
    #[inline(always)]
    fn add<const Q: bool, const JS: bool>(&mut self, p: &Block, q: &Block, n: usize) {
        for start in (0..n).step_by(LANES) {
            for lane in 0..LANES {
                let i = start + lane;
                self.add_class::<Q, JS>(lane, (p.prob[i], p.log[i]), (q.prob[i], q.log[i]));
            }
        }
    }

    #[inline(always)]
    fn add_class<const Q: bool, const JS: bool>(
        &mut self,
        lane: usize,
        (p, log_p): (f64, f64),
        (q, log_q): (f64, f64),
    ) {
        let ratio = log_p - log_q;
        self.nans[lane] += if log_p.is_nan() | log_q.is_nan() { 1.0 } else { 0.0 };
        self.p[lane] += p;
        self.q[lane] += q;
        self.kl[lane] += kl_term(p, log_p, ratio);
        if Q {
            self.tv[lane] += (p - q).abs();
        }
        if JS {
            self.js[lane] += js_term(p, q, ratio);
        }
    }

    fn divergences(&self) -> RowDivergences {
        let js = (0.5 * total(&self.js)).clamp(0.0, std::f64::consts::LN_2);
        let tv = (0.5 * total(&self.tv)).min(1.0);
        RowDivergences { kl: total(&self.kl).max(0.0), js, tv } // rounding can leave -1e-17 for nearly equal rows
    }
}

/// `p ln(p / q)`: 0 where `p` is 0, infinite where only `q` is 0.
#[inline(always)]
fn kl_term(p: f64, log_p: f64, ratio: f64) -> f64 {
    let term = if ratio == f64::INFINITY { f64::INFINITY } else { p * ratio };
    if log_p == f64::NEG_INFINITY { 0.0 } else { term }
}

/// `p ln(p / m) + q ln(q / m)`, written with the ratio `w` of the smaller to the larger so that equal classes give exactly 0.
#[inline(always)]
fn js_term(p: f64, q: f64, ratio: f64) -> f64 {
    let (large, small) = if p > q { (p, q) } else { (q, p) };
    let w = if large > 0.0 { small / large } else { 1.0 };
    let distance = if ratio.abs() < 800.0 { ratio.abs() } else { 800.0 }; // beyond that w is 0
    large * (-(1.0 + w) * ln_1p(-0.5 * (1.0 - w)) - w * distance)
}

#[inline(always)]
fn total(lanes: &[f64; LANES]) -> f64 {
    let [a, b, c, d, e, f, g, h] = lanes;
    ((a + b) + (c + d)) + ((e + f) + (g + h))
}

/// Fails if a row is not in `space`; `extreme` is its largest logarithm, or its smallest probability.
pub(crate) fn check<T: Real>(
    argument: &'static str,
    row: usize,
    space: Space,
    extreme: f64,
    sum: Option<f64>,
) -> Result<(), Error> {
    match space {
        Space::LogProbs if extreme > LOG_PROB_TOLERANCE => {
            return Err(Error::PositiveLogProb { argument, row, largest: extreme });
        }
        Space::Probs if extreme < 0.0 => {
            return Err(Error::NegativeProbability { argument, row, smallest: extreme });
        }
        _ => {}
    }
    match sum {
        Some(sum) if (sum - 1.0).abs() > T::SUM_TOLERANCE => Err(Error::NotNormalised { argument, row, sum }),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(p: &[f64], q: &[f64], kind: Kind, space: Space) -> Result<f64, Error> {
        let rows = |x| Rows::new(x, 1, p.len(), p.len());
        Ok(divergences(rows(p)?, rows(q)?, &[kind], space)?[0][0])
    }

    #[test]
    fn a_class_that_only_p_has_makes_kl_infinite_and_js_finite() {
        let (p, q) = ([0.5, 0.5], [1.0, 0.0]);
        assert_eq!(one(&p, &q, Kind::Kl, Space::Probs), Ok(f64::INFINITY));
        assert!((one(&q, &p, Kind::Kl, Space::Probs).unwrap() - 2f64.ln()).abs() < 1e-15);
        assert!((one(&p, &q, Kind::Tv, Space::Probs).unwrap() - 0.5).abs() < 1e-15);
    }

    #[test]
    fn disjoint_rows_are_ln_2_apart_and_equal_ones_0() {
        let (p, q) = ([0.0, f64::NEG_INFINITY], [f64::NEG_INFINITY, 0.0]);
        assert_eq!(one(&p, &q, Kind::Js, Space::LogProbs), Ok(2f64.ln()));
        assert_eq!(one(&p, &p, Kind::Js, Space::LogProbs), Ok(0.0));
    }

    #[test]
    fn a_nan_gives_nan_and_logits_for_log_probs_an_error() {
        assert!(one(&[f64::NAN, 5.0], &[0.0, 1.0], Kind::Js, Space::LogProbs).unwrap().is_nan());
        let error = one(&[3.0, 1.0], &[0.0, 1.0], Kind::Kl, Space::LogProbs).unwrap_err();
        assert_eq!(error, Error::PositiveLogProb { argument: "p", row: 0, largest: 3.0 });
    }
}
