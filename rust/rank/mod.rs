//! Ranks and rank correlations.

mod bits;
mod rho_matrix;
mod rows;
mod significance;
mod tau;
mod tau_matrix;

pub use rho_matrix::spearman_rho_matrix;
pub use rows::{kendall_tau_rows, midranks_rows, spearman_rho_rows};
pub use significance::{KendallCounts, kendall_counts, kendall_exact};
pub use tau::kendall_tau;
pub use tau_matrix::kendall_tau_matrix;

use crate::{Error, radix, threads};

/// Mean ranks, 1 for the smallest; equal values share the mean of their ranks. All NaN if a value is.
pub fn midranks(x: &[f64]) -> Vec<f64> {
    if x.iter().any(|x| x.is_nan()) {
        return vec![f64::NAN; x.len()];
    }
    let mut ranks = vec![0.0; x.len()];
    let mut below = 0;
    for group in tie_groups(x).iter() {
        let rank = below as f64 + (group.len() + 1) as f64 / 2.0;
        group.iter().for_each(|i| ranks[*i as usize] = rank);
        below += group.len();
    }
    ranks
}

/// Spearman's rho, the Pearson correlation of midranks: -1 to 1, NaN if a vector is constant or a value is NaN.
///
/// # Errors
/// [`Error::LengthMismatch`] if the vectors differ in length.
pub fn spearman_rho(x: &[f64], y: &[f64]) -> Result<f64, Error> {
    same_length(x, y)?;
    if x.iter().chain(y).any(|v| v.is_nan()) {
        return Ok(f64::NAN);
    }
    Ok(rho_of(&centred_ranks(x), &centred_ranks(y)))
}

pub(crate) fn same_length<T>(x: &[T], y: &[T]) -> Result<(), Error> {
    let (left, right) = (x.len(), y.len());
    if left == right { Ok(()) } else { Err(Error::LengthMismatch { left, right }) }
}

/// A number that sorts as `x` does, with one key for both zeros.
#[inline(always)]
pub(crate) fn key(x: f64) -> u64 {
    let bits = (x + 0.0).to_bits();
    bits ^ ((bits as i64 >> 63) as u64 | (1 << 63))
}

/// The number that has a key.
pub(crate) fn value(key: u64) -> f64 {
    f64::from_bits(key ^ (!(key as i64 >> 63) as u64 | (1 << 63)))
}

/// Indices in ascending order of their values, cut into sets of equal values.
pub(crate) struct TieGroups {
    order: Vec<u32>,
    sizes: Vec<u32>,
}

pub(crate) fn tie_groups(x: &[f64]) -> TieGroups {
    let mut sorted: Vec<(u64, u32)> = x.iter().zip(0..).map(|(x, i)| (key(*x), i)).collect();
    radix::sort(&mut sorted);
    let sizes = sorted.chunk_by(|a, b| a.0 == b.0).map(|group| group.len() as u32).collect();
    TieGroups { order: sorted.into_iter().map(|(_, i)| i).collect(), sizes }
}

impl TieGroups {
    pub(crate) fn len(&self) -> usize {
        self.sizes.len()
    }

    fn n_items(&self) -> usize {
        self.order.len()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &[u32]> {
        let mut rest = &self.order[..];
        self.sizes.iter().map(move |size| {
            let (group, after) = rest.split_at(*size as usize);
            rest = after;
            group
        })
    }
}

/// Twice the midranks less `n + 1`: whole numbers around 0.
fn centred_ranks(x: &[f64]) -> Vec<i64> {
    let mut ranks = vec![0; x.len()];
    let mut below = 0;
    for group in tie_groups(x).iter() {
        let rank = (2 * below + group.len()) as i64 - x.len() as i64;
        group.iter().for_each(|i| ranks[*i as usize] = rank);
        below += group.len();
    }
    ranks
}

fn rho_of(x: &[i64], y: &[i64]) -> f64 {
    let product = |x: &[i64], y: &[i64]| x.iter().zip(y).map(|(x, y)| i128::from(*x) * i128::from(*y)).sum::<i128>();
    let (xx, yy) = (product(x, x) as f64, product(y, y) as f64);
    correlation(product(x, y) as f64, xx, yy)
}

/// tau-b from its counts; the untied pairs of each vector are its denominator.
pub(crate) fn tau_b(concordant_less_discordant: i64, untied_x: u64, untied_y: u64) -> f64 {
    correlation(concordant_less_discordant as f64, untied_x as f64, untied_y as f64)
}

/// `xy / sqrt(xx yy)`, NaN if a vector is constant; the root of the product makes a perfect correlation exactly 1.
#[inline(always)]
pub(crate) fn correlation(xy: f64, xx: f64, yy: f64) -> f64 {
    let product = xx * yy;
    if product > 0.0 { (xy / product.sqrt()).clamp(-1.0, 1.0) } else { f64::NAN }
}

/// A symmetric table of `f(i, j)`, row-major; each takes `nanoseconds / n²`.
fn square(n: usize, nanoseconds: usize, f: impl Fn(usize, usize) -> f64 + Send + Sync) -> Vec<f64> {
    let rows = threads::map(n, nanoseconds, |i| (0..=i).map(|j| f(i, j)).collect::<Vec<_>>());
    let mut square = vec![f64::NAN; n * n];
    for (i, row) in rows.into_iter().enumerate() {
        for (j, value) in row.into_iter().enumerate() {
            (square[i * n + j], square[j * n + i]) = (value, value);
        }
    }
    square
}

/// Number of pairs of `n` things.
fn pairs(n: usize) -> u64 {
    n as u64 * (n as u64).saturating_sub(1) / 2
}

fn tied_pairs<T>(sorted: &[T], same: impl FnMut(&T, &T) -> bool) -> u64 {
    sorted.chunk_by(same).map(|group| pairs(group.len())).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tau_and_rho_of_a_known_example() {
        let (x, y) = ([1.0, 2.0, 2.0, 3.0, 4.0, 5.0], [2.0, 1.0, 3.0, 3.0, 5.0, 4.0]);
        assert!((kendall_tau(&x, &y).unwrap() - 0.642_857_142_9).abs() < 1e-10);
        assert!((spearman_rho(&x, &y).unwrap() - 0.808_823_529_4).abs() < 1e-10);
    }

    #[test]
    fn constants_and_single_items_have_no_correlation() {
        assert!(kendall_tau(&[1.0, 1.0], &[1.0, 2.0]).unwrap().is_nan());
        assert!(spearman_rho(&[1.0], &[1.0]).unwrap().is_nan());
        assert!(kendall_tau(&[], &[]).unwrap().is_nan());
    }

    #[test]
    fn zeros_are_equal_and_infinities_are_ordered() {
        assert_eq!([-f64::INFINITY, -1.5, 0.0, 2.0].map(|x| value(key(x))), [-f64::INFINITY, -1.5, 0.0, 2.0]);
        assert_eq!(midranks(&[0.0, -0.0, f64::INFINITY, f64::NEG_INFINITY]), [2.5, 2.5, 4.0, 1.0]);
    }
}
