//! Log-sum-exp of the rows of a tile, for divergences.

use crate::Real;
use crate::distribution::Space;
use crate::lanes::{self, LANES};
use crate::math::{exp, ln};
use crate::simd::Level;
use crate::single;
use crate::tile::{self, BLOCK, Tile};

/// What to take off the values of each lane to make them logarithms of probabilities.
#[inline(always)]
pub(crate) fn shift_of<T: Real, L: Level>(tile: &mut Tile<'_, T>, space: Space) -> [f64; LANES] {
    if space == Space::Logits { row_logsumexps::<T, L>(tile) } else { [0.0; LANES] }
}

/// `ln Σ exp(values)` of each lane's row: NaN if a value is NaN, infinite if one is, `-inf` if all are `-inf`.
#[inline(always)]
fn row_logsumexps<T: Real, L: Level>(tile: &mut Tile<'_, T>) -> [f64; LANES] {
    let (largest, sum) = if T::IS_SINGLE {
        let largest = maxima(tile, f32::NEG_INFINITY, T::single).map(f64::from);
        let largest = tile.largest_of_row(&largest);
        (largest, single_sums_of_exp::<T, L>(tile, largest.map(|x| x as f32)))
    } else {
        let largest = maxima(tile, f64::NEG_INFINITY, T::widen);
        let largest = tile.largest_of_row(&largest);
        (largest, sums_of_exp::<T, L>(tile, largest))
    };
    let (sum, mut values) = (tile.over_row(&sum), [0.0; LANES]);
    for lane in 0..LANES {
        values[lane] = largest[lane] + ln::<L>(sum[lane]);
    }
    for lane in 0..LANES {
        if largest[lane].is_infinite() {
            values[lane] = if tile.has_nan(lane) { f64::NAN } else { largest[lane] };
        }
    }
    values
}

#[inline(always)]
fn sums_of_exp<T: Real, L: Level>(tile: &mut Tile<'_, T>, largest: [f64; LANES]) -> [f64; LANES] {
    let (mut sums, mut terms) = ([0.0; LANES], [0.0; BLOCK]);
    for start in (0..tile.len()).step_by(BLOCK) {
        let values = tile.block(start);
        let n = values.len().next_multiple_of(LANES);
        tile::by_lane(&mut terms, values, |lane, value| value.widen() - largest[lane]);
        terms[values.len()..n].fill(f64::NEG_INFINITY);
        terms[..n].iter_mut().for_each(|term| *term = exp::<L>(*term));
        lanes::add(&mut sums, &terms[..n]);
    }
    sums
}

/// The same in `f32`, but for the additions.
#[inline(always)]
fn single_sums_of_exp<T: Real, L: Level>(tile: &mut Tile<'_, T>, largest: [f32; LANES]) -> [f64; LANES] {
    let (mut sums, mut terms) = ([0.0; LANES], [0.0; BLOCK]);
    for start in (0..tile.len()).step_by(BLOCK) {
        let values = tile.block(start);
        let n = values.len().next_multiple_of(LANES);
        tile::by_lane(&mut terms, values, |lane, value| value.single() - largest[lane]);
        terms[values.len()..n].fill(f32::NEG_INFINITY);
        terms[..n].iter_mut().for_each(|term| *term = single::exp::<L>(*term));
        lanes::add_single(&mut sums, &terms[..n]);
    }
    sums
}

/// Largest value of each lane, passing over NaN.
#[inline(always)]
fn maxima<T: Real, F: PartialOrd + Copy>(tile: &mut Tile<'_, T>, lowest: F, float: impl Fn(T) -> F) -> [F; LANES] {
    let (mut maxima, mut terms) = ([lowest; LANES], [lowest; BLOCK]);
    for start in (0..tile.len()).step_by(BLOCK) {
        let values = tile.block(start);
        let n = values.len().next_multiple_of(LANES);
        tile::by_lane(&mut terms, values, |_, value| float(value));
        terms[values.len()..n].fill(lowest);
        lanes::raise(&mut maxima, &terms[..n]);
    }
    maxima
}
