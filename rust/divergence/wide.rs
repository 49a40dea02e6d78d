//! Sums of any terms in `f64`: for tables of that, for probabilities, and for what `f32` has no room for.

use std::cell::RefCell;
use std::ops::Range;

use super::kind::{Sums, Term, Terms};
use crate::chunk::{self, BLOCK, Buffer, Tile};
use crate::distribution::Space;
use crate::math::{exp, ln, ln_1p};
use crate::simd::{Kernel, LANES, Level};

/// Classes of a block, one after the other.
type Flat = [f64; BLOCK * LANES];

/// What a block's loops hand to one another.
pub(super) struct Scratch {
    buffer: Buffer<f64>,
    p: Block,
    q: Block,
    values: Flat,
}

struct Block {
    prob: Flat,
    log: Flat,
}

impl Scratch {
    const fn new() -> Self {
        const EMPTY: Flat = [0.0; BLOCK * LANES];
        let (p, q) = (Block { prob: EMPTY, log: EMPTY }, Block { prob: EMPTY, log: EMPTY });
        Self { buffer: [[0.0; LANES]; BLOCK], p, q, values: EMPTY }
    }
}

/// Runs `f` with this thread's own.
pub(super) fn with_scratch<R>(f: impl FnOnce(&mut Scratch) -> R) -> R {
    thread_local! {
        static SCRATCH: RefCell<Box<Scratch>> = RefCell::new(Box::new(Scratch::new()));
    }
    SCRATCH.with_borrow_mut(|scratch| f(scratch))
}

/// A pass over matching rows. `shifts` make logits logarithms of probabilities.
pub(super) struct Pass<'a> {
    pub(super) p: &'a Tile<'a, f64>,
    pub(super) q: &'a Tile<'a, f64>,
    pub(super) chunks: Range<usize>,
    pub(super) space: Space,
    pub(super) shifts: &'a [[f64; LANES]; 2],
    pub(super) terms: Terms,
    /// Order of Rényi's divergence.
    pub(super) order: f64,
    pub(super) scratch: &'a mut Scratch,
}

/// Sums of a pass, and what [`Space::check`] wants to know.
pub(super) struct Checked {
    pub(super) sums: Sums,
    /// Largest logarithm, or largest negated probability in [`Space::Probs`]; of `p` and of `q`.
    pub(super) extremes: [[f64; LANES]; 2],
}

impl Checked {
    /// Adds the sums of a later part of the same rows.
    pub(super) fn merge(&mut self, other: &Self) {
        self.sums.merge(&other.sums);
        for (extremes, others) in self.extremes.iter_mut().zip(&other.extremes) {
            for lane in 0..LANES {
                extremes[lane] = extremes[lane].max(others[lane]);
            }
        }
    }
}

impl Kernel for Pass<'_> {
    type Output = Checked;

    #[inline(always)]
    fn run<L: Level>(self) -> Checked {
        let mut result = Checked { sums: Sums::EMPTY, extremes: [[f64::NEG_INFINITY; LANES]; 2] };
        let Scratch { buffer, p, q, values } = self.scratch;
        let tables = [(self.p, p, &self.shifts[0]), (self.q, q, &self.shifts[1])];
        let [(p_tile, p, p_shift), (q_tile, q, q_shift)] = tables;
        let padding = if self.space == Space::Probs { 0.0 } else { f64::NEG_INFINITY };
        for chunks in chunk::blocks(self.chunks) {
            let n = chunks.len() * LANES;
            let block = p_tile.block(chunks.clone(), padding, buffer);
            p.read::<L>(block, self.space, p_shift, &mut result.extremes[0]);
            let block = q_tile.block(chunks, padding, buffer);
            q.read::<L>(block, self.space, q_shift, &mut result.extremes[1]);
            add_terms::<L>(p, q, n, self.terms, self.order, values, &mut result.sums);
        }
        result
    }
}

impl Block {
    #[inline(always)]
    fn read<L: Level>(
        &mut self,
        block: &[[f64; LANES]],
        space: Space,
        shift: &[f64; LANES],
        extreme: &mut [f64; LANES],
    ) {
        let n = block.len() * LANES;
        let (logs, probs) = (&mut self.log[..n], &mut self.prob[..n]);
        let sign = if space == Space::Probs { -1.0 } else { 1.0 };
        for (chunk, out) in block.iter().zip(logs.as_chunks_mut::<LANES>().0) {
            for lane in 0..LANES {
                let x = sign * chunk[lane] - shift[lane];
                out[lane] = x;
                extreme[lane] = if x > extreme[lane] { x } else { extreme[lane] };
            }
        }
        if space == Space::Probs {
            // The logarithm is that of the size: a probability below 0 is an error that `check` reports, not a NaN.
            for (prob, log) in probs.iter_mut().zip(logs) {
                *prob = -*log;
                *log = ln::<L>(prob.abs());
            }
        } else {
            for (prob, log) in probs.iter_mut().zip(logs) {
                *prob = exp::<L>(*log);
            }
        }
    }
}

