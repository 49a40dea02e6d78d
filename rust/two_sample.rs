//! Statistics of two independent samples.

use crate::rank::key;

/// `P(positive > negative) + ½ P(equal)`, the area under the ROC curve: 0 to 1; NaN if a value is NaN or a sample is empty.
pub fn roc_auc(positive: &[f64], negative: &[f64]) -> f64 {
    let Some(merged) = merged(positive, negative) else { return f64::NAN };
    let (mut below, mut half_wins) = (0u128, 0u128);
    for group in merged.chunk_by(|a, b| a.0 == b.0) {
        let positives = group.iter().filter(|(_, positive)| *positive).count() as u128;
        let negatives = group.len() as u128 - positives;
        half_wins += positives * (2 * below + negatives);
        below += negatives;
    }
    half_wins as f64 / (2.0 * positive.len() as f64 * negative.len() as f64)
}

/// Two-sample Kolmogorov–Smirnov statistic, the largest distance of two distribution functions: 0 to 1; NaN as above.
pub fn ks_statistic(x: &[f64], y: &[f64]) -> f64 {
    let Some(merged) = merged(x, y) else { return f64::NAN };
    let (n, m) = (x.len() as i128, y.len() as i128);
    let (mut difference, mut largest) = (0i128, 0i128);
    for group in merged.chunk_by(|a, b| a.0 == b.0) {
        difference += group.iter().map(|(_, in_x)| if *in_x { m } else { -n }).sum::<i128>();
        largest = largest.max(difference.abs());
    }
    largest as f64 / (n * m) as f64
}

/// Both samples in ascending order, marked by whether they come from the first; nothing if that makes no sense.
fn merged(first: &[f64], second: &[f64]) -> Option<Vec<(u64, bool)>> {
    if first.is_empty() || second.is_empty() || first.iter().chain(second).any(|v| v.is_nan()) {
        return None;
    }
    let tagged = |x: &[f64], tag| x.iter().map(|v| (key(*v), tag)).collect::<Vec<_>>();
    let mut merged = tagged(first, true);
    merged.extend(tagged(second, false));
    merged.sort_unstable();
    Some(merged)
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
