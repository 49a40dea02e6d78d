//! Kullback–Leibler in one pass over memory: normalisers and sum together.

use std::ops::Range;

use crate::chunk::{self, Buffer, Tile};
use crate::distribution::Space;
use crate::exponential::{LOWEST, short_exp};
use crate::logsumexp::{LogSums, Reference, largest, lower};
use crate::math::logs;
use crate::simd::{self, Kernel, LANES, Level, Singles, prefetch};
use crate::table::Float;

/// The divergence of each lane's row, and what says whether it can be believed.
pub(super) struct Direct {
    pub(super) kl: [f64; LANES],
    /// `ln Σ exp` of both rows.
    pub(super) log_sums: [[f64; LANES]; 2],
    /// `Σ exp` of `p`; NaN if either row holds NaN.
    pub(super) total: [f64; LANES],
    /// Largest number in either row.
    pub(super) top: [f64; LANES],
}

impl Direct {
    pub(super) fn new(p: &Tile<'_, f32>, q: &Tile<'_, f32>, space: Space, shared: bool) -> Self {
        let pass = |chunks| {
            f32::with_buffers(|buffers| match space {
                Space::Logits => simd::widest(Pass::<true> { p, q, chunks, buffers }),
                _ => simd::widest(Pass::<false> { p, q, chunks, buffers }),
            })
        };
        chunk::merged(p.n_chunks(), shared, pass, Sums::merge).divergences(p, q, space)
    }
}

/// What a pass adds up.
struct Sums {
    p: LogSums,
    q: LogSums,
    /// `Σ e^x (x - y)`, with `x` and `y` relative to their references.
    ratio: [f64; LANES],
    top: [f64; LANES],
}

impl Sums {
    fn merge(&mut self, later: &Self) {
        let mut later = Self { p: later.p.clone(), q: later.q.clone(), ..*later };
        for lane in 0..LANES {
            let common = |a: &LogSums, b: &LogSums| a.reference[lane].max(b.reference[lane]);
            let references = [common(&self.p, &later.p), common(&self.q, &later.q)];
            for sums in [&mut *self, &mut later] {
                let raised = [references[0] - sums.p.reference[lane], references[1] - sums.q.reference[lane]];
                sums.ratio[lane] = rebased(sums.ratio[lane], sums.p.sum[lane], raised);
            }
            self.ratio[lane] += later.ratio[lane];
            self.top[lane] = self.top[lane].max(later.top[lane]);
        }
        self.p.merge(&later.p);
        self.q.merge(&later.q);
    }

    fn divergences(&self, p: &Tile<'_, f32>, q: &Tile<'_, f32>, space: Space) -> Direct {
        let (total, total_q, ratio) = (p.over_row(&self.p.sum), q.over_row(&self.q.sum), p.over_row(&self.ratio));
        let top = p.largest_of_row(&self.top);
        let mut result = Direct { kl: ratio, log_sums: [[0.0; LANES]; 2], total, top };
        for lane in 0..LANES {
            result.total[lane] += 0.0 * total_q[lane];
        }
        if space == Space::Logits {
            let logs = [&total, &total_q].map(|sums| if p.is_short() { logs(sums) } else { [sums[0].ln(); LANES] });
            for lane in 0..LANES {
                result.kl[lane] = ratio[lane] / total[lane] - (logs[0][lane] - logs[1][lane]);
                result.log_sums[0][lane] = self.p.reference[lane] + logs[0][lane];
                result.log_sums[1][lane] = self.q.reference[lane] + logs[1][lane];
            }
        }
        result
    }
}

/// `Σ e^x (x - y)` when both references are raised.
fn rebased(ratio: f64, total: f64, raised: [f64; 2]) -> f64 {
    if total == 0.0 {
        return 0.0;
    }
    let factor = (-raised[0]).exp();
    if factor == 0.0 { 0.0 } else { factor * (ratio + (raised[1] - raised[0]) * total) }
}

/// One pass. `LOGITS`: whether normalisers are summed; else the numbers are logarithms of probabilities already.
struct Pass<'a, const LOGITS: bool> {
    p: &'a Tile<'a, f32>,
    q: &'a Tile<'a, f32>,
    chunks: Range<usize>,
    buffers: &'a mut [Buffer<f32>; 2],
}

