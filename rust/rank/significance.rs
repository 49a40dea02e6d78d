//! What a p-value of Kendall's tau is made of.

use super::tau::PairCounts;
use super::{same_length, tie_groups};
use crate::Error;

/// The pairs of two vectors, and sums over groups of `t` equal values of each vector.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct KendallCounts {
    /// tau-b, NaN if a vector is constant or a value is NaN.
    pub tau: f64,
    /// Concordant less discordant pairs.
    pub net: i64,
    /// Discordant pairs.
    pub discordant: u64,
    /// Tied pairs of either vector.
    pub tied: [u64; 2],
    /// Sums of `t (t - 1) (t - 2)`.
    pub triples: [f64; 2],
    /// Sums of `t (t - 1) (2 t + 5)`.
    pub spread: [f64; 2],
}

/// Counts for Kendall's test; NaN and 0 if a value is NaN.
///
/// # Errors
/// [`Error::LengthMismatch`] if the vectors differ in length.
pub fn kendall_counts(x: &[f64], y: &[f64]) -> Result<KendallCounts, Error> {
    same_length(x, y)?;
    let Some(pairs) = PairCounts::of(x, y) else {
        let none = [0.0; 2];
        return Ok(KendallCounts { tau: f64::NAN, net: 0, discordant: 0, tied: [0; 2], triples: none, spread: none });
    };
    let tied = [pairs.tied_x, pairs.tied_y];
    let [(triples_x, spread_x), (triples_y, spread_y)] =
        [(x, tied[0]), (y, tied[1])].map(|(v, tied)| tie_sums(v, tied));
    Ok(KendallCounts {
        tau: pairs.tau(),
        net: pairs.concordant_less_discordant(),
        discordant: pairs.discordant,
        tied,
        triples: [triples_x, triples_y],
        spread: [spread_x, spread_y],
    })
}

fn tie_sums(x: &[f64], tied: u64) -> (f64, f64) {
    if tied == 0 {
        return (0.0, 0.0);
    }
    let sizes = tie_groups(x);
    let sizes = sizes.iter().map(|group| group.len() as f64);
    sizes.fold((0.0, 0.0), |(triples, spread), t| {
        (triples + t * (t - 1.0) * (t - 2.0), spread + t * (t - 1.0) * (2.0 * t + 5.0))
    })
}

/// Chances, if all orders of `n` items are equally likely, of at most `discordant` discordant pairs, and of exactly so many;
/// without ties.
///
/// A further item adds 0 to `j - 1` discordant pairs, so its counts are sums of `j` neighbours (Kendall 1970, chapter 5);
/// they are kept as chances, which cannot overflow.
pub fn kendall_exact(n: usize, discordant: usize) -> (f64, f64) {
    let mut chances = vec![0.0; discordant + 1];
    chances[0] = 1.0;
    for j in 2..=n {
        let mut sum = 0.0;
        let before = chances.clone();
        for (k, chance) in chances.iter_mut().enumerate() {
            sum += before[k] - if k < j { 0.0 } else { before[k - j] };
            *chance = sum / j as f64;
        }
    }
    (chances.iter().sum(), chances[discordant])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chances_of_few_items_are_counted_by_hand() {
        // Of the 24 orders of 4 items, 1, 3, 5 and 6 have 0, 1, 2 and 3 inversions.
        let near = |a: (f64, f64), b: (f64, f64)| (a.0 - b.0).abs() < 1e-15 && (a.1 - b.1).abs() < 1e-15;
        assert!(near(kendall_exact(4, 0), (1.0 / 24.0, 1.0 / 24.0)));
        assert!(near(kendall_exact(4, 2), (9.0 / 24.0, 5.0 / 24.0)));
        assert!(near(kendall_exact(4, 6), (1.0, 1.0 / 24.0)));
        assert!(near(kendall_exact(1, 0), (1.0, 1.0)));
    }
}
