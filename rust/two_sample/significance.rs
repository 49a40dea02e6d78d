//! Exact chances of two-sample statistics when both samples come from one continuous distribution.

/// Chance of a Kolmogorov–Smirnov statistic at least as large, for samples of `n` and `m`.
///
/// `greater` and `less` bound the excess of the first distribution function and of the second, both times `n m`; nothing
/// for a side that does not count. The samples in order are a path through a lattice, from which the chance of having
/// left the bounds follows step by step (Hodges 1958); a sum of positive terms, so nothing cancels or overflows.
pub fn ks_exact(n: usize, m: usize, greater: Option<u64>, less: Option<u64>) -> f64 {
    let gap = |i: usize, j: usize| (i * m) as i64 - (j * n) as i64;
    let below = |bound: Option<u64>, gap: i64| bound.is_none_or(|bound| gap < bound as i64);
    let inside = |i: usize, j: usize| below(greater, gap(i, j)) && below(less, -gap(i, j));
    if !inside(0, 0) {
        return 1.0;
    }
    if let (true, Some(bound), None) | (true, None, Some(bound)) = (n == m, greater, less) {
        // One side of a square, by reflection.
        return (0..bound.div_ceil(n as u64)).map(|k| (n as f64 - k as f64) / (n as f64 + k as f64 + 1.0)).product();
    }
    let mut left = vec![1.0; m + 1]; // outside the bounds, and not yet reached
    let mut start = 0;
    for i in 0..=n {
        while start <= m && !below(greater, gap(i, start)) {
            start += 1;
        }
        let mut before = if start == 0 { 0.0 } else { 1.0 };
        for j in start..=m {
            if !inside(i, j) {
                break;
            }
            if i + j > 0 {
                before = (if i == 0 { 0.0 } else { left[j] * i as f64 } + before * j as f64) / (i + j) as f64;
            }
            left[j] = before;
        }
    }
    left[m]
}

/// Chances, for samples of `n` and `m` without ties, of a Mann–Whitney `U` of at most `u`, and of exactly so much.
///
/// The counts are the coefficients of a Gaussian binomial, made factor by factor and kept as chances, which cannot
/// overflow.
pub fn mann_whitney_exact(n: usize, m: usize, u: usize) -> (f64, f64) {
    let (n, m) = (n.min(m), n.max(m));
    let mut chances = vec![0.0; u + 1];
    chances[0] = 1.0;
    for i in 1..=n {
        for k in (m + i..=u).rev() {
            chances[k] -= chances[k - m - i];
        }
        for k in i..=u {
            chances[k] += chances[k - i];
        }
        let share = i as f64 / (m + i) as f64;
        chances.iter_mut().for_each(|chance| *chance *= share);
    }
    (chances.iter().sum(), chances[u])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_orders_are_counted_by_hand() {
        // Of the 6 orders of 2 and 2, U is 0, 1, 2, 2, 3, 4.
        let (at_most, exactly) = mann_whitney_exact(2, 2, 2);
        assert!((at_most - 4.0 / 6.0).abs() < 1e-15 && (exactly - 2.0 / 6.0).abs() < 1e-15);
        // Only the 2 orders that keep the samples apart reach D = 1.
        assert!((ks_exact(2, 2, Some(4), Some(4)) - 2.0 / 6.0).abs() < 1e-15);
        assert!((ks_exact(2, 2, Some(4), None) - 1.0 / 6.0).abs() < 1e-15);
        assert_eq!(ks_exact(2, 2, Some(0), None), 1.0);
    }
}
