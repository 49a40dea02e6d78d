//! Likelihoods of rows of logits, in nats.

use crate::divergence::{Space, check};
use crate::math::{exp, ln};
use crate::{Error, Real, Rows, threads};

/// Token id that marks a row without a target, as in PyTorch's losses.
pub const IGNORED_TOKEN: i64 = -100;

/// Values that are summed side by side, so that a sum has one order on every machine.
const LANES: usize = 8;

/// `ln Σ exp(logits)` of each row.
pub fn logsumexp<T: Real>(logits: Rows<T>) -> Vec<f64> {
    let shape = (logits.n_rows(), logits.n_classes());
    threads::map_rows(shape, 2, |row| Ok(row_logsumexp(logits.row(row)))).expect("a log-sum-exp cannot fail")
}

/// Log-probability of each row's token; NaN where the token is [`IGNORED_TOKEN`].
///
/// # Errors
/// [`Error::LengthMismatch`] if there is not one token a row; [`Error::TokenOutOfRange`] for the first that is no class.
pub fn token_log_probs<T: Real>(logits: Rows<T>, tokens: &[i64]) -> Result<Vec<f64>, Error> {
    let (n_rows, n_classes) = (logits.n_rows(), logits.n_classes());
    if tokens.len() != n_rows {
        return Err(Error::LengthMismatch { left: n_rows, right: tokens.len() });
    }
    threads::map_rows((n_rows, n_classes), 2, |row| {
        let token = tokens[row];
        if token == IGNORED_TOKEN {
            return Ok(f64::NAN);
        }
        let logits = logits.row(row);
        let class = usize::try_from(token).ok().filter(|class| *class < n_classes);
        let class = class.ok_or(Error::TokenOutOfRange { row, token, n_classes })?;
        Ok(logits[class].widen() - row_logsumexp(logits))
    })
}

/// Shannon entropy of each row, `-Σ p ln p`: 0 to `ln n_classes`.
///
/// # Errors
/// [`Error::PositiveLogProb`], [`Error::NegativeProbability`] or [`Error::NotNormalised`] for the first row not in `space`.
pub fn entropy<T: Real>(p: Rows<T>, space: Space) -> Result<Vec<f64>, Error> {
    threads::map_rows((p.n_rows(), p.n_classes()), 3, |row| row_entropy(p.row(row), space, row))
}

fn row_entropy<T: Real>(values: &[T], space: Space, row: usize) -> Result<f64, Error> {
    let shift = if space == Space::Logits { row_logsumexp(values) } else { 0.0 };
    let pair = |x: &T| match space {
        Space::Probs => (x.widen(), ln(x.widen())),
        _ => (exp(x.widen() - shift), x.widen() - shift),
    };
    let minus_p_ln_p = |x: &T| match pair(x) {
        (_, f64::NEG_INFINITY) => 0.0,
        (p, log_p) => -p * log_p,
    };
    let entropy = lane_sum(values, minus_p_ln_p);
    let sum = lane_sum(values, |x| pair(x).0);
    if sum.is_nan() {
        return Ok(f64::NAN);
    }
    let extreme = if space == Space::Probs { -maximum(values, |x| -x) } else { maximum(values, |x| x) };
    check::<T>("p", row, space, extreme, Some(sum))?;
    Ok(entropy.max(0.0)) // a log-probability a rounding above 0 gives less than nothing
}

/// `ln Σ exp(values)`: NaN if a value is NaN, infinite if one is, `-inf` if all are `-inf`.
pub(crate) fn row_logsumexp<T: Real>(values: &[T]) -> f64 {
    let largest = maximum(values, |x| x);
    if largest.is_infinite() {
        return lane_sum(values, |x| if x.widen().is_nan() { f64::NAN } else { 0.0 }) + largest;
    }
    largest + ln(lane_sum(values, |x| exp(x.widen() - largest)))
}

/// Largest of `f(value)`, passing over NaN.
fn maximum<T: Real>(values: &[T], f: impl Fn(f64) -> f64) -> f64 {
    let mut lanes = [f64::NEG_INFINITY; LANES];
    for chunk in values.chunks(LANES) {
        for (lane, value) in lanes.iter_mut().zip(chunk) {
            let value = f(value.widen());
            *lane = if value > *lane { value } else { *lane };
        }
    }
    lanes.into_iter().fold(f64::NEG_INFINITY, f64::max)
}

fn lane_sum<T>(values: &[T], f: impl Fn(&T) -> f64) -> f64 {
    let mut lanes = [0.0; LANES];
    for chunk in values.chunks(LANES) {
        for (lane, value) in lanes.iter_mut().zip(chunk) {
            *lane += f(value);
        }
    }
    lanes.iter().sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn infinities_are_kept() {
        assert_eq!(row_logsumexp(&[f64::NEG_INFINITY; 3]), f64::NEG_INFINITY);
        assert_eq!(row_logsumexp(&[f64::INFINITY, 0.0]), f64::INFINITY);
        assert!(row_logsumexp(&[f64::INFINITY, f64::NAN]).is_nan());
        assert_eq!(row_logsumexp(&[f64::NEG_INFINITY, 3.0]), 3.0);
    }

    #[test]
    fn a_token_outside_the_vocabulary_is_named() {
        let logits = Rows::new(&[0.0, 0.0], 1, 2, 2).unwrap();
        assert_eq!(token_log_probs(logits, &[2]), Err(Error::TokenOutOfRange { row: 0, token: 2, n_classes: 2 }));
        assert!(token_log_probs(logits, &[IGNORED_TOKEN]).unwrap()[0].is_nan());
    }
}
