//! Likelihoods of rows of logits, in nats.

mod entropy;
mod moments;
mod terms;

use std::str::FromStr;

use crate::error::unknown;
use crate::{Error, Real, Table};
pub use entropy::entropy;
use moments::{RowSums, Targets, row_sums, row_sums_without};

/// Token id that marks a row without a target, as in PyTorch's losses.
pub const IGNORED_TOKEN: i64 = -100;

/// One number of a row of logits and its token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Log-probability of the token.
    TokenLogProb,
    /// `ln Σ exp(logits)`.
    Logsumexp,
    /// `-Σ p ln p`.
    Entropy,
    /// 1 + number of classes that are likelier than the token.
    Rank,
    /// 1 if the token is the first of the likeliest classes, else 0.
    ArgmaxHit,
    /// `Σ p ln p`.
    LogProbMean,
    /// `Σ p (ln p)² - (Σ p ln p)²`.
    LogProbVariance,
}

impl Kind {
    fn needs_moments(self) -> bool {
        matches!(self, Self::Entropy | Self::LogProbMean | Self::LogProbVariance)
    }

    fn needs_places(self) -> bool {
        matches!(self, Self::Rank | Self::ArgmaxHit)
    }
}

impl FromStr for Kind {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self, Error> {
        match name {
            "token_log_prob" => Ok(Self::TokenLogProb),
            "logsumexp" => Ok(Self::Logsumexp),
            "entropy" => Ok(Self::Entropy),
            "rank" => Ok(Self::Rank),
            "argmax_hit" => Ok(Self::ArgmaxHit),
            "log_prob_mean" => Ok(Self::LogProbMean),
            "log_prob_variance" => Ok(Self::LogProbVariance),
            _ => Err(unknown("kinds", name, KINDS)),
        }
    }
}

const KINDS: &str = "among \"token_log_prob\", \"logsumexp\", \"entropy\", \"rank\", \"argmax_hit\", \"log_prob_mean\", \
                     \"log_prob_variance\"";

/// `ln Σ exp(logits)` of each row: NaN if a value is NaN, infinite if one is, `-inf` if all are `-inf`.
pub fn logsumexp(logits: Table<'_>) -> Vec<f64> {
    row_sums::<1>(logits, None).iter().enumerate().map(|(row, sums)| row_logsumexp(&logits, row, sums)).collect()
}

/// The same of each row without one of its classes, which must be there.
pub(crate) fn logsumexp_without(logits: Table<'_>, classes: &[i64]) -> Vec<f64> {
    let sums = row_sums_without(logits, classes);
    sums.iter().enumerate().map(|(row, sums)| row_logsumexp(&logits, row, sums)).collect()
}

fn row_logsumexp(logits: &Table<'_>, row: usize, sums: &RowSums) -> f64 {
    if sums.largest.is_finite() {
        sums.largest + sums.log_sum
    } else if has_nan(logits, row) {
        f64::NAN
    } else {
        sums.largest
    }
}

/// Log-probability of each row's token; NaN where the token is [`IGNORED_TOKEN`].
///
/// # Errors
/// Those of [`token_statistics`].
pub fn token_log_probs(logits: Table<'_>, tokens: &[i64]) -> Result<Vec<f64>, Error> {
    Ok(token_statistics(logits, tokens, &[Kind::TokenLogProb])?.remove(0))
}

/// The numbers of `kinds` of each row; NaN where the token is [`IGNORED_TOKEN`] or the row has no probabilities.
///
/// # Errors
/// [`Error::LengthMismatch`] if there is not one token a row; [`Error::TokenOutOfRange`] for the first that is no class.
pub fn token_statistics(logits: Table<'_>, tokens: &[i64], kinds: &[Kind]) -> Result<Vec<Vec<f64>>, Error> {
    let targets = target_logits(&logits, tokens)?;
    let wanted = Targets { logits: &targets, places: kinds.iter().any(|kind| kind.needs_places()) };
    let sums = if kinds.iter().any(|kind| kind.needs_moments()) {
        row_sums::<3>(logits, Some(wanted))
    } else {
        row_sums::<1>(logits, Some(wanted))
    };
    let target = |row: usize| Target { class: tokens[row] as usize, logit: targets[row] };
    let number = |kind: Kind| {
        let of_row = |(row, sums): (usize, &RowSums)| match tokens[row] {
            IGNORED_TOKEN => f64::NAN,
            _ => statistic(kind, &logits, row, sums, target(row)),
        };
        sums.iter().enumerate().map(of_row).collect()
    };
    Ok(kinds.iter().map(|kind| number(*kind)).collect())
}

