//! Terms of divergences in `f64`: for tables of that, for probabilities, and for what `f32` has no room for.

use super::{Shifts, Sums};
use crate::Real;
use crate::distribution::{Block, Space};
use crate::lanes::{self, LANES};
use crate::math::ln_1p;
use crate::simd::Level;
use crate::tile::BLOCK;

/// Buffers of one block of both tables.
pub(super) struct Wide {
    p: Block,
    q: Block,
    terms: [f64; BLOCK],
}

/// A class's probability and its logarithm.
#[derive(Clone, Copy)]
struct Class {
    prob: f64,
    log: f64,
}

impl Wide {
    #[inline(always)]
    pub(super) fn new(space: Space) -> Self {
        Self { p: Block::new(space), q: Block::new(space), terms: [0.0; BLOCK] }
    }

    /// Makes ready for other rows.
    #[inline(always)]
    pub(super) fn start(&mut self, shifts: &Shifts) {
        self.p.start(shifts.p);
        self.q.start(shifts.q);
    }

    /// Adds a block of both tables. `Q`: whether the probabilities of `q` are needed; `JS`: whether that sum is.
    #[inline(always)]
    pub(super) fn add<T: Real, const Q: bool, const JS: bool, L: Level>(&mut self, p: &[T], q: &[T], sums: &mut Sums) {
        let n = self.p.read::<T, true, L>(p);
        self.q.read::<T, Q, L>(q);
        lanes::add(&mut sums.p, &self.p.prob[..n]);
        lanes::add(&mut sums.q, &self.q.prob[..n]);
        self.add_terms(&mut sums.nans, n, |p, q| if p.log.is_nan() | q.log.is_nan() { 1.0 } else { 0.0 });
        self.add_terms(&mut sums.kl, n, kl_term);
        if Q {
            self.add_terms(&mut sums.tv, n, |p, q| (p.prob - q.prob).abs());
        }
        if JS {
            self.add_terms(&mut sums.js, n, js_term::<L>);
        }
    }

    /// Adds `term` of each of the first `n` classes to its lane: one loop to compute, which becomes SIMD, and one to add.
    #[inline(always)]
    fn add_terms(&mut self, sums: &mut [f64; LANES], n: usize, term: impl Fn(Class, Class) -> f64) {
        let (p_prob, p_log, q_prob, q_log) = (&self.p.prob[..n], &self.p.log[..n], &self.q.prob[..n], &self.q.log[..n]);
        for (i, value) in self.terms[..n].iter_mut().enumerate() {
            *value = term(Class { prob: p_prob[i], log: p_log[i] }, Class { prob: q_prob[i], log: q_log[i] });
        }
        lanes::add(sums, &self.terms[..n]);
    }

    /// Raises the extremes of both tables to the largest logarithm in either.
    #[inline(always)]
    pub(super) fn raise_extremes(&mut self, largest: &[f64; LANES]) {
        lanes::raise(&mut self.p.extreme, largest);
        lanes::raise(&mut self.q.extreme, largest);
    }

    /// See [`Block::extreme`]; of `p` and of `q`.
    pub(super) fn extremes(&self) -> [&[f64; LANES]; 2] {
        [&self.p.extreme, &self.q.extreme]
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
fn js_term<L: Level>(p: Class, q: Class) -> f64 {
    let (large, small) = if p.prob > q.prob { (p.prob, q.prob) } else { (q.prob, p.prob) };
    let w = if large > 0.0 { small / large } else { 1.0 };
    let distance = (p.log - q.log).abs();
    let distance = if distance < 800.0 { distance } else { 800.0 }; // beyond that w is 0
    large * (-(1.0 + w) * ln_1p::<L>(-0.5 * (1.0 - w)) - w * distance)
}
