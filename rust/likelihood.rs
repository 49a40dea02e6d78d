//! Likelihoods of rows of logits, in nats.

use crate::distribution::{BLOCK, Block, Space};
use crate::lanes::{self, LANES};
use crate::math::exp;
use crate::simd::{self, Kernel};
use crate::{Error, Real, Rows, threads};

/// Token id that marks a row without a target, as in PyTorch's losses.
pub const IGNORED_TOKEN: i64 = -100;

/// `ln Σ exp(logits)` of each row.
pub fn logsumexp<T: Real>(logits: Rows<T>) -> Vec<f64> {
    let shape = (logits.n_rows(), logits.n_classes());
    threads::map_rows(shape, 2, |row| Ok(simd::widest(RowLogsumexp(logits.row(row)))))
        .expect("a log-sum-exp cannot fail")
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
        Ok(logits[class].widen() - simd::widest(RowLogsumexp(logits)))
    })
}

/// Shannon entropy of each row, `-Σ p ln p`: 0 to `ln n_classes`.
///
/// # Errors
/// [`Error::PositiveLogProb`], [`Error::NegativeProbability`] or [`Error::NotNormalised`] for the first row not in `space`.
pub fn entropy<T: Real>(p: Rows<T>, space: Space) -> Result<Vec<f64>, Error> {
    threads::map_rows((p.n_rows(), p.n_classes()), 3, |row| simd::widest(RowEntropy { values: p.row(row), space, row }))
}

struct RowEntropy<'a, T> {
    values: &'a [T],
    space: Space,
    row: usize,
}

impl<T: Real> Kernel for RowEntropy<'_, T> {
    type Output = Result<f64, Error>;

    #[inline(always)]
    fn run(self) -> Self::Output {
        let Self { values, space, row } = self;
        let mut block = Block::new(space, shift_of(values, space));
        let (mut entropy, mut sum, mut terms) = ([0.0; LANES], [0.0; LANES], [0.0; BLOCK]);
        for values in values.chunks(BLOCK) {
            let n = block.read::<T, true>(values);
            for ((term, prob), log) in terms[..n].iter_mut().zip(&block.prob[..n]).zip(&block.log[..n]) {
                *term = if *log == f64::NEG_INFINITY { 0.0 } else { -prob * log };
            }
            lanes::add(&mut entropy, &terms[..n]);
            lanes::add(&mut sum, &block.prob[..n]);
        }
        let sum = lanes::total(&sum);
        if sum.is_nan() {
            return Ok(f64::NAN);
        }
        block.check::<T>("p", row, Some(sum))?;
        Ok(lanes::total(&entropy).max(0.0)) // a log-probability a rounding above 0 gives less than nothing
    }
}

/// What to take off a row's values to make them logarithms of probabilities.
#[inline(always)]
pub(crate) fn shift_of<T: Real>(values: &[T], space: Space) -> f64 {
    if space == Space::Logits { row_logsumexp(values) } else { 0.0 }
}

struct RowLogsumexp<'a, T>(&'a [T]);

impl<T: Real> Kernel for RowLogsumexp<'_, T> {
    type Output = f64;

    #[inline(always)]
    fn run(self) -> f64 {
        row_logsumexp(self.0)
    }
}

/// `ln Σ exp(values)`: NaN if a value is NaN, infinite if one is, `-inf` if all are `-inf`.
#[inline(always)]
fn row_logsumexp<T: Real>(values: &[T]) -> f64 {
    let largest = row_maximum(values);
    if largest.is_infinite() {
        return if values.iter().any(|x| x.widen().is_nan()) { f64::NAN } else { largest };
    }
    let (mut sum, mut terms) = ([0.0; LANES], [0.0; BLOCK]);
    for values in values.chunks(BLOCK) {
        let n = values.len().next_multiple_of(LANES);
        terms[values.len()..n].fill(0.0);
        terms.iter_mut().zip(values).for_each(|(term, value)| *term = exp(value.widen() - largest));
        lanes::add(&mut sum, &terms[..n]);
    }
    largest + lanes::total(&sum).ln()
}

/// Largest value, passing over NaN.
#[inline(always)]
fn row_maximum<T: Real>(values: &[T]) -> f64 {
    let (mut lanes, mut terms) = ([f64::NEG_INFINITY; LANES], [0.0; BLOCK]);
    for values in values.chunks(BLOCK) {
        let n = values.len().next_multiple_of(LANES);
        terms[values.len()..n].fill(f64::NEG_INFINITY);
        terms.iter_mut().zip(values).for_each(|(term, value)| *term = value.widen());
        lanes::raise(&mut lanes, &terms[..n]);
    }
    lanes::largest(&lanes)
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
