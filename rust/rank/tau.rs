//! Kendall's tau-b of two vectors.

use super::{key, pairs, same_length, tau_b, tied_pairs};
use crate::simd::{self, Kernel, Level};
use crate::{Error, merge, radix};

/// Up to so many items, comparing all pairs is faster than sorting.
const FEW: usize = 128;
/// Elements that are compared at once.
const LANES: usize = 8;

/// Kendall's tau-b, `(C - D) / sqrt((n0 - n1)(n0 - n2))`: -1 to 1, NaN if a vector is constant or a value is NaN.
///
/// Kendall (1945); discordant pairs are counted by merging (Knight 1966), all counts are exact.
///
/// # Errors
/// [`Error::LengthMismatch`] if the vectors differ in length.
pub fn kendall_tau(x: &[f64], y: &[f64]) -> Result<f64, Error> {
    same_length(x, y)?;
    Ok(PairCounts::of(x, y).map_or(f64::NAN, |counts| counts.tau()))
}

/// How the pairs of items stand.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct PairCounts {
    pub(crate) all: u64,
    pub(crate) tied_x: u64,
    pub(crate) tied_y: u64,
    pub(crate) tied_both: u64,
    pub(crate) discordant: u64,
}

impl PairCounts {
    /// Nothing if a value is NaN.
    pub(crate) fn of(x: &[f64], y: &[f64]) -> Option<Self> {
        if x.iter().chain(y).any(|v| v.is_nan()) {
            None
        } else if x.len() <= FEW {
            Some(simd::widest(AllPairs { x, y }))
        } else {
            Some(Self::by_merging(x, y))
        }
    }

    fn by_merging(x: &[f64], y: &[f64]) -> Self {
        let mut items: Vec<(u64, u64)> = x.iter().map(|v| key(*v)).zip(y.iter().map(|v| key(*v))).collect();
        radix::sort(&mut items);
        let mut y: Vec<u64> = items.iter().map(|(_, y)| *y).collect();
        let discordant = merge::count_inversions(&mut y);
        Self {
            all: pairs(y.len()),
            tied_x: tied_pairs(&items, |a, b| a.0 == b.0),
            tied_y: tied_pairs(&y, |a, b| a == b),
            tied_both: tied_pairs(&items, |a, b| a == b),
            discordant,
        }
    }

    pub(crate) fn concordant_less_discordant(&self) -> i64 {
        (self.all + self.tied_both) as i64 - (self.tied_x + self.tied_y) as i64 - 2 * self.discordant as i64
    }

    pub(crate) fn tau(&self) -> f64 {
        tau_b(self.concordant_less_discordant(), self.all - self.tied_x, self.all - self.tied_y)
    }
}

/// Compares every item with all after it. Beyond the end there is NaN, which neither exceeds nor equals anything.
struct AllPairs<'a> {
    x: &'a [f64],
    y: &'a [f64],
}

impl Kernel for AllPairs<'_> {
    type Output = PairCounts;

    #[inline(always)]
    fn run<L: Level>(self) -> PairCounts {
        let n = self.x.len();
        let (mut x, mut y) = ([f64::NAN; FEW + LANES], [f64::NAN; FEW + LANES]);
        x[..n].copy_from_slice(self.x);
        y[..n].copy_from_slice(self.y);
        let (mut tied_x, mut tied_y, mut tied_both, mut discordant) = (0, 0, 0, 0);
        for i in 0..n {
            let end = i + 1 + (n - i - 1).next_multiple_of(LANES);
            for (after_x, after_y) in x[i + 1..end].iter().zip(&y[i + 1..end]) {
                let (same_x, same_y) = (*after_x == x[i], *after_y == y[i]);
                let opposite = (*after_x > x[i]) ^ (*after_y > y[i]);
                tied_x += u64::from(same_x);
                tied_y += u64::from(same_y);
                tied_both += u64::from(same_x & same_y);
                discordant += u64::from(opposite & !same_x & !same_y);
            }
        }
        PairCounts { all: pairs(n), tied_x, tied_y, tied_both, discordant }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comparing_and_merging_count_the_same() {
        for n in 0..=FEW {
            let x: Vec<f64> = (0..n).map(|i| (i * 7919 % 31) as f64).collect();
            let y: Vec<f64> = (0..n).map(|i| (i * i % 67) as f64 - 30.0).collect();
            assert_eq!(PairCounts::of(&x, &y).unwrap(), PairCounts::by_merging(&x, &y));
        }
    }
}
