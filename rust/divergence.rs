//! Divergences between matching rows of two tables, in nats.
//!
//! A table has shape `(n_rows, n_classes)` and holds log-probabilities, logits or probabilities ([`Space`]); sums are
//! kept in `f64` whatever the input precision. `-inf` is probability 0. A row with a NaN gives NaN, for that row only.

use std::str::FromStr;

use crate::distribution::{BLOCK, Block};
use crate::error::unknown;
use crate::lanes::{self, LANES};
use crate::likelihood::shift_of;
use crate::math::ln_1p;
use crate::simd::{self, Kernel};
use crate::{Error, Real, Rows, threads};

pub use crate::distribution::Space;

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

/// The divergences asked for, one vector of `n_rows` values for each of `kinds`, in one pass over memory.
///
/// # Errors
/// [`Error::ShapeMismatch`] if `p` and `q` differ in shape; [`Error::PositiveLogProb`], [`Error::NegativeProbability`] or
/// [`Error::NotNormalised`] for the first row that is not in `space`. Sums of `q` are seen only where its
/// probabilities are needed, so not for [`Kind::Kl`] of log-probabilities alone.
pub fn divergences<T: Real>(p: Rows<T>, q: Rows<T>, kinds: &[Kind], space: Space) -> Result<Vec<Vec<f64>>, Error> {
    p.same_shape(&q)?;
    let rows = match (kinds.contains(&Kind::Js), kinds.contains(&Kind::Tv)) {
        (true, _) => by_row::<T, true, true>(p, q, space),
        (false, true) => by_row::<T, true, false>(p, q, space),
        (false, false) => by_row::<T, false, false>(p, q, space),
    }?;
    Ok(kinds.iter().map(|kind| rows.iter().map(|row| row.value(*kind)).collect()).collect())
}

fn by_row<T: Real, const Q: bool, const JS: bool>(
    p: Rows<T>,
    q: Rows<T>,
    space: Space,
) -> Result<Vec<RowDivergences>, Error> {
    threads::map_rows((p.n_rows(), p.n_classes()), 4, |row| {
        simd::widest(Pair::<T, Q, JS> { p: p.row(row), q: q.row(row), space, row })
    })
}

/// A pair of rows. `Q`: whether the probabilities of `q` are needed; `JS`: whether the Jensen–Shannon sum is.
struct Pair<'a, T, const Q: bool, const JS: bool> {
    p: &'a [T],
    q: &'a [T],
    space: Space,
    row: usize,
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

impl<T: Real, const Q: bool, const JS: bool> Kernel for Pair<'_, T, Q, JS> {
    type Output = Result<RowDivergences, Error>;

    #[inline(always)]
    fn run(self) -> Self::Output {
        let Self { p, q, space, row } = self;
        let (mut block_p, mut block_q) = (Block::new(space, shift_of(p, space)), Block::new(space, shift_of(q, space)));
        let mut sums = Sums::default();
        for (p, q) in p.chunks(BLOCK).zip(q.chunks(BLOCK)) {
            let n = block_p.read::<T, true>(p);
            block_q.read::<T, Q>(q);
            sums.add::<Q, JS>(&block_p, &block_q, n);
        }
        if lanes::total(&sums.nans) > 0.0 {
            return Ok(RowDivergences::UNDEFINED);
        }
        block_p.check::<T>("p", row, Some(lanes::total(&sums.p)))?;
        block_q.check::<T>("q", row, (Q || space == Space::Probs).then(|| lanes::total(&sums.q)))?;
        Ok(sums.divergences())
    }
}

impl Sums {
    #[inline(always)]
    fn add<const Q: bool, const JS: bool>(&mut self, p: &Block, q: &Block, n: usize) {
        add_terms(&mut self.nans, p, q, n, |p, q| if p.log.is_nan() | q.log.is_nan() { 1.0 } else { 0.0 });
        add_terms(&mut self.kl, p, q, n, kl_term);
        lanes::add(&mut self.p, &p.prob[..n]);
        lanes::add(&mut self.q, &q.prob[..n]);
        if Q {
            add_terms(&mut self.tv, p, q, n, |p, q| (p.prob - q.prob).abs());
        }
        if JS {
            add_terms(&mut self.js, p, q, n, js_term);
        }
    }

    fn divergences(&self) -> RowDivergences {
        let kl = lanes::total(&self.kl).max(0.0); // rounding can leave -1e-17 for nearly equal rows
        let js = (0.5 * lanes::total(&self.js)).clamp(0.0, std::f64::consts::LN_2);
        RowDivergences { kl, js, tv: (0.5 * lanes::total(&self.tv)).min(1.0) }
    }
}

/// A class's probability and its logarithm.
#[derive(Clone, Copy)]
struct Class {
    prob: f64,
    log: f64,
}

/// Adds `term` of each of the first `n` classes to its lane: one loop to compute, which becomes SIMD, and one to add.
#[inline(always)]
fn add_terms(sums: &mut [f64; LANES], p: &Block, q: &Block, n: usize, term: impl Fn(Class, Class) -> f64) {
    let mut terms = [0.0; BLOCK];
    let (p_prob, p_log, q_prob, q_log) = (&p.prob[..n], &p.log[..n], &q.prob[..n], &q.log[..n]);
    for (i, value) in terms[..n].iter_mut().enumerate() {
        *value = term(Class { prob: p_prob[i], log: p_log[i] }, Class { prob: q_prob[i], log: q_log[i] });
    }
    lanes::add(sums, &terms[..n]);
}

/// `p ln(p / q)`: 0 where `p` is 0, infinite where only `q` is 0.
#[inline(always)]
fn kl_term(p: Class, q: Class) -> f64 {
    let ratio = p.log - q.log;
    let term = if ratio == f64::INFINITY { f64::INFINITY } else { p.prob * ratio };
    if p.log == f64::NEG_INFINITY { 0.0 } else { term }
}

/// `p ln(p / m) + q ln(q / m)`, written with the ratio `w` of the smaller to the larger so that equal classes give exactly 0.
#[inline(always)]
fn js_term(p: Class, q: Class) -> f64 {
    let (large, small) = if p.prob > q.prob { (p.prob, q.prob) } else { (q.prob, p.prob) };
    let w = if large > 0.0 { small / large } else { 1.0 };
    let distance = (p.log - q.log).abs();
    let distance = if distance < 800.0 { distance } else { 800.0 }; // beyond that w is 0
    large * (-(1.0 + w) * ln_1p(-0.5 * (1.0 - w)) - w * distance)
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
