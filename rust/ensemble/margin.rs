//! Logit margins: how far the labelled class is above all others together.

use std::ops::Range;

use crate::math::exp;
use crate::simd::{self, Kernel, Level};
use crate::{Error, Real, Rows, threads};

/// Terms of a sum that are added side by side.
const LANES: usize = 8;

/// `z_y - ln(sum over the others of e^z)` of each row, which is the log-odds of its label.
///
/// `+inf` where no other class has any probability; NaN for rows with a NaN, or with neither the label's nor another's.
///
/// # Errors
/// [`Error::LengthMismatch`] if there is not one label a row; [`Error::LabelOutOfRange`] for the first that is no class.
pub fn logit_margins<T: Real>(logits: Rows<T>, labels: &[i64]) -> Result<Vec<f64>, Error> {
    let (n_rows, n_classes) = (logits.n_rows(), logits.n_classes());
    if labels.len() != n_rows {
        return Err(Error::LengthMismatch { left: n_rows, right: labels.len() });
    }
    if let Some(row) = labels.iter().position(|label| !(0..n_classes as i64).contains(label)) {
        return Err(Error::LabelOutOfRange { row, label: labels[row], n_classes });
    }
    threads::map_rows((n_rows, n_classes), 2, |rows| Ok(simd::widest(Margins { logits, labels, rows })))
}

struct Margins<'a, T> {
    logits: Rows<'a, T>,
    labels: &'a [i64],
    rows: Range<usize>,
}

impl<T: Real> Kernel for Margins<'_, T> {
    type Output = Vec<f64>;

    #[inline(always)]
    fn run<L: Level>(self) -> Vec<f64> {
        let mut margins = Vec::with_capacity(self.rows.len());
        for row in self.rows {
            let (logits, label) = (self.logits.row(row), self.labels[row] as usize);
            let others = [&logits[..label], &logits[label + 1..]];
            let largest = largest(others[0]).max(largest(others[1]));
            // Without any other class, or with an infinite logit, the largest is the sum.
            let log_sum = if largest.is_finite() {
                let sum = exponentials::<T, L>(others[0], largest) + exponentials::<T, L>(others[1], largest);
                largest + sum.ln()
            } else {
                largest
            };
            let is_nan = others.iter().any(|others| has_nan(others));
            margins.push(if is_nan { f64::NAN } else { logits[label].widen() - log_sum });
        }
        margins
    }
}

#[inline(always)]
fn largest<T: Real>(row: &[T]) -> f64 {
    let mut lanes = [f64::NEG_INFINITY; LANES];
    let (chunks, rest) = row.as_chunks::<LANES>();
    for chunk in chunks {
        for lane in 0..LANES {
            let z = chunk[lane].widen();
            lanes[lane] = if z > lanes[lane] { z } else { lanes[lane] };
        }
    }
    let mut largest = f64::NEG_INFINITY;
    for z in lanes {
        largest = largest.max(z);
    }
    for z in rest {
        largest = largest.max(z.widen());
    }
    largest
}

#[inline(always)]
fn has_nan<T: Real>(row: &[T]) -> bool {
    let mut sum = 0.0;
    for z in row {
        sum += 0.0 * z.widen().clamp(-1.0, 1.0); // only a NaN is left of a product with 0
    }
    f64::is_nan(sum)
}

/// Sum of `e^(z - reference)`, lane by lane and then from the first lane to the last.
#[inline(always)]
fn exponentials<T: Real, L: Level>(row: &[T], reference: f64) -> f64 {
    let mut lanes = [0.0; LANES];
    let (chunks, rest) = row.as_chunks::<LANES>();
    for chunk in chunks {
        for lane in 0..LANES {
            lanes[lane] += exp::<L>(chunk[lane].widen() - reference);
        }
    }
    let mut sum = 0.0;
    for lane in lanes {
        sum += lane;
    }
    for z in rest {
        sum += exp::<L>(z.widen() - reference);
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_without_any_other_class_are_infinite() {
        let rows = Rows::new(&[3.0, f64::NEG_INFINITY], 1, 2, 2).unwrap();
        assert_eq!(logit_margins(rows, &[0]).unwrap(), [f64::INFINITY]);
        assert_eq!(logit_margins(rows, &[1]).unwrap(), [f64::NEG_INFINITY]);
        assert!(logit_margins(rows, &[2]).is_err() && logit_margins(rows, &[0, 1]).is_err());
    }
}
