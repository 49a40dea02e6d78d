//! Elementary functions as the kernels need them.

/// `e^x`.
#[inline(always)]
pub(crate) fn exp(x: f64) -> f64 {
    x.exp()
}

/// Natural logarithm.
#[inline(always)]
pub(crate) fn ln(x: f64) -> f64 {
    x.ln()
}

/// `ln(1 + x)`.
#[inline(always)]
pub(crate) fn ln_1p(x: f64) -> f64 {
    x.ln_1p()
}
