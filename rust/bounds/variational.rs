//! Lower bounds of f-divergences from samples of `l = ln(p / q)` under both distributions.
//!
//! `D_f >= E_p T - E_q f*(T)` for any function T (Nguyen, Wainwright and Jordan 2010), here `T = f'(e^l)`: then it is an
//! equality if `l` is the true log-ratio, and a lower bound (in expectation) if it is a guess.

use std::str::FromStr;

use crate::error::unknown;
use crate::{Error, threads};

/// Values in one task.
const BLOCK: usize = 1 << 14;

/// A divergence that can be bounded.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Divergence {
    /// Kullback-Leibler, by the bound of Nguyen, Wainwright and Jordan.
    Kl,
    /// Kullback-Leibler, by that of Donsker and Varadhan.
    KlDonskerVaradhan,
    /// Kullback-Leibler of q from p.
    ReverseKl,
    /// Jensen-Shannon.
    Js,
    /// Total variation.
    Tv,
    /// Squared Hellinger, `1 - sum sqrt(pq)`.
    Hellinger,
    /// Pearson's chi-squared, `sum (p - q)^2 / q`.
    ChiSquared,
}

impl FromStr for Divergence {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self, Error> {
        Ok(match name {
            "kl" => Self::Kl,
            "kl_donsker_varadhan" => Self::KlDonskerVaradhan,
            "reverse_kl" => Self::ReverseKl,
            "js" => Self::Js,
            "tv" => Self::Tv,
            "hellinger" => Self::Hellinger,
            "chi_squared" => Self::ChiSquared,
            _ => {
                let allowed =
                    "\"kl\", \"kl_donsker_varadhan\", \"reverse_kl\", \"js\", \"tv\", \"hellinger\" or \"chi_squared\"";
                return Err(unknown("kinds", name, allowed));
            }
        })
    }
}

/// A lower bound with its uncertainty, and what the divergence is if the log-ratios are true.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Estimate {
    /// The bound.
    pub lower: f64,
    /// Its standard error; NaN with one value of a kind.
    pub standard_error: f64,
    /// The plug-in estimate: the divergence's own definition as a mean over samples.
    pub plug_in: f64,
}

impl Divergence {
    /// `T(l)`, whose mean under p is the first part of the bound.
    fn under_p(self, l: f64) -> f64 {
        match self {
            Self::Kl => 1.0 + l,
            Self::KlDonskerVaradhan => l,
            Self::ReverseKl => -(-l).exp(),
            Self::Js => 0.5 * log_share(l),
            Self::Tv => 0.5 * sign(l),
            Self::Hellinger => -0.5 * (-0.5 * l).exp(),
            Self::ChiSquared => 2.0 * (l.exp() - 1.0),
        }
    }

    /// `-f*(T(l))`, whose mean under q is the second part; for Donsker and Varadhan `e^l`, whose logarithm is taken off.
    fn under_q(self, l: f64) -> f64 {
        match self {
            Self::Kl => -l.exp(),
            Self::KlDonskerVaradhan => l.exp(),
            Self::ReverseKl => 1.0 - l,
            Self::Js => 0.5 * log_share(-l),
            Self::Tv => -0.5 * sign(l),
            Self::Hellinger => 1.0 - 0.5 * (0.5 * l).exp(),
            Self::ChiSquared => 1.0 - (2.0 * l).exp(),
        }
    }

    /// The plug-in estimate's terms under p and under q.
    fn plug_in(self) -> [fn(f64) -> f64; 2] {
        match self {
            Self::Kl | Self::KlDonskerVaradhan => [|l| l, |_| 0.0],
            Self::ReverseKl => [|_| 0.0, |l| -l],
            Self::Js => [|l| 0.5 * log_share(l), |l| 0.5 * log_share(-l)],
            Self::Tv => [|l| (-(-l).exp_m1()).max(0.0), |_| 0.0],
            Self::Hellinger => [|l| -0.5 * (-0.5 * l).exp(), |l| 1.0 - 0.5 * (0.5 * l).exp()],
            Self::ChiSquared => [f64::exp_m1, |_| 0.0],
        }
    }

