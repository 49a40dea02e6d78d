//! How often a model has each place, and is above another one: over a tile of draws, many draws in one register.

use std::ops::{AddAssign, SubAssign};

use super::TILE;

/// Draws compared at once; a tile is so many times as long that counts within it stay small.
const SPAN: usize = 32;

/// Models that one is compared with at once.
const GROUP: usize = 4;

/// The place of a model in a draw's order, the lowest sum first; ties share the middle of their places. In as few bits as
/// will do.
pub(super) trait Place:
    Copy + Default + Ord + From<bool> + Into<i32> + AddAssign + SubAssign + Send + Sync
{
    /// A model and its place, ordered by model.
    type Tag: Copy + Default + Ord + Send + Sync;

    /// No place: where there is no draw.
    const NONE: Self;

    fn at(place: usize) -> Self;

    fn tag(model: u32, place: u32) -> Self::Tag;

    fn of_tag(tag: Self::Tag) -> Self;

    /// Sum of counts up to `TILE / SPAN`.
    fn total(counts: [Self; SPAN]) -> u64;
}

macro_rules! place {
    ($place:ty, $tag:ty, $total:expr) => {
        impl Place for $place {
            type Tag = $tag;
            const NONE: Self = -1;

            #[inline(always)]
            fn at(place: usize) -> Self {
                place as Self
            }

            #[inline(always)]
            fn tag(model: u32, place: u32) -> $tag {
                (model as $tag) << (<$tag>::BITS / 2) | place as $tag
            }

            #[inline(always)]
            fn of_tag(tag: $tag) -> Self {
                tag as Self
            }

            #[inline(always)]
            fn total(counts: [Self; SPAN]) -> u64 {
                $total(counts)
            }
        }
    };
}

place!(i8, u16, |counts: [i8; SPAN]| {
    // No byte is above TILE / SPAN: eight at a time are added in a word, then neighbours as 16 bits, and those by a product.
    let word = |i: usize| u64::from_ne_bytes(std::array::from_fn(|byte| counts[8 * i + byte] as u8));
    let bytes = word(0) + word(1) + word(2) + word(3);
    let pairs = (bytes & 0x00FF_00FF_00FF_00FF) + (bytes >> 8 & 0x00FF_00FF_00FF_00FF);
    pairs.wrapping_mul(0x0001_0001_0001_0001) >> 48
});
place!(i16, u32, |counts: [i16; SPAN]| counts.iter().map(|count| *count as u64).sum());

/// The places of one model in a tile of draws.
pub(super) type Places<P> = [[P; SPAN]; TILE / SPAN];

/// Adds to `above[j]` and `below[j]` the draws in which `own` is above or below `others[j]`, and to `net` of each draw how
/// many of the others are below less how many are above; without `TIES` only how many are below.
#[inline(always)]
pub(super) fn compare<P: Place, const TIES: bool>(
    own: &Places<P>,
    others: &[Places<P>],
    n_draws: usize,
    (above, below): (&mut [u64], &mut [u64]),
    net: &mut Places<P>,
) {
    let counts = above.chunks_mut(GROUP).zip(below.chunks_mut(GROUP));
    for (group, counts) in others.chunks(GROUP).zip(counts) {
        // A group that is too small is filled with the model itself, which is neither above nor below.
        let group = std::array::from_fn(|i| group.get(i).unwrap_or(own));
        compare_group::<P, TIES>(own, group, n_draws, counts, net);
    }
}

#[inline(always)]
fn compare_group<P: Place, const TIES: bool>(
    own: &Places<P>,
    others: [&Places<P>; GROUP],
    n_draws: usize,
    (above, below): (&mut [u64], &mut [u64]),
    net: &mut Places<P>,
) {
    let (mut greater, mut less) = ([[P::default(); SPAN]; GROUP], [[P::default(); SPAN]; GROUP]);
    for span in 0..n_draws.div_ceil(SPAN).min(TILE / SPAN) {
        let (x, mut sum) = (own[span], net[span]);
        for j in 0..GROUP {
            let is_greater = ones(|i| x[i] > others[j][span][i]);
            add(&mut greater[j], &is_greater);
            add(&mut sum, &is_greater);
            if TIES {
                let is_less = ones(|i| x[i] < others[j][span][i]);
                add(&mut less[j], &is_less);
                subtract(&mut sum, &is_less);
            }
        }
        net[span] = sum;
    }
    for (j, (above, below)) in above.iter_mut().zip(below).enumerate() {
        let n_above = P::total(greater[j]);
        *above += n_above;
        *below += if TIES { P::total(less[j]) } else { n_draws as u64 - n_above };
    }
}

/// 1 where a condition holds. Whole arrays at a time is the shape that becomes registers.
#[inline(always)]
fn ones<P: Place>(condition: impl Fn(usize) -> bool) -> [P; SPAN] {
    let mut ones = [P::default(); SPAN];
    for i in 0..SPAN {
        ones[i] = P::from(condition(i));
    }
    ones
}

#[inline(always)]
fn add<P: Place>(sums: &mut [P; SPAN], terms: &[P; SPAN]) {
    for i in 0..SPAN {
        sums[i] += terms[i];
    }
}

#[inline(always)]
fn subtract<P: Place>(sums: &mut [P; SPAN], terms: &[P; SPAN]) {
    for i in 0..SPAN {
        sums[i] -= terms[i];
    }
}

/// Adds to `counts[place * stride]` the draws in which the model has the place.
#[inline(always)]
pub(super) fn count_places<P: Place>(places: &Places<P>, n_draws: usize, counts: &mut [u64], stride: usize) {
    let n_spans = n_draws.div_ceil(SPAN).min(TILE / SPAN);
    let (mut low, mut high) = (places[0], places[0]);
    for span in &places[..n_spans] {
        for i in 0..SPAN {
            low[i] = low[i].min(span[i]);
            high[i] = high[i].max(span[i]);
        }
    }
    let (mut first, mut last) = (i32::MAX, 0);
    for i in 0..SPAN {
        first = first.min(low[i].into());
        last = last.max(high[i].into());
    }
    for start in (first.max(0)..=last).step_by(GROUP) {
        let mut equal = [[P::default(); SPAN]; GROUP];
        for span in 0..n_spans {
            for k in 0..GROUP {
                let place = P::at(start as usize + k);
                add(&mut equal[k], &ones(|i| places[span][i] == place));
            }
        }
        for (place, equal) in (start..=last).zip(equal) {
            counts[place as usize * stride] += P::total(equal);
        }
    }
}
