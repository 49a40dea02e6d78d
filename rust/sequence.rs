//! One number for each of many token sequences: likelihood, its lowest part, and memorisation.
//!
//! A sequence without tokens gives NaN, and so does one with a token whose value is NaN.

use std::ops::Range;
use std::str::FromStr;

use crate::error::unknown;
use crate::lanes::{self, LANES};
use crate::{Error, Ragged, Real};

/// Variance below which Min-K%++ counts a distribution as certain.
const LOWEST_VARIANCE: f64 = 1e-6;

/// Sum of each sequence's values.
pub fn sums<T: Real>(values: Ragged<T>) -> Vec<f64> {
    values.map(1, |sequence| if sequence.is_empty() { f64::NAN } else { total(sequence) })
}

/// Mean of each sequence's values.
pub fn means<T: Real>(values: Ragged<T>) -> Vec<f64> {
    values.map(1, |sequence| total(sequence) / sequence.len() as f64)
}

fn total<T: Real>(values: &[T]) -> f64 {
    let (chunks, rest) = values.as_chunks::<LANES>();
    let mut sums = [0.0; LANES];
    for chunk in chunks {
        for lane in 0..LANES {
            sums[lane] += chunk[lane].widen();
        }
    }
    for (sum, value) in sums.iter_mut().zip(rest) {
        *sum += value.widen();
    }
    lanes::total(&sums)
}

/// Mean of the lowest `share` of each sequence's values: `max(1, floor(share * n))` of them.
///
/// # Errors
/// [`Error::Share`] unless `share` is above 0 and at most 1.
pub fn lowest_means<T: Real>(values: Ragged<T>, share: f64) -> Result<Vec<f64>, Error> {
    check_share(share)?;
    Ok(values.map_ranges(5, |range| {
        by_sequence(range, |i, scratch| {
            scratch.extend(values.sequence(i).iter().map(|value| value.widen()));
            lowest_mean(scratch, share)
        })
    }))
}

/// Min-K%++: the same of `(log_prob - mean) / sqrt(variance)`, each token's log-probability measured by what its
/// distribution expects of one.
///
/// # Errors
/// As [`lowest_means`]; [`Error::LengthMismatch`] unless there are as many means and variances as values.
pub fn standardised_lowest_means<T: Real>(
    log_probs: Ragged<T>,
    means: &[T],
    variances: &[T],
    share: f64,
) -> Result<Vec<f64>, Error> {
    check_share(share)?;
    let n_values = log_probs.place(log_probs.n_sequences() - 1).end;
    for moments in [means, variances] {
        if moments.len() != n_values {
            return Err(Error::LengthMismatch { left: n_values, right: moments.len() });
        }
    }
    Ok(log_probs.map_ranges(8, |range| {
        by_sequence(range, |i, scratch| {
            let place = log_probs.place(i);
            let moments = means[place.clone()].iter().zip(&variances[place]);
            let standardised = |(log_prob, (mean, variance)): (&T, (&T, &T))| {
                (log_prob.widen() - mean.widen()) / at_least(variance.widen(), LOWEST_VARIANCE).sqrt()
            };
            scratch.extend(log_probs.sequence(i).iter().zip(moments).map(standardised));
            lowest_mean(scratch, share)
        })
    }))
}

/// The larger, or NaN if `x` is NaN.
fn at_least(x: f64, low: f64) -> f64 {
    if x < low { low } else { x }
}

fn check_share(share: f64) -> Result<(), Error> {
    if share > 0.0 && share <= 1.0 { Ok(()) } else { Err(Error::Share { argument: "k", seen: share }) }
}

/// `f(i, scratch)` of each sequence, with one buffer that comes empty.
fn by_sequence(range: Range<usize>, mut f: impl FnMut(usize, &mut Vec<f64>) -> f64) -> Vec<f64> {
    let mut scratch = Vec::new();
    range
        .map(|i| {
            scratch.clear();
            f(i, &mut scratch)
        })
        .collect()
}

fn lowest_mean(values: &mut [f64], share: f64) -> f64 {
    if values.is_empty() || values.iter().any(|value| value.is_nan()) {
        return f64::NAN;
    }
    let n_lowest = ((share * values.len() as f64) as usize).clamp(1, values.len());
    if n_lowest < values.len() {
        values.select_nth_unstable_by(n_lowest - 1, f64::total_cmp);
    }
    total(&values[..n_lowest]) / n_lowest as f64
}

/// What a sequence gets whose last token is a miss.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Floor {
    /// 0: nothing was extracted.
    Zero,
    /// As OpenUnlearning computes it: one token of the sequence; and 0 for a sequence without tokens.
    OpenUnlearning,
}

impl FromStr for Floor {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self, Error> {
        match name {
            "zero" => Ok(Self::Zero),
            "openunlearning" => Ok(Self::OpenUnlearning),
            _ => Err(unknown("floor", name, "\"zero\" or \"openunlearning\"")),
        }
    }
}

/// Share of each sequence that its longest suffix of hits covers; a hit is 1, a miss 0, anything else not known.
pub fn extraction_strengths(hits: Ragged<i8>, floor: Floor) -> Vec<f64> {
    hits.map(1, |hits| match (hits.len(), floor) {
        (0, Floor::OpenUnlearning) => 0.0,
        (n, _) if n == 0 || !all_known(hits) => f64::NAN,
        (n, _) => {
            let suffix = hits.iter().rev().take_while(|hit| **hit == 1).count();
            let least = usize::from(floor == Floor::OpenUnlearning);
            suffix.max(least) as f64 / n as f64
        }
    })
}

/// Share of hits in each sequence.
pub fn hit_shares(hits: Ragged<i8>) -> Vec<f64> {
    hits.map(1, |hits| {
        let n_hits = hits.iter().filter(|hit| **hit == 1).count();
        if all_known(hits) { n_hits as f64 / hits.len() as f64 } else { f64::NAN }
    })
}

fn all_known(hits: &[i8]) -> bool {
    hits.iter().filter(|hit| **hit & !1 != 0).count() == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lowest_share_rounds_down_but_not_to_nothing() {
        let values = Ragged::new(&[-1.0, -4.0, -2.0, -3.0, -5.0], &[0, 4, 4, 5]).unwrap();
        let lowest = lowest_means(values, 0.6).unwrap();
        assert_eq!((lowest[0], lowest[2]), (-3.5, -5.0));
        assert!(lowest[1].is_nan());
        assert_eq!(lowest_means(values, 0.0), Err(Error::Share { argument: "k", seen: 0.0 }));
    }

    #[test]
    fn a_token_that_is_not_known_spoils_its_sequence_only() {
        let hits = Ragged::new(&[1, -1, 0, 1], &[0, 2, 4]).unwrap();
        for values in [extraction_strengths(hits, Floor::Zero), hit_shares(hits)] {
            assert!(values[0].is_nan());
            assert_eq!(values[1], 0.5);
        }
    }
}