impl<const LOGITS: bool> Kernel for Pass<'_, LOGITS> {
    type Output = Sums;

    #[inline(always)]
    fn run<L: Level>(self) -> Sums {
        let [p_buffer, q_buffer] = self.buffers;
        let mut sums = Sums { p: LogSums::EMPTY, q: LogSums::EMPTY, ratio: [0.0; LANES], top: [f64::MIN; LANES] };
        let (mut top, unset) = (L::Singles::splat(f32::MIN), Reference::<L::Singles>::unset());
        let (mut p_reference, mut q_reference) =
            if LOGITS { (unset, unset) } else { (Reference::zero(), Reference::zero()) };
        for chunks in chunk::blocks(self.chunks) {
            let p = self.p.block(chunks.clone(), f32::NEG_INFINITY, p_buffer);
            let q = self.q.block(chunks, f32::NEG_INFINITY, q_buffer);
            if LOGITS && p_reference.is_unset() {
                sums.raise(&mut p_reference, &mut q_reference, largest(p), largest(q), self.p.is_short());
            }
            let mut block = BlockSums::of::<LOGITS>(p, q, p_reference.value, q_reference.value);
            if LOGITS && (p_reference.is_exceeded(block.p_top) | q_reference.is_exceeded(block.q_top)) {
                sums.raise(&mut p_reference, &mut q_reference, block.p_top, block.q_top, self.p.is_short());
                block = BlockSums::of::<LOGITS>(p, q, p_reference.value, q_reference.value);
            }
            top = block.p_top.maximum(block.q_top.maximum(top));
            block.p.add_to(&mut sums.p.sum);
            block.q.add_to(&mut sums.q.sum);
            block.ratio.add_to(&mut sums.ratio);
        }
        sums.p.reference = p_reference.value.to_array().map(f64::from);
        sums.q.reference = q_reference.value.to_array().map(f64::from);
        sums.top = top.to_array().map(f64::from);
        sums
    }
}

impl Sums {
    #[inline(always)]
    fn raise<V: Singles>(&mut self, p: &mut Reference<V>, q: &mut Reference<V>, p_top: V, q_top: V, each_lane: bool) {
        let raised = [p.raise(p_top, each_lane), q.raise(q_top, each_lane)];
        self.rebase(&raised);
    }

    #[cold]
    fn rebase(&mut self, raised: &[[f64; LANES]; 2]) {
        for lane in 0..LANES {
            let raised = [raised[0][lane], raised[1][lane]];
            self.ratio[lane] = rebased(self.ratio[lane], self.p.sum[lane], raised);
        }
        lower(&mut self.p.sum, &raised[0]);
        lower(&mut self.q.sum, &raised[1]);
    }
}

/// Sums over one block, few enough numbers that `f32` keeps their digits.
struct BlockSums<V> {
    p: V,
    q: V,
    ratio: V,
    p_top: V,
    q_top: V,
}

impl<V: Singles> BlockSums<V> {
    #[inline(always)]
    fn of<const LOGITS: bool>(p: &[[f32; LANES]], q: &[[f32; LANES]], p_reference: V, q_reference: V) -> Self {
        let (zero, lowest) = (V::zero(), V::splat(f32::MIN));
        let mut sums = Self { p: zero, q: zero, ratio: zero, p_top: lowest, q_top: lowest };
        for (p, q) in p.iter().zip(q) {
            prefetch(p);
            prefetch(q);
            let (x, y) = (V::load(p), V::load(q));
            sums.p_top = x.maximum(sums.p_top);
            sums.q_top = y.maximum(sums.q_top);
            let (x, y) = if LOGITS { (x.sub(p_reference), y.sub(q_reference)) } else { (x, y) };
            let zeros = x.below(V::splat(LOWEST));
            let prob = short_exp(x).zero_where(zeros);
            sums.p = sums.p.add(prob);
            sums.ratio = prob.mul_add(x.sub(y).zero_where(zeros), sums.ratio);
            // Without a use for the probability of `q`, only whether it is one: NaN where `y` is.
            sums.q = sums.q.add(if LOGITS {
                short_exp(y).zero_where(y.below(V::splat(LOWEST)))
            } else {
                y.zero_where(y.equals(y))
            });
        }
        sums
    }
}