    fn bound(self, p: &[f64], q: &[f64]) -> Estimate {
        let first = Moments::of(p, |l| self.under_p(l));
        let second = Moments::of(q, |l| self.under_q(l));
        let [term_p, term_q] = self.plug_in();
        let plug_in = Moments::of(p, term_p).mean + Moments::of(q, term_q).mean;
        let (second_mean, second_variance) = match self {
            Self::KlDonskerVaradhan => (-second.mean.ln(), second.variance_of_mean() / second.mean.powi(2)),
            _ => (second.mean, second.variance_of_mean()),
        };
        let standard_error = (first.variance_of_mean() + second_variance).sqrt();
        Estimate { lower: first.mean + second_mean, standard_error, plug_in }
    }
}

/// `ln(2 / (1 + e^-l))`: the log-ratio of p to the mixture of both, at most `ln 2`.
fn log_share(l: f64) -> f64 {
    std::f64::consts::LN_2 - (-l).max(0.0) - (-l.abs()).exp().ln_1p()
}

/// 0 for 0, NaN for NaN.
fn sign(l: f64) -> f64 {
    if l == 0.0 { 0.0 } else { l.signum() }
}

/// Number, mean and sum of squared deviations.
#[derive(Debug, Clone, Copy)]
struct Moments {
    n: f64,
    mean: f64,
    squares: f64,
}

impl Moments {
    fn of(values: &[f64], term: impl Fn(f64) -> f64 + Sync + Send) -> Self {
        let blocks = threads::blocks(values.len(), BLOCK);
        let parts =
            threads::map(blocks.len(), values.len() * 20, |i| Self::of_block(&values[blocks[i].clone()], &term));
        parts.into_iter().reduce(Self::merge).unwrap_or(Self { n: 0.0, mean: f64::NAN, squares: f64::NAN })
    }

    fn of_block(values: &[f64], term: impl Fn(f64) -> f64) -> Self {
        let terms: Vec<f64> = values.iter().map(|value| term(*value)).collect();
        let n = terms.len() as f64;
        let mean = terms.iter().sum::<f64>() / n;
        Self { n, mean, squares: terms.iter().map(|term| (term - mean).powi(2)).sum() }
    }

    /// Chan, Golub and LeVeque (1983).
    fn merge(self, other: Self) -> Self {
        let (n, step) = (self.n + other.n, other.mean - self.mean);
        let squares = self.squares + other.squares + step * step * self.n * other.n / n;
        let mean = if self.mean == other.mean { self.mean } else { self.mean + step * other.n / n };
        Self { n, mean, squares }
    }

    fn variance_of_mean(&self) -> f64 {
        self.squares / (self.n - 1.0) / self.n // 0 / 0 is NaN: one value has no spread
    }
}

/// Bounds of divergences of p from q, from log-ratios `ln(p / q)` of samples of p and of samples of q.
///
/// # Errors
/// [`Error::Empty`] if one of the samples is.
pub fn variational_bounds(p: &[f64], q: &[f64], kinds: &[Divergence]) -> Result<Vec<Estimate>, Error> {
    if p.is_empty() || q.is_empty() {
        return Err(Error::Empty);
    }
    Ok(kinds.iter().map(|kind| kind.bound(p, q)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_distributions_have_divergence_zero() {
        let names = ["kl", "kl_donsker_varadhan", "reverse_kl", "js", "tv", "hellinger", "chi_squared"];
        let kinds: Vec<Divergence> = names.iter().map(|name| name.parse().unwrap()).collect();
        for estimate in variational_bounds(&[0.0; 3], &[0.0; 2], &kinds).unwrap() {
            assert_eq!((estimate.lower, estimate.standard_error, estimate.plug_in), (0.0, 0.0, 0.0));
        }
        assert!(variational_bounds(&[], &[0.0], &kinds).is_err());
    }
}