/// The logit of each row's token; NaN where it is ignored.
fn target_logits(logits: &Table<'_>, tokens: &[i64]) -> Result<Vec<f64>, Error> {
    let (n_rows, n_classes) = (logits.n_rows(), logits.n_classes());
    if tokens.len() != n_rows {
        return Err(Error::LengthMismatch { left: n_rows, right: tokens.len() });
    }
    let target = |(row, token): (usize, &i64)| match usize::try_from(*token) {
        Ok(class) if class < n_classes => Ok(logit_of(logits, row, class)),
        _ if *token == IGNORED_TOKEN => Ok(f64::NAN),
        _ => Err(Error::TokenOutOfRange { row, token: *token, n_classes }),
    };
    tokens.iter().enumerate().map(target).collect()
}

struct Target {
    class: usize,
    logit: f64,
}

fn statistic(kind: Kind, logits: &Table<'_>, row: usize, sums: &RowSums, target: Target) -> f64 {
    match kind {
        Kind::Logsumexp => row_logsumexp(logits, row, sums),
        _ if !sums.largest.is_finite() || sums.log_sum.is_nan() => f64::NAN,
        Kind::TokenLogProb => (target.logit - sums.largest) - sums.log_sum,
        Kind::Entropy => entropy::of_logits(sums),
        Kind::LogProbMean => (sums.mean() - sums.log_sum).min(0.0),
        Kind::LogProbVariance => sums.variance(),
        Kind::Rank => sums.above as f64 + 1.0,
        Kind::ArgmaxHit => {
            let first = sums.above == 0 && (sums.equal == 1 || is_first(logits, row, &target));
            f64::from(u8::from(first))
        }
    }
}

impl RowSums {
    /// Mean distance from the largest value.
    fn mean(&self) -> f64 {
        self.sums[1] / self.sums[0]
    }

    fn variance(&self) -> f64 {
        let mean = self.mean();
        (self.sums[2] / self.sums[0] - mean * mean).max(0.0)
    }
}

/// `body` with the rows of whatever format.
macro_rules! with_rows {
    ($table:expr, $rows:ident => $body:expr) => {
        match $table {
            Table::Double($rows) => $body,
            Table::Single($rows) => $body,
            Table::Half($rows) => $body,
            Table::Brain($rows) => $body,
        }
    };
}

/// One logit.
pub(crate) fn logit_of(table: &Table<'_>, row: usize, class: usize) -> f64 {
    with_rows!(table, rows => rows.row(row)[class].widen())
}

fn has_nan(table: &Table<'_>, row: usize) -> bool {
    with_rows!(table, rows => rows.row(row).iter().any(|value| value.widen().is_nan()))
}

/// Whether no class before the target's has its logit.
fn is_first(table: &Table<'_>, row: usize, target: &Target) -> bool {
    with_rows!(table, rows => rows.row(row)[..target.class].iter().all(|value| value.widen() != target.logit))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Rows;

    fn table(values: &[f64]) -> Table<'_> {
        Rows::new(values, 1, values.len(), values.len()).unwrap().into()
    }

    #[test]
    fn infinities_are_kept() {
        assert_eq!(logsumexp(table(&[f64::NEG_INFINITY; 3])), [f64::NEG_INFINITY]);
        assert_eq!(logsumexp(table(&[f64::INFINITY, 0.0])), [f64::INFINITY]);
        assert!(logsumexp(table(&[f64::INFINITY, f64::NAN]))[0].is_nan());
        assert_eq!(logsumexp(table(&[f64::NEG_INFINITY, 3.0])), [3.0]);
    }

    #[test]
    fn a_token_outside_the_vocabulary_is_named() {
        let logits = table(&[0.0, 0.0]);
        assert_eq!(token_log_probs(logits, &[2]), Err(Error::TokenOutOfRange { row: 0, token: 2, n_classes: 2 }));
        assert!(token_log_probs(logits, &[IGNORED_TOKEN]).unwrap()[0].is_nan());
    }

    #[test]
    fn a_row_of_several_segments_is_as_one() {
        let mut values = (0..300_000).map(|i| f64::from(i % 1000) / 100.0).collect::<Vec<_>>();
        values[299_000] = 20.0;
        let expected = 20.0 + values.iter().map(|x| (x - 20.0).exp()).sum::<f64>().ln();
        assert!((logsumexp(table(&values))[0] - expected).abs() < 1e-12);
        let places = token_statistics(table(&values), &[5], &[Kind::Rank, Kind::ArgmaxHit]).unwrap();
        let above = values.iter().filter(|x| **x > values[5]).count();
        assert_eq!(places, [[above as f64 + 1.0], [0.0]]);
    }
}
