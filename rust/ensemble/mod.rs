//! Many models of each of two kinds, compared example by example: margins, binned KL, and how well an attack tells them apart.

mod epsilon;
mod klom;
mod margin;

pub use epsilon::{Thresholds, example_epsilons};
pub use klom::{Histogram, klom};
pub use margin::logit_margins;

use std::ops::Range;

use crate::{Error, threads};

/// Examples whose values are gathered from all models at once: a line of cache holds eight.
const EXAMPLES_PER_BLOCK: usize = 64;

/// One value for each model and example, row-major: `(n_models, n_examples)`.
#[derive(Debug, Clone, Copy)]
pub struct Ensemble<'a> {
    values: &'a [f64],
    n_examples: usize,
}

impl<'a> Ensemble<'a> {
    /// # Errors
    /// [`Error::Empty`] without values; [`Error::LengthMismatch`] if the last row is not whole.
    pub fn new(values: &'a [f64], n_examples: usize) -> Result<Self, Error> {
        if values.is_empty() || n_examples == 0 {
            return Err(Error::Empty);
        }
        if !values.len().is_multiple_of(n_examples) {
            return Err(Error::LengthMismatch { left: values.len(), right: n_examples });
        }
        Ok(Self { values, n_examples })
    }

    fn n_models(&self) -> usize {
        self.values.len() / self.n_examples
    }

    /// The values of some examples, one example after the other.
    fn columns(&self, examples: Range<usize>) -> Vec<f64> {
        let n_models = self.n_models();
        let mut columns = vec![0.0; n_models * examples.len()];
        for (model, row) in self.values.chunks_exact(self.n_examples).enumerate() {
            for (column, value) in columns.chunks_exact_mut(n_models).zip(&row[examples.clone()]) {
                column[model] = *value;
            }
        }
        columns
    }
}

/// `f` of the values of each example in both ensembles, at `nanoseconds` each; NaN where one of them is NaN.
fn map_examples(
    (first, second): (Ensemble, Ensemble),
    nanoseconds: usize,
    f: impl Fn(&mut [f64], &mut [f64]) -> f64 + Send + Sync,
) -> Result<Vec<f64>, Error> {
    if first.n_examples != second.n_examples {
        return Err(Error::LengthMismatch { left: first.n_examples, right: second.n_examples });
    }
    let blocks = threads::blocks(first.n_examples, EXAMPLES_PER_BLOCK);
    let results = threads::map(blocks.len(), first.n_examples * nanoseconds, |block| {
        let (mut a, mut b) = (first.columns(blocks[block].clone()), second.columns(blocks[block].clone()));
        let examples = a.chunks_exact_mut(first.n_models()).zip(b.chunks_exact_mut(second.n_models()));
        let value = |(a, b): (&mut [f64], &mut [f64])| if has_nan(a) || has_nan(b) { f64::NAN } else { f(a, b) };
        examples.map(value).collect::<Vec<f64>>()
    });
    Ok(results.concat())
}

fn has_nan(values: &[f64]) -> bool {
    values.iter().any(|value| value.is_nan())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_gathered_across_models() {
        let ensemble = Ensemble::new(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0], 3).unwrap();
        assert_eq!(ensemble.columns(1..3), [2.0, 5.0, 3.0, 6.0]);
        assert!(Ensemble::new(&[1.0], 2).is_err() && Ensemble::new(&[], 0).is_err());
    }
}
