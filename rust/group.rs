//! Weighted and masked means and sums of values that belong together: the rows of an example, of a cluster, of a model.

use std::str::FromStr;

use crate::error::unknown;
use crate::{Error, Ragged, Real, threads};

/// Rows that one task takes, and multiples of the number of groups that make it worth a task of its own.
const ROWS_PER_BLOCK: usize = 1 << 16;
const ROWS_PER_GROUP: usize = 8;

/// What to make of the rows of a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reduction {
    /// `Σ w x`.
    Sum,
    /// `Σ w x / Σ w`.
    Mean,
}

impl FromStr for Reduction {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self, Error> {
        match name {
            "sum" => Ok(Self::Sum),
            "mean" => Ok(Self::Mean),
            _ => Err(unknown("reduction", name, "\"mean\" or \"sum\"")),
        }
    }
}

/// Values, and what to count of each.
#[derive(Debug, Clone, Copy)]
pub struct Weighted<'a, T> {
    values: &'a [T],
    weights: Option<&'a [f64]>,
    mask: Option<&'a [bool]>,
}

impl<'a, T: Real> Weighted<'a, T> {
    /// All values with weight 1 unless there are weights; only those that the mask marks, if there is one.
    ///
    /// # Errors
    /// [`Error::LengthMismatch`] unless all lengths agree; [`Error::NegativeWeight`] for the first weight below 0.
    pub fn new(values: &'a [T], weights: Option<&'a [f64]>, mask: Option<&'a [bool]>) -> Result<Self, Error> {
        for n in [weights.map(<[f64]>::len), mask.map(<[bool]>::len)].into_iter().flatten() {
            same_length(values.len(), n)?;
        }
        let negative = weights.and_then(|weights| weights.iter().position(|weight| *weight < 0.0));
        if let (Some(row), Some(weights)) = (negative, weights) {
            return Err(Error::NegativeWeight { row, weight: weights[row] });
        }
        Ok(Self { values, weights, mask })
    }

    /// Adds row `i`.
    #[inline(always)]
    fn add_to(&self, total: &mut Total, i: usize) {
        if self.mask.is_none_or(|mask| mask[i]) {
            total.add(self.values[i].widen(), self.weights.map_or(1.0, |weights| weights[i]));
        }
    }
}

fn same_length(left: usize, right: usize) -> Result<(), Error> {
    if left == right { Ok(()) } else { Err(Error::LengthMismatch { left, right }) }
}

#[derive(Debug, Clone, Copy, Default)]
struct Total {
    sum: f64,
    weight: f64,
    is_not_empty: bool,
}

impl Total {
    /// A weight of 0 takes a value out, even an infinite one, but a NaN stays one.
    #[inline(always)]
    fn add(&mut self, value: f64, weight: f64) {
        self.sum += if weight == 0.0 && !value.is_nan() { 0.0 } else { value * weight };
        self.weight += weight;
        self.is_not_empty = true;
    }

    fn merge(&mut self, other: &Self) {
        self.sum += other.sum;
        self.weight += other.weight;
        self.is_not_empty |= other.is_not_empty;
    }

    fn reduced(&self, reduction: Reduction) -> f64 {
        match reduction {
            _ if !self.is_not_empty => f64::NAN,
            Reduction::Sum => self.sum,
            Reduction::Mean => self.sum / self.weight,
        }
    }
}

/// One number a group, of the rows with its code; NaN for a group without rows or, if it is a mean, without weight.
///
/// # Errors
/// [`Error::LengthMismatch`] unless there is one code a row; [`Error::GroupOutOfRange`] for the first outside `0..n_groups`.
pub fn reduce_groups<T: Real>(
    rows: Weighted<T>,
    codes: &[i64],
    n_groups: usize,
    reduction: Reduction,
) -> Result<Vec<f64>, Error> {
    same_length(rows.values.len(), codes.len())?;
    let mut totals = empty_totals(n_groups)?;
    let blocks = threads::blocks(codes.len(), ROWS_PER_BLOCK.max(ROWS_PER_GROUP * n_groups));
    let parts = threads::map(blocks.len(), 2 * codes.len(), |block| {
        let mut totals = vec![Total::default(); n_groups];
        for row in blocks[block].clone() {
            let group = codes[row];
            let total = usize::try_from(group).ok().and_then(|group| totals.get_mut(group));
            rows.add_to(total.ok_or(Error::GroupOutOfRange { row, group, n_groups })?, row);
        }
        Ok(totals)
    });
    for part in parts {
        totals.iter_mut().zip(part?).for_each(|(total, part)| total.merge(&part));
    }
    Ok(totals.iter().map(|total| total.reduced(reduction)).collect())
}

fn empty_totals(n_groups: usize) -> Result<Vec<Total>, Error> {
    let mut totals = Vec::new();
    totals.try_reserve_exact(n_groups).map_err(|_| Error::GroupCount { n_groups })?;
    totals.resize(n_groups, Total::default());
    Ok(totals)
}

/// One number a sequence, of its rows; NaN as for groups.
///
/// # Errors
/// Those of [`Ragged::new`].
pub fn reduce_sequences<T: Real>(rows: Weighted<T>, offsets: &[i64], reduction: Reduction) -> Result<Vec<f64>, Error> {
    let sequences = Ragged::new(rows.values, offsets)?;
    Ok(sequences.map_ranges(2, |range| {
        let total = |i| {
            let mut total = Total::default();
            sequences.place(i).for_each(|row| rows.add_to(&mut total, row));
            total.reduced(reduction)
        };
        range.map(total).collect()
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_without_weight_has_no_mean() {
        let rows = Weighted::new(&[1.0, 3.0, f64::INFINITY], Some(&[1.0, 3.0, 0.0]), None).unwrap();
        let means = reduce_groups(rows, &[0, 0, 2], 3, Reduction::Mean).unwrap();
        assert_eq!(means[0], 2.5);
        assert!(means[1].is_nan() && means[2].is_nan());
        assert_eq!(reduce_groups(rows, &[0, 0, 2], 3, Reduction::Sum).unwrap()[2], 0.0);
    }

    #[test]
    fn wrong_codes_and_weights_are_named() {
        let rows = Weighted::new(&[1.0, 3.0], None, None).unwrap();
        let error = reduce_groups(rows, &[0, -1], 2, Reduction::Sum).unwrap_err();
        assert_eq!(error, Error::GroupOutOfRange { row: 1, group: -1, n_groups: 2 });
        let error = Weighted::new(&[1.0], Some(&[-1.0]), None).unwrap_err();
        assert_eq!(error, Error::NegativeWeight { row: 0, weight: -1.0 });
    }
}
