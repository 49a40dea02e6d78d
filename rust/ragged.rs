//! Sequences of different lengths, one after another in one vector.

use std::ops::Range;

use crate::{Error, threads};

/// Elements that one task takes, unless a sequence is longer.
const ELEMENTS_PER_BLOCK: usize = 1 << 15;

/// A borrowed vector cut into sequences: sequence `i` is `values[offsets[i]..offsets[i + 1]]`.
#[derive(Debug, Clone, Copy)]
pub struct Ragged<'a, T> {
    values: &'a [T],
    offsets: &'a [i64],
}

impl<'a, T: Sync> Ragged<'a, T> {
    /// A vector and where its sequences start; the last offset is the vector's length.
    ///
    /// # Errors
    /// [`Error::Empty`] without a sequence; [`Error::Offsets`] for the first offset that does not start at 0, falls, or
    /// is not the length at the end.
    pub fn new(values: &'a [T], offsets: &'a [i64]) -> Result<Self, Error> {
        let n_values = values.len();
        let wrong = |index: usize| Err(Error::Offsets { index, seen: offsets[index], n_values });
        if offsets.len() < 2 {
            return Err(Error::Empty);
        }
        if offsets[0] != 0 {
            return wrong(0);
        }
        if let Some(fall) = offsets.windows(2).position(|pair| pair[1] < pair[0]) {
            return wrong(fall + 1);
        }
        if offsets.last().copied() != i64::try_from(n_values).ok() {
            return wrong(offsets.len() - 1);
        }
        Ok(Self { values, offsets })
    }

    /// Number of sequences.
    pub fn n_sequences(&self) -> usize {
        self.offsets.len() - 1
    }

    /// Where sequence `i` lies among all values.
    pub(crate) fn place(&self, i: usize) -> Range<usize> {
        self.offsets[i] as usize..self.offsets[i + 1] as usize
    }

    /// Sequence `i`.
    pub fn sequence(&self, i: usize) -> &'a [T] {
        &self.values[self.place(i)]
    }

    /// What `f` makes of ranges of sequences (at `nanoseconds` a value), one after another.
    pub(crate) fn map_ranges<R: Send>(
        &self,
        nanoseconds: usize,
        f: impl Fn(Range<usize>) -> Vec<R> + Send + Sync,
    ) -> Vec<R> {
        let (n, n_values) = (self.n_sequences(), self.values.len() + self.n_sequences());
        let blocks = threads::blocks(n, (ELEMENTS_PER_BLOCK * n / n_values).max(1));
        threads::map(blocks.len(), n_values * nanoseconds, |i| f(blocks[i].clone())).into_iter().flatten().collect()
    }

    /// `f` of each sequence.
    pub(crate) fn map<R: Send>(&self, nanoseconds: usize, f: impl Fn(&'a [T]) -> R + Send + Sync) -> Vec<R> {
        self.map_ranges(nanoseconds, |range| range.map(|i| f(self.sequence(i))).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sequences_may_be_empty() {
        let ragged = Ragged::new(&[1, 2, 3], &[0, 0, 2, 3]).unwrap();
        assert_eq!(ragged.map(1, <[i32]>::len), vec![0, 2, 1]);
        assert_eq!(ragged.sequence(1), &[1, 2]);
    }

    #[test]
    fn the_first_wrong_offset_is_named() {
        let wrong = |offsets: &[i64]| Ragged::new(&[0.0; 3], offsets).unwrap_err();
        assert_eq!(wrong(&[1, 3]), Error::Offsets { index: 0, seen: 1, n_values: 3 });
        assert_eq!(wrong(&[0, 2, -1, 3]), Error::Offsets { index: 2, seen: -1, n_values: 3 });
        assert_eq!(wrong(&[0, 4]), Error::Offsets { index: 1, seen: 4, n_values: 3 });
        assert_eq!(wrong(&[0]), Error::Empty);
    }
}
