//! Distances between two distribution functions: integrals of their difference.

use crate::rank::{key, value};
use crate::{Error, radix};

/// The 1-Wasserstein distance, `∫ |F - G|`, at least 0; NaN if a value is NaN or a sample is empty.
///
/// Weights, if there are any, are one for each value.
///
/// # Errors
/// [`Error::LengthMismatch`] if weights and values differ in number.
pub fn wasserstein_distance(x: &[f64], y: &[f64], weights: [Option<&[f64]>; 2]) -> Result<f64, Error> {
    integral(x, y, weights, f64::abs)
}

/// The energy distance, `sqrt(2 ∫ (F - G)²)`, at least 0; otherwise as [`wasserstein_distance`].
///
/// # Errors
/// [`Error::LengthMismatch`] if weights and values differ in number.
pub fn energy_distance(x: &[f64], y: &[f64], weights: [Option<&[f64]>; 2]) -> Result<f64, Error> {
    Ok((2.0 * integral(x, y, weights, |gap| gap * gap)?).sqrt())
}

/// The integral of `cost` of the difference of the distribution functions.
fn integral(x: &[f64], y: &[f64], weights: [Option<&[f64]>; 2], cost: impl Fn(f64) -> f64) -> Result<f64, Error> {
    let (first, second) = (Steps::new(x, weights[0])?, Steps::new(y, weights[1])?);
    if x.is_empty() || y.is_empty() || x.iter().chain(y).any(|v| v.is_nan()) {
        return Ok(f64::NAN);
    }
    let (mut i, mut j, mut total) = (0, 0, 0.0);
    let mut last = value(first.keys[0].min(second.keys[0]));
    while i < x.len() || j < y.len() {
        let key = first.key(i).min(second.key(j));
        let (now, gap) = (value(key), first.share(i) - second.share(j));
        if gap != 0.0 {
            total += cost(gap) * (now - last);
        }
        i += usize::from(first.key(i) == key);
        j += usize::from(second.key(j) == key);
        last = now;
    }
    Ok(total)
}

/// A distribution function.
struct Steps {
    keys: Vec<u64>,
    /// The weight of the values before each, and of all; nothing if all weigh the same.
    before: Vec<f64>,
}

impl Steps {
    fn new(x: &[f64], weights: Option<&[f64]>) -> Result<Self, Error> {
        let Some(weights) = weights else {
            let mut keys: Vec<u64> = x.iter().map(|v| key(*v)).collect();
            radix::sort(&mut keys);
            return Ok(Self { keys, before: Vec::new() });
        };
        crate::rank::same_length(x, weights)?;
        let mut order: Vec<(u64, u32)> = x.iter().zip(0..).map(|(v, i)| (key(*v), i)).collect();
        radix::sort(&mut order);
        let (mut sum, mut before) = (0.0, vec![0.0]);
        before.extend(order.iter().map(|(_, i)| {
            sum += weights[*i as usize];
            sum
        }));
        Ok(Self { keys: order.into_iter().map(|(key, _)| key).collect(), before })
    }

    fn key(&self, i: usize) -> u64 {
        self.keys.get(i).copied().unwrap_or(u64::MAX)
    }

    /// The share of the first `i` values.
    fn share(&self, i: usize) -> f64 {
        match self.before.last() {
            Some(all) => self.before[i] / all,
            None => i as f64 / self.keys.len() as f64,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances_by_hand() {
        let none = [None, None];
        assert_eq!(wasserstein_distance(&[0.0, 1.0, 3.0], &[5.0, 6.0, 8.0], none).unwrap(), 5.0);
        assert_eq!(
            wasserstein_distance(&[0.0, 1.0], &[0.0, 1.0], [Some(&[3.0, 1.0]), Some(&[2.0, 2.0])]).unwrap(),
            0.25
        );
        assert!((energy_distance(&[0.0], &[2.0], none).unwrap() - 2.0).abs() < 1e-15);
        assert!(wasserstein_distance(&[], &[1.0], none).unwrap().is_nan());
        assert!(wasserstein_distance(&[1.0], &[1.0], [Some(&[]), None]).is_err());
    }
}
