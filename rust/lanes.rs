//! Sums over eight lanes, so that they have one order on every machine and run side by side on most.

/// Number of lanes.
pub(crate) const LANES: usize = 8;

/// Sum of the lanes.
#[inline(always)]
pub(crate) fn total(lanes: &[f64; LANES]) -> f64 {
    let [a, b, c, d, e, f, g, h] = lanes;
    ((a + b) + (c + d)) + ((e + f) + (g + h))
}