/// A class's probability and its logarithm.
#[derive(Clone, Copy)]
struct Class {
    prob: f64,
    log: f64,
}

/// Adds `$value` of each class to its lane, if the term is wanted: one loop to compute and one to add, which become SIMD.
macro_rules! add {
    ($p:ident, $q:ident, $terms:ident, $values:ident, $sums:ident, $term:ident: $value:expr) => {
        if $terms.have(Term::$term) {
            for i in 0..$values.len() {
                let p = Class { prob: $p.prob[i], log: $p.log[i] };
                let q = Class { prob: $q.prob[i], log: $q.log[i] };
                $values[i] = $value(p, q);
            }
            add_lanes($sums.term(Term::$term), $values);
        }
    };
}

#[inline(always)]
fn add_terms<L: Level>(p: &Block, q: &Block, n: usize, terms: Terms, order: f64, values: &mut Flat, sums: &mut Sums) {
    let values = &mut values[..n];
    add!(p, q, terms, values, sums, Kl: kl_term);
    add!(p, q, terms, values, sums, ReverseKl: |p, q| kl_term(q, p));
    add!(p, q, terms, values, sums, Js: js_term::<L>);
    add!(p, q, terms, values, sums, Tv: |p: Class, q: Class| (p.prob - q.prob).abs());
    add!(p, q, terms, values, sums, Hellinger: |p: Class, q: Class| square(p.prob.abs().sqrt() - q.prob.abs().sqrt()));
    add!(p, q, terms, values, sums, ChiSquared: chi_squared_term);
    add!(p, q, terms, values, sums, Renyi: |p, q| renyi_term::<L>(p, q, order));
    add!(p, q, terms, values, sums, CrossEntropy: |p: Class, q: Class| if p.prob == 0.0 { 0.0 } else { -p.prob * q.log });
    add!(p, q, terms, values, sums, Entropy: |p: Class, _| if p.prob == 0.0 { 0.0 } else { -p.prob * p.log });
    add!(p, q, terms, values, sums, Both: |p: Class, q: Class| p.prob + q.prob);
    add!(p, q, terms, values, sums, Surplus: |p: Class, q: Class| p.prob - q.prob);
}

#[inline(always)]
fn add_lanes(sums: &mut [f64; LANES], values: &[f64]) {
    for chunk in values.as_chunks::<LANES>().0 {
        for lane in 0..LANES {
            sums[lane] += chunk[lane];
        }
    }
}

#[inline(always)]
fn square(x: f64) -> f64 {
    x * x
}

/// `p ln(p / q) + q - p`: infinite where only `q` is 0.
#[inline(always)]
fn kl_term(p: Class, q: Class) -> f64 {
    let ratio = p.log - q.log;
    let term = if ratio == f64::INFINITY { f64::INFINITY } else { p.prob * ratio };
    let term = if p.prob == 0.0 { 0.0 } else { term };
    term + (q.prob - p.prob)
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

/// `(p - q)^2 / q`: infinite where only `q` is 0.
#[inline(always)]
fn chi_squared_term(p: Class, q: Class) -> f64 {
    let difference = p.prob - q.prob;
    let term = difference / q.prob * difference;
    if difference == 0.0 { 0.0 } else { term }
}

/// `p^α q^(1 - α) - α p - (1 - α) q` as `p e^t - p - (1 - α) (q - p)`, which is exactly 0 for equal classes.
#[inline(always)]
fn renyi_term<L: Level>(p: Class, q: Class, order: f64) -> f64 {
    const HIGHEST: f64 = 709.0;
    let t = (order - 1.0) * (p.log - q.log);
    let (scale, exponent) = if t < 1.0 { (p.prob, t) } else { (1.0, p.log + t) }; // e^t may be too large, and p e^t not
    let power = scale * exp::<L>(if exponent > HIGHEST { HIGHEST } else { exponent });
    let power = if exponent > HIGHEST { f64::INFINITY } else { power };
    let power = if p.prob == 0.0 { 0.0 } else { power };
    (power - p.prob) - (1.0 - order) * (q.prob - p.prob)
}
