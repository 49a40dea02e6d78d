//! Sums and maxima over eight lanes, so that they have one order on every machine and run side by side on most.

/// Number of lanes; buffers hold a multiple of them.
pub(crate) const LANES: usize = 8;

/// Adds each value to its lane.
#[inline(always)]
pub(crate) fn add(lanes: &mut [f64; LANES], values: &[f64]) {
    for chunk in values.as_chunks::<LANES>().0 {
        for lane in 0..LANES {
            lanes[lane] += chunk[lane];
        }
    }
}

/// Adds each `f32` to its lane.
#[inline(always)]
pub(crate) fn add_single(lanes: &mut [f64; LANES], values: &[f32]) {
    for chunk in values.as_chunks::<LANES>().0 {
        for lane in 0..LANES {
            lanes[lane] += f64::from(chunk[lane]);
        }
    }
}

/// The sum of each lane's `f32` values: few enough of them that it keeps their digits.
#[inline(always)]
pub(crate) fn short_sums(values: &[f32]) -> [f32; LANES] {
    let mut lanes = [0.0; LANES];
    for chunk in values.as_chunks::<LANES>().0 {
        for lane in 0..LANES {
            lanes[lane] += chunk[lane];
        }
    }
    lanes
}

/// Raises each lane to the largest of its values, passing over NaN.
#[inline(always)]
pub(crate) fn raise<F: PartialOrd + Copy>(lanes: &mut [F; LANES], values: &[F]) {
    for chunk in values.as_chunks::<LANES>().0 {
        for lane in 0..LANES {
            lanes[lane] = if chunk[lane] > lanes[lane] { chunk[lane] } else { lanes[lane] };
        }
    }
}

/// Sum of the lanes.
#[inline(always)]
pub(crate) fn total(lanes: &[f64; LANES]) -> f64 {
    let [a, b, c, d, e, f, g, h] = lanes;
    ((a + b) + (c + d)) + ((e + f) + (g + h))
}

/// Largest of the lanes.
#[inline(always)]
pub(crate) fn largest(lanes: &[f64; LANES]) -> f64 {
    lanes.iter().copied().fold(f64::NEG_INFINITY, f64::max)
}
