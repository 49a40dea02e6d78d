//! Statistics of two independent samples.

use crate::rank::key;
use crate::threads;

/// `P(positive > negative) + ½ P(equal)`, the area under the ROC curve: 0 to 1; NaN if a value is NaN or a sample is empty.
pub fn roc_auc(positive: &[f64], negative: &[f64]) -> f64 {
    let Some((positive, negative)) = sorted_keys(positive, negative) else { return f64::NAN };
    let mut half_wins = 0u128;
    for_each_value(&positive, &negative, |positives, below, negatives| {
        half_wins += positives as u128 * (2 * below + negatives) as u128;
    });
    half_wins as f64 / (2.0 * positive.len() as f64 * negative.len() as f64)
}

/// Two-sample Kolmogorov–Smirnov statistic, the largest distance of two distribution functions: 0 to 1; NaN as above.
pub fn ks_statistic(x: &[f64], y: &[f64]) -> f64 {
    let Some((x, y)) = sorted_keys(x, y) else { return f64::NAN };
    let (n, m) = (x.len() as i128, y.len() as i128);
    let (mut seen, mut largest) = (0i128, 0i128);
    for_each_value(&x, &y, |in_x, below, in_y| {
        seen += in_x as i128;
        largest = largest.max((seen * m - (below + in_y) as i128 * n).abs());
    });
    largest as f64 / (n * m) as f64
}

/// Both samples in ascending order; nothing if one is empty or has a NaN.
fn sorted_keys(first: &[f64], second: &[f64]) -> Option<(Vec<u64>, Vec<u64>)> {
    if first.is_empty() || second.is_empty() || first.iter().chain(second).any(|v| v.is_nan()) {
        return None;
    }
    let sorted = |x: &[f64]| {
        let mut keys: Vec<u64> = x.iter().map(|v| key(*v)).collect();
        keys.sort_unstable();
        keys
    };
    let mut both = threads::map(2, 40 * (first.len() + second.len()), |i| sorted([first, second][i])).into_iter();
    Some((both.next()?, both.next()?))
}

/// Visits each value of either sample in ascending order with how often the first holds it, how many of the second are
/// below it, and how often the second holds it.
fn for_each_value(first: &[u64], second: &[u64], mut visit: impl FnMut(usize, usize, usize)) {
    let (mut i, mut j) = (0, 0);
    while i < first.len() || j < second.len() {
        let value = first.get(i).into_iter().chain(second.get(j)).copied().min().unwrap_or_default();
        let (in_first, in_second) = (run(&first[i..], value), run(&second[j..], value));
        visit(in_first, j, in_second);
        (i, j) = (i + in_first, j + in_second);
    }
}

/// How many of the first elements equal `value`.
#[inline(always)]
fn run(sorted: &[u64], value: u64) -> usize {
    sorted.iter().take_while(|key| **key == value).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ties_count_half() {
        assert_eq!(roc_auc(&[1.0, 2.0], &[1.0, 0.0]), 0.875);
        assert_eq!(ks_statistic(&[1.0, 2.0], &[1.0, 0.0]), 0.5);
        assert!(roc_auc(&[], &[1.0]).is_nan());
    }
}
