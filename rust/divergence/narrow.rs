//! Sums of any terms in `f32`, for tables of logarithms that hold no more digits than that.
//!
//! A pair of probabilities is the larger times a function of the distance between their logarithms (see [`Gap`]). A block
//! is read, then each term has a loop over it: a single loop would need more registers than there are.

use std::cell::RefCell;
use std::ops::Range;

use super::gap::{FAR, Gap};
use super::kind::{Sums, Term, Terms};
use crate::chunk::{self, BLOCK, Buffer, Tile};
use crate::exponential::{LOWEST, exp};
use crate::simd::{Kernel, LANES, Level, Singles};

/// What a block's loops hand to one another.
pub(super) struct Scratch {
    p: Buffer<f32>,
    q: Buffer<f32>,
    /// `ln(p / q)`, 0 where both are 0.
    ratio: Buffer<f32>,
    /// Logarithm of the larger probability.
    log: Buffer<f32>,
    larger: Buffer<f32>,
    distance: Buffer<f32>,
    root: Buffer<f32>,
    root_difference: Buffer<f32>,
    of_larger: Buffer<f32>,
}

impl Scratch {
    const fn new() -> Self {
        const EMPTY: Buffer<f32> = [[0.0; LANES]; BLOCK];
        Self {
            p: EMPTY,
            q: EMPTY,
            ratio: EMPTY,
            log: EMPTY,
            larger: EMPTY,
            distance: EMPTY,
            root: EMPTY,
            root_difference: EMPTY,
            of_larger: EMPTY,
        }
    }
}

/// Runs `f` with this thread's own.
pub(super) fn with_scratch<R>(f: impl FnOnce(&mut Scratch) -> R) -> R {
    thread_local! {
        static SCRATCH: RefCell<Box<Scratch>> = RefCell::new(Box::new(Scratch::new()));
    }
    SCRATCH.with_borrow_mut(|scratch| f(scratch))
}

/// A pass over matching rows of logarithms. `shifts` make logits such; none are needed by log-probabilities.
pub(super) struct Pass<'a> {
    pub(super) p: &'a Tile<'a, f32>,
    pub(super) q: &'a Tile<'a, f32>,
    pub(super) chunks: Range<usize>,
    pub(super) shifts: Option<&'a [[f64; LANES]; 2]>,
    pub(super) terms: Terms,
    pub(super) scratch: &'a mut Scratch,
}

impl Kernel for Pass<'_> {
    type Output = Sums;

    #[inline(always)]
    fn run<L: Level>(self) -> Sums {
        let (mut sums, mut top) = (Sums::EMPTY, L::Singles::splat(f32::MIN));
        let shifts = self.shifts.map(Shifts::<L::Singles>::new);
        for chunks in chunk::blocks(self.chunks) {
            let n = chunks.len();
            let Scratch { p, q, ratio, log, .. } = self.scratch;
            let p = self.p.block(chunks.clone(), f32::NEG_INFINITY, p);
            let q = self.q.block(chunks, f32::NEG_INFINITY, q);
            top = match &shifts {
                Some(shifts) => read_logits(p, q, shifts, ratio, log, top),
                None => read_logs(p, q, ratio, log, top),
            };
            self.scratch.compute::<L::Singles>(n);
            self.scratch.add_terms::<L::Singles>(n, self.terms, &mut sums);
        }
        sums.top = top.to_array().map(f64::from);
        sums
    }
}

/// Numbers of `f64` in two parts, to be taken off others without loss of digits.
#[derive(Clone, Copy)]
struct Split<V> {
    high: V,
    low: V,
}

impl<V: Singles> Split<V> {
    #[inline(always)]
    fn new(x: &[f64; LANES]) -> Self {
        let (mut high, mut low) = ([0.0; LANES], [0.0; LANES]);
        for lane in 0..LANES {
            high[lane] = x[lane] as f32;
            low[lane] = (x[lane] - f64::from(high[lane])) as f32;
        }
        Self { high: V::load(&high), low: V::load(&low) }
    }

    /// `x - self`.
    #[inline(always)]
    fn off(self, x: V) -> V {
        x.sub(self.high).sub(self.low)
    }

    /// `x - y - self`: a difference of near equals keeps all its digits (Knuth's two-sum gives what `x - y` has lost).
    #[inline(always)]
    fn off_difference(self, x: V, y: V) -> V {
        let difference = x.sub(y);
        let back = difference.sub(x);
        let lost = x.sub(difference.sub(back)).sub(y.add(back));
        let lost = V::select(lost.equals(lost), lost, V::zero()); // NaN beside infinities
        difference.sub(self.high).add(lost.sub(self.low))
    }
}

struct Shifts<V> {
    p: Split<V>,
    q: Split<V>,
    ratio: Split<V>,
}

impl<V: Singles> Shifts<V> {
    #[inline(always)]
    fn new(shifts: &[[f64; LANES]; 2]) -> Self {
        let mut ratio = [0.0; LANES];
        for lane in 0..LANES {
            ratio[lane] = shifts[0][lane] - shifts[1][lane];
        }
        Self { p: Split::new(&shifts[0]), q: Split::new(&shifts[1]), ratio: Split::new(&ratio) }
    }
}

