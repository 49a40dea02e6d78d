//! Terms of divergences in `f32`, for tables that hold no more digits than that.
//!
//! A pair of probabilities is the larger times a function of the distance between their logarithms (see [`Gap`]). That
//! distance is taken in `f64`, so it keeps its digits however near the two are, and far from 0 both may lie.

use super::wide::Wide;
use super::{Shifts, Sums};
use crate::Real;
use crate::lanes::{self, LANES};
use crate::simd::Level;
use crate::single::{Gap, exp};
use crate::tile::BLOCK;

/// Buffers of one block of both tables, and its sums.
pub(super) struct Narrow {
    /// `ln(p / q)`.
    ratio: [f32; BLOCK],
    /// Logarithm of the larger probability.
    larger: [f32; BLOCK],
    terms: Terms<[f32; BLOCK]>,
    sums: Terms<[f32; LANES]>,
    /// Largest logarithm of each lane.
    top: [f32; LANES],
}

/// One of each term: the larger probability, `p - q`, `|p - q|`, `p ln(p / q) + q - p`, and twice that of Jensen-Shannon.
struct Terms<F> {
    larger: F,
    surplus: F,
    tv: F,
    balanced_kl: F,
    js: F,
}

impl Narrow {
    pub(super) fn new() -> Self {
        Self {
            ratio: [0.0; BLOCK],
            larger: [0.0; BLOCK],
            terms: Terms::of([0.0; BLOCK]),
            sums: Terms::of([0.0; LANES]),
            top: [f32::NEG_INFINITY; LANES],
        }
    }

    /// Reads a block of both tables; in which lanes it could, which takes numbers that are all finite. The others add 0.
    #[inline(always)]
    pub(super) fn read<T: Real, const JS: bool, L: Level>(
        &mut self,
        p: &[T],
        q: &[T],
        shifts: &Shifts,
    ) -> [bool; LANES] {
        let n = self.read_logs(p, q, shifts);
        self.compute::<JS, L>(n);
        self.sums = self.terms.sums::<JS>(n);
        let finite = std::array::from_fn(|lane| (self.sums.tv[lane] + self.sums.balanced_kl[lane]).is_finite());
        if finite != [true; LANES] {
            self.leave_out(&finite);
        }
        finite
    }

    #[cold]
    fn leave_out(&mut self, finite: &[bool; LANES]) {
        for lane in (0..LANES).filter(|lane| !finite[*lane]) {
            self.sums.clear(lane);
            self.top[lane] = f32::NEG_INFINITY;
        }
    }

    /// Whole lanes, filled up with probability 0 in both.
    #[inline(always)]
    fn read_logs<T: Real>(&mut self, p: &[T], q: &[T], shifts: &Shifts) -> usize {
        let ((p_chunks, p_rest), (q_chunks, q_rest)) = (p.as_chunks::<LANES>(), q.as_chunks::<LANES>());
        for (i, (p, q)) in p_chunks.iter().zip(q_chunks).enumerate() {
            self.read_lanes(i, p, q, shifts);
        }
        if p_rest.is_empty() {
            return p.len();
        }
        let (mut p_last, mut q_last) = ([p_rest[0]; LANES], [q_rest[0]; LANES]);
        p_last[..p_rest.len()].copy_from_slice(p_rest);
        q_last[..q_rest.len()].copy_from_slice(q_rest);
        self.read_lanes(p_chunks.len(), &p_last, &q_last, shifts);
        let n = (p_chunks.len() + 1) * LANES;
        self.ratio[p.len()..n].fill(0.0);
        self.larger[p.len()..n].fill(f32::MIN);
        n
    }

    #[inline(always)]
    fn read_lanes<T: Real>(&mut self, i: usize, p: &[T; LANES], q: &[T; LANES], shifts: &Shifts) {
        let ratio = &mut self.ratio.as_chunks_mut::<LANES>().0[i];
        let larger = &mut self.larger.as_chunks_mut::<LANES>().0[i];
        for lane in 0..LANES {
            let (p, q) = (p[lane].widen() - shifts.p[lane], q[lane].widen() - shifts.q[lane]);
            ratio[lane] = (p - q) as f32;
            larger[lane] = (if p > q { p } else { q }) as f32;
        }
    }

    #[inline(always)]
    fn compute<const JS: bool, L: Level>(&mut self, n: usize) {
        let Terms { larger, surplus, tv, balanced_kl, js } = &mut self.terms;
        let (larger, surplus, tv) = (&mut larger[..n], &mut surplus[..n], &mut tv[..n]);
        let (balanced_kl, js) = (&mut balanced_kl[..n], &mut js[..n]);
        let (ratio, log) = (&self.ratio[..n], &self.larger[..n]);
        for i in 0..n {
            let (prob, gap) = (exp::<L>(log[i]), Gap::new::<L>(ratio[i].abs()));
            let difference = prob * gap.difference;
            larger[i] = prob;
            tv[i] = difference;
            surplus[i] = difference.copysign(ratio[i]);
            balanced_kl[i] = prob * if ratio[i] < 0.0 { gap.of_smaller::<L>() } else { gap.of_larger };
            if JS {
                js[i] = prob * gap.js::<L>();
            }
        }
        lanes::raise(&mut self.top, log);
    }

    /// Adds the block that was read, with its largest logarithm to both extremes: whose it is, `f64` finds out.
    #[inline(always)]
    pub(super) fn add_to<const JS: bool>(&mut self, sums: &mut Sums, wide: &mut Wide) {
        for lane in 0..LANES {
            let of = |term: &[f32; LANES]| f64::from(term[lane]);
            let (surplus, tv) = (of(&self.sums.surplus), of(&self.sums.tv));
            let both = 2.0 * of(&self.sums.larger) - tv;
            sums.p[lane] += 0.5 * (both + surplus);
            sums.q[lane] += 0.5 * (both - surplus);
            sums.tv[lane] += tv;
            sums.kl[lane] += of(&self.sums.balanced_kl) + surplus;
            if JS {
                sums.js[lane] += of(&self.sums.js);
            }
        }
        wide.raise_extremes(&self.top.map(f64::from));
        self.top = [f32::NEG_INFINITY; LANES];
    }
}

impl<F: Copy> Terms<F> {
    fn of(value: F) -> Self {
        Self { larger: value, surplus: value, tv: value, balanced_kl: value, js: value }
    }
}

impl Terms<[f32; LANES]> {
    fn clear(&mut self, lane: usize) {
        let Self { larger, surplus, tv, balanced_kl, js } = self;
        for term in [larger, surplus, tv, balanced_kl, js] {
            term[lane] = 0.0;
        }
    }
}

impl Terms<[f32; BLOCK]> {
    #[inline(always)]
    fn sums<const JS: bool>(&self, n: usize) -> Terms<[f32; LANES]> {
        Terms {
            larger: lanes::short_sums(&self.larger[..n]),
            surplus: lanes::short_sums(&self.surplus[..n]),
            tv: lanes::short_sums(&self.tv[..n]),
            balanced_kl: lanes::short_sums(&self.balanced_kl[..n]),
            js: if JS { lanes::short_sums(&self.js[..n]) } else { [0.0; LANES] },
        }
    }
}
