//! Likelihoods of rows of logits, in nats.

use std::ops::Range;

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
    threads::map_rows(shape, 2, |rows| Ok(simd::widest(Logsumexps { logits, rows }))).expect("it has no way to fail")
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
    let classes = (0..).zip(tokens).map(|(row, token)| class_of(row, *token, n_classes));
    let classes = classes.collect::<Result<Vec<Option<usize>>, Error>>()?;
    threads::map_rows((n_rows, n_classes), 2, |rows| {
        Ok(simd::widest(TokenLogProbs { logits, classes: &classes, rows }))
    })
}

fn class_of(row: usize, token: i64, n_classes: usize) -> Result<Option<usize>, Error> {
    match usize::try_from(token) {
        Ok(class) if class < n_classes => Ok(Some(class)),
        _ if token == IGNORED_TOKEN => Ok(None),
        _ => Err(Error::TokenOutOfRange { row, token, n_classes }),
    }
}

struct Logsumexps<'a, T> {
    logits: Rows<'a, T>,
    rows: Range<usize>,
}

impl<T: Real> Kernel for Logsumexps<'_, T> {
    type Output = Vec<f64>;

    #[inline(always)]
    fn run(self) -> Vec<f64> {
        let mut values = Vec::with_capacity(self.rows.len());
        for row in self.rows {
            values.push(row_logsumexp(self.logits.row(row)));
        }
        values
    }
}

struct TokenLogProbs<'a, T> {
    logits: Rows<'a, T>,
    classes: &'a [Option<usize>],
    rows: Range<usize>,
}

impl<T: Real> Kernel for TokenLogProbs<'_, T> {
    type Output = Vec<f64>;

    #[inline(always)]
    fn run(self) -> Vec<f64> {
        let mut values = Vec::with_capacity(self.rows.len());
        for row in self.rows {
            let logits = self.logits.row(row);
            values.push(match self.classes[row] {
                Some(class) => logits[class].widen() - row_logsumexp(logits),
                None => f64::NAN,
            });
        }
        values
    }
}

/// Shannon entropy of each row, `-Σ p ln p`: 0 to `ln n_classes`.
///
/// # Errors
/// [`Error::PositiveLogProb`], [`Error::NegativeProbability`] or [`Error::NotNormalised`] for the first row not in `space`.
pub fn entropy<T: Real>(p: Rows<T>, space: Space) -> Result<Vec<f64>, Error> {
    threads::map_rows((p.n_rows(), p.n_classes()), 3, |rows| simd::widest(Entropies { p, space, rows }))
}

struct Entropies<'a, T> {
    p: Rows<'a, T>,
    space: Space,
    rows: Range<usize>,
}

impl<T: Real> Kernel for Entropies<'_, T> {
    type Output = Result<Vec<f64>, Error>;

    #[inline(always)]
    fn run(self) -> Self::Output {
        let (mut block, mut values) = (Block::new(self.space), Vec::with_capacity(self.rows.len()));
        for row in self.rows {
            let p = self.p.row(row);
            block.start(shift_of(p, self.space));
            values.push(row_entropy(p, row, &mut block)?);
        }
        Ok(values)
    }
}

#[inline(always)]
fn row_entropy<T: Real>(values: &[T], row: usize, block: &mut Block) -> Result<f64, Error> {
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

/// What to take off a row's values to make them logarithms of probabilities.
#[inline(always)]
pub(crate) fn shift_of<T: Real>(values: &[T], space: Space) -> f64 {
    if space == Space::Logits { row_logsumexp(values) } else { 0.0 }
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
