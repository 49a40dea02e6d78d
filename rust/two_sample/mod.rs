//! Statistics of two independent samples.

mod cells;
mod distance;
mod roc;
mod significance;
mod sorted;

pub use distance::{energy_distance, wasserstein_distance};
pub use roc::{RocCurve, roc_curve, tpr_at_fpr};
pub use significance::{ks_exact, mann_whitney_exact};

use sorted::Sorted;

/// `P(positive > negative) + ½ P(equal)`, the area under the ROC curve: 0 to 1; NaN if a value is NaN or a sample is empty.
pub fn roc_auc(positive: &[f64], negative: &[f64]) -> f64 {
    let Some(sorted) = Sorted::new(positive, negative) else { return f64::NAN };
    let pairs = positive.len() as f64 * negative.len() as f64;
    half_wins(&sorted) as f64 / (2.0 * pairs)
}

/// Twice the pairs in which the first exceeds the second, with those of equal values once.
fn half_wins(sorted: &Sorted) -> u128 {
    let (n, m) = sorted.sizes();
    let (wins, losses) = sorted.wins();
    n as u128 * m as u128 + u128::from(wins) - u128::from(losses)
}

/// Two-sample Kolmogorov–Smirnov statistic, the largest distance of two distribution functions: 0 to 1; NaN as above.
pub fn ks_statistic(x: &[f64], y: &[f64]) -> f64 {
    ks_statistics(x, y).map_or(f64::NAN, |gaps| gaps.two_sided())
}

/// Whether a sample is empty or has a NaN.
fn lacks_values(x: &[f64]) -> bool {
    x.is_empty() || x.iter().any(|v| v.is_nan())
}

/// The one-sided Kolmogorov–Smirnov statistics, times the product of the sizes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Gaps {
    /// Largest excess of the distribution function of `x`.
    pub greater: u64,
    /// Largest excess of that of `y`.
    pub less: u64,
    /// Sizes of `x` and `y`.
    pub sizes: (usize, usize),
}

impl Gaps {
    fn two_sided(&self) -> f64 {
        self.greater.max(self.less) as f64 / (self.sizes.0 as f64 * self.sizes.1 as f64)
    }
}

/// The one-sided Kolmogorov–Smirnov statistics; nothing if a value is NaN or a sample is empty.
pub fn ks_statistics(x: &[f64], y: &[f64]) -> Option<Gaps> {
    if lacks_values(x) || lacks_values(y) {
        return None;
    }
    let in_cells = if x.len() + y.len() < cells::MANY { None } else { cells::largest_gaps(x, y) };
    let (greater, less) = in_cells.or_else(|| Some(Sorted::new(x, y)?.largest_gaps()))?;
    Some(Gaps { greater, less, sizes: (x.len(), y.len()) })
}

/// Mann–Whitney `U` of `x`, and the sum of `t³ - t` over groups of `t` equal values; NaN as above.
pub fn mann_whitney(x: &[f64], y: &[f64]) -> (f64, f64) {
    let Some(sorted) = Sorted::new(x, y) else { return (f64::NAN, f64::NAN) };
    let mut ties = 0;
    sorted.for_each_value(|_, in_x, in_y| {
        let size = (in_x + in_y) as u128;
        ties += size.pow(3) - size;
    });
    (half_wins(&sorted) as f64 / 2.0, ties as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ties_count_half() {
        assert_eq!(roc_auc(&[1.0, 2.0], &[1.0, 0.0]), 0.875);
        assert_eq!(ks_statistic(&[1.0, 2.0], &[1.0, 0.0]), 0.5);
        assert!(roc_auc(&[], &[1.0]).is_nan());
        assert_eq!(mann_whitney(&[1.0, 2.0], &[1.0, 0.0]), (3.5, 6.0));
    }

    #[test]
    fn pieces_add_up() {
        let x: Vec<f64> = (0..200_000u64).map(|i| (i * 7919 % 1013) as f64).collect();
        let y: Vec<f64> = (0..70_000u64).map(|i| (i * 104_729 % 997) as f64 + 3.0).collect();
        let (mut half_wins, mut below) = (0, [0u64; 1100]);
        y.iter().for_each(|v| below[*v as usize] += 1);
        let counts: Vec<u64> = below
            .iter()
            .scan(0, |sum, n| {
                *sum += n;
                Some(*sum)
            })
            .collect();
        for v in x.iter().map(|v| *v as usize) {
            half_wins += counts[v] + if v > 0 { counts[v - 1] } else { 0 };
        }
        assert_eq!(roc_auc(&x, &y), half_wins as f64 / (2.0 * 200_000.0 * 70_000.0));
    }
}
