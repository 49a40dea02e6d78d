//! The ROC curve, and a point of it.

use super::sorted::Sorted;
use crate::rank::{key, value};

/// Points of a ROC curve, from the highest threshold to the lowest; a score at the threshold counts as positive.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct RocCurve {
    /// Scores, the first of them infinite.
    pub thresholds: Vec<f64>,
    /// Share of the negatives at or above the threshold.
    pub fpr: Vec<f64>,
    /// Share of the positives at or above it.
    pub tpr: Vec<f64>,
}

/// The ROC curve; one point of NaN if a value is NaN or a sample is empty. `every_point` keeps the points on a straight
/// line of equal steps, which are left out otherwise, as soon as they prove to be such.
pub fn roc_curve(positive: &[f64], negative: &[f64], every_point: bool) -> RocCurve {
    let Some(sorted) = Sorted::descending(positive, negative) else {
        return RocCurve { thresholds: vec![f64::NAN], fpr: vec![f64::NAN], tpr: vec![f64::NAN] };
    };
    let (n, m) = (positive.len() as f64, negative.len() as f64);
    let mut curve = RocCurve::default();
    curve.push(f64::INFINITY, 0.0, 0.0);
    let (mut above, mut step, mut last) = ((0, 0), (0, 0), None);
    sorted.for_each_value(|key, positives, negatives| {
        let turns = step != (positives, negatives) || curve.thresholds.len() == 1;
        if let Some(threshold) = last.filter(|_| turns || every_point) {
            curve.push(threshold, above.1 as f64 / m, above.0 as f64 / n);
        }
        (above, step, last) = ((above.0 + positives, above.1 + negatives), (positives, negatives), Some(value(!key)));
    });
    curve.push(last.unwrap_or(f64::NAN), 1.0, 1.0);
    curve
}

impl RocCurve {
    fn push(&mut self, threshold: f64, fpr: f64, tpr: f64) {
        self.thresholds.push(threshold);
        self.fpr.push(fpr);
        self.tpr.push(tpr);
    }
}

/// The largest true positive rate whose false positive rate is at most `fpr`: 0 to 1; NaN as above.
///
/// No curve is made: the threshold is just above the first negative that would be one too many.
pub fn tpr_at_fpr(positive: &[f64], negative: &[f64], fpr: f64) -> f64 {
    if positive.is_empty() || negative.is_empty() || positive.iter().chain(negative).any(|v| v.is_nan()) || fpr.is_nan()
    {
        return f64::NAN;
    }
    let (m, share) = (negative.len(), |k: usize| k as f64 / negative.len() as f64);
    let mut allowed = (fpr.clamp(0.0, 1.0) * m as f64) as usize;
    allowed += usize::from(allowed < m && share(allowed + 1) <= fpr); // the product was rounded
    allowed -= usize::from(share(allowed) > fpr);
    if allowed == m {
        return 1.0;
    }
    let mut keys: Vec<u64> = negative.iter().map(|v| !key(*v)).collect();
    let first_too_many = *keys.select_nth_unstable(allowed).1;
    positive.iter().filter(|v| !key(**v) < first_too_many).count() as f64 / positive.len() as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_curve_by_hand() {
        let curve = roc_curve(&[0.8, 0.4, 0.9], &[0.1, 0.4], false);
        assert_eq!(curve.thresholds, [f64::INFINITY, 0.9, 0.8, 0.4, 0.1]);
        assert_eq!(curve.fpr, [0.0, 0.0, 0.0, 0.5, 1.0]);
        assert_eq!(curve.tpr, [0.0, 1.0 / 3.0, 2.0 / 3.0, 1.0, 1.0]);
    }

    #[test]
    fn a_point_of_it() {
        let at = |fpr| tpr_at_fpr(&[0.8, 0.4, 0.9], &[0.1, 0.4], fpr);
        assert_eq!([at(0.0), at(0.49), at(0.5), at(1.0)], [2.0 / 3.0, 2.0 / 3.0, 1.0, 1.0]);
        assert!(at(f64::NAN).is_nan());
    }
}
