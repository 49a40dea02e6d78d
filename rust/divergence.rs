//! Divergences between matching rows of two tables, in nats.
//!
//! A table has shape `(n_rows, n_classes)` and holds log-probabilities, logits or probabilities ([`Space`]); sums are
//! kept in `f64` whatever the input precision. `-inf` is probability 0. A row with a NaN gives NaN, for that row only.

use std::ops::Range;
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
    threads::map_rows((p.n_rows(), p.n_classes()), 4, |rows| simd::widest(Pairs::<T, Q, JS> { p, q, space, rows }))
}

/// Pairs of rows. `Q`: whether the probabilities of `q` are needed; `JS`: whether the Jensen–Shannon sum is.
struct Pairs<'a, T, const Q: bool, const JS: bool> {
    p: Rows<'a, T>,
    q: Rows<'a, T>,
    space: Space,
    rows: Range<usize>,
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

impl<T: Real, const Q: bool, const JS: bool> Kernel for Pairs<'_, T, Q, JS> {
    type Output = Result<Vec<RowDivergences>, Error>;

    #[inline(always)]
    fn run(self) -> Self::Output {
        let mut reader = Reader { p: Block::new(self.space), q: Block::new(self.space), terms: [0.0; BLOCK] };
        let mut values = Vec::with_capacity(self.rows.len());
        for row in self.rows {
            let (p, q) = (self.p.row(row), self.q.row(row));
            reader.p.start(shift_of(p, self.space));
            reader.q.start(shift_of(q, self.space));
            let mut sums = Sums::default();
            for (p, q) in p.chunks(BLOCK).zip(q.chunks(BLOCK)) {
                let n = reader.p.read::<T, true>(p);
                reader.q.read::<T, Q>(q);
                sums.add::<Q, JS>(&mut reader, n);
            }
            values.push(sums.divergences::<T>(&reader, row, Q || self.space == Space::Probs)?);
        }
        Ok(values)
    }
}

/// Buffers of the block that is being read.
struct Reader {
    p: Block,
    q: Block,
    terms: [f64; BLOCK],
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

impl Sums {
    #[inline(always)]
    fn add<const Q: bool, const JS: bool>(&mut self, read: &mut Reader, n: usize) {
        lanes::add(&mut self.p, &read.p.prob[..n]);
        lanes::add(&mut self.q, &read.q.prob[..n]);
        read.add_terms(&mut self.nans, n, |p, q| if p.log.is_nan() | q.log.is_nan() { 1.0 } else { 0.0 });
        read.add_terms(&mut self.kl, n, kl_term);
        if Q {
            read.add_terms(&mut self.tv, n, |p, q| (p.prob - q.prob).abs());
        }
        if JS {
            read.add_terms(&mut self.js, n, js_term);
        }
    }

    /// The row's divergences; NaN if it has one, an error if it is not in its space.
    #[inline(always)]
    fn divergences<T: Real>(&self, read: &Reader, row: usize, sum_of_q: bool) -> Result<RowDivergences, Error> {
        if lanes::total(&self.nans) > 0.0 {
            return Ok(RowDivergences::UNDEFINED);
        }
        read.p.check::<T>("p", row, Some(lanes::total(&self.p)))?;
        read.q.check::<T>("q", row, sum_of_q.then(|| lanes::total(&self.q)))?;
        let kl = lanes::total(&self.kl).max(0.0); // rounding can leave -1e-17 for nearly equal rows
        let js = (0.5 * lanes::total(&self.js)).clamp(0.0, std::f64::consts::LN_2);
        Ok(RowDivergences { kl, js, tv: (0.5 * lanes::total(&self.tv)).min(1.0) })
    }
}

/// A class's probability and its logarithm.
#[derive(Clone, Copy)]
struct Class {
    prob: f64,
    log: f64,
}

impl Reader {
    /// Adds `term` of each of the first `n` classes to its lane: one loop to compute, which becomes SIMD, and one to add.
    #[inline(always)]
    fn add_terms(&mut self, sums: &mut [f64; LANES], n: usize, term: impl Fn(Class, Class) -> f64) {
        let (p_prob, p_log, q_prob, q_log) = (&self.p.prob[..n], &self.p.log[..n], &self.q.prob[..n], &self.q.log[..n]);
        for (i, value) in self.terms[..n].iter_mut().enumerate() {
            *value = term(Class { prob: p_prob[i], log: p_log[i] }, Class { prob: q_prob[i], log: q_log[i] });
        }
        lanes::add(sums, &self.terms[..n]);
    }
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
    fn wider_registers_change_no_bit() {
        let values = |phase: f64| (0..999).map(|i| (phase + f64::from(i)).sin() * 9.0).collect::<Vec<_>>();
        let (p, q) = (values(0.0), values(0.5));
        let rows = |x| Rows::new(x, 3, 333, 333).unwrap();
        let pairs = || Pairs::<f64, true, true> { p: rows(&p), q: rows(&q), space: Space::Logits, rows: 0..3 };
        let (narrow, wide) = (pairs().run().unwrap(), simd::widest(pairs()).unwrap());
        for (a, b) in narrow.iter().zip(&wide) {
            assert_eq!(
                (a.kl.to_bits(), a.js.to_bits(), a.tv.to_bits()),
                (b.kl.to_bits(), b.js.to_bits(), b.tv.to_bits())
            );
        }
    }

    #[test]
    fn a_nan_gives_nan_and_logits_for_log_probs_an_error() {
        assert!(one(&[f64::NAN, 5.0], &[0.0, 1.0], Kind::Js, Space::LogProbs).unwrap().is_nan());
        let error = one(&[3.0, 1.0], &[0.0, 1.0], Kind::Kl, Space::LogProbs).unwrap_err();
        assert_eq!(error, Error::PositiveLogProb { argument: "p", row: 0, largest: 3.0 });
    }
}