#[inline(always)]
fn read_logits<V: Singles>(
    p: &[[f32; LANES]],
    q: &[[f32; LANES]],
    shifts: &Shifts<V>,
    ratio: &mut Buffer<f32>,
    log: &mut Buffer<f32>,
    mut top: V,
) -> V {
    for ((p, q), (ratio, log)) in p.iter().zip(q).zip(ratio.iter_mut().zip(log)) {
        let (p, q) = (V::load(p), V::load(q));
        let (x, y) = (shifts.p.off(p), shifts.q.off(q));
        top = store_logs(x, y, shifts.ratio.off_difference(p, q), ratio, log, top);
    }
    top
}

#[inline(always)]
fn read_logs<V: Singles>(
    p: &[[f32; LANES]],
    q: &[[f32; LANES]],
    ratio: &mut Buffer<f32>,
    log: &mut Buffer<f32>,
    mut top: V,
) -> V {
    for ((p, q), (ratio, log)) in p.iter().zip(q).zip(ratio.iter_mut().zip(log)) {
        let (x, y) = (V::load(p), V::load(q));
        top = store_logs(x, y, x.sub(y), ratio, log, top);
    }
    top
}

#[inline(always)]
fn store_logs<V: Singles>(x: V, y: V, difference: V, ratio: &mut [f32; LANES], log: &mut [f32; LANES], top: V) -> V {
    let lowest = V::splat(LOWEST);
    let zeros = V::both(x.below(lowest), y.below(lowest)); // not of the larger: it may hide a NaN
    difference.zero_where(zeros).store(ratio);
    let larger = x.maximum(y);
    larger.store(log);
    larger.maximum(top)
}

/// Adds the larger probability times each chunk's `$value` to the sum of a term, if that is wanted.
macro_rules! add {
    ($self:ident, $n:ident, $terms:ident, $sums:ident, $term:ident: $i:ident => $value:expr) => {
        if $terms.have(Term::$term) {
            let mut sum = V::zero();
            for $i in 0..$n {
                sum = V::load(&$self.larger[$i]).mul_add($value, sum);
            }
            sum.add_to($sums.term(Term::$term));
        }
    };
}

impl Scratch {
    /// The larger probability and the gap of each pair.
    #[inline(always)]
    fn compute<V: Singles>(&mut self, n: usize) {
        let n = n.min(BLOCK);
        for i in 0..n {
            exp(V::load(&self.log[i])).store(&mut self.larger[i]);
            let gap = Gap::new(V::load(&self.ratio[i]).abs());
            gap.distance.store(&mut self.distance[i]);
            gap.root.store(&mut self.root[i]);
            gap.root_difference.store(&mut self.root_difference[i]);
            gap.of_larger.store(&mut self.of_larger[i]);
        }
    }

    #[inline(always)]
    fn gap<V: Singles>(&self, i: usize) -> Gap<V> {
        Gap {
            distance: V::load(&self.distance[i]),
            root: V::load(&self.root[i]),
            root_difference: V::load(&self.root_difference[i]),
            of_larger: V::load(&self.of_larger[i]),
        }
    }

    /// Where `q` is the larger.
    #[inline(always)]
    fn is_below<V: Singles>(&self, i: usize) -> V::Mask {
        V::load(&self.ratio[i]).below(V::zero())
    }

    /// Logarithm of the larger probability, finite where that is 0.
    #[inline(always)]
    fn finite_log<V: Singles>(&self, i: usize) -> V {
        V::splat(LOWEST).maximum(V::load(&self.log[i]))
    }

    #[inline(always)]
    fn add_terms<V: Singles>(&self, n: usize, terms: Terms, sums: &mut Sums) {
        let n = n.min(BLOCK);
        add!(self, n, terms, sums, Kl: i => {
            let gap = self.gap::<V>(i);
            V::select(self.is_below::<V>(i), gap.of_smaller(), gap.of_larger)
        });
        add!(self, n, terms, sums, ReverseKl: i => {
            let gap = self.gap::<V>(i);
            V::select(self.is_below::<V>(i), gap.of_larger, gap.of_smaller())
        });
        add!(self, n, terms, sums, Js: i => self.gap::<V>(i).js());
        add!(self, n, terms, sums, Tv: i => self.gap::<V>(i).difference());
        add!(self, n, terms, sums, Hellinger: i => {
            let difference = self.gap::<V>(i).root_difference;
            difference.mul(difference)
        });
        add!(self, n, terms, sums, ChiSquared: i => {
            let gap = self.gap::<V>(i);
            let square = gap.difference().mul(gap.difference());
            let small = gap.smaller().zero_where(V::splat(FAR - 2.0).below(gap.of_larger)); // infinity says: ask `f64`
            V::select(self.is_below::<V>(i), square, square.div(small))
        });
        add!(self, n, terms, sums, CrossEntropy: i => {
            let (gap, log) = (self.gap::<V>(i), self.finite_log::<V>(i));
            let of_p_larger = V::load(&self.ratio[i]).sub(log);
            V::select(self.is_below::<V>(i), V::zero().sub(log).mul(gap.smaller()), of_p_larger)
        });
        add!(self, n, terms, sums, Entropy: i => {
            let (gap, log) = (self.gap::<V>(i), self.finite_log::<V>(i));
            let of_p_smaller = gap.distance.sub(log).mul(gap.smaller());
            V::select(self.is_below::<V>(i), of_p_smaller, V::zero().sub(log))
        });
        add!(self, n, terms, sums, Both: i => self.gap::<V>(i).smaller().add(V::splat(1.0)));
        add!(self, n, terms, sums, Surplus: i => {
            self.gap::<V>(i).difference().with_sign_of(V::load(&self.ratio[i]))
        });
    }
}
