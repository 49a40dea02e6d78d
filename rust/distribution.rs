//! What the rows of a table are, and whether they are that.

use std::str::FromStr;

use crate::Error;
use crate::error::unknown;

/// What the numbers of a table are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Space {
    /// Natural-log probabilities, at most 0.
    LogProbs,
    /// Unnormalised scores; a row's softmax is meant.
    Logits,
    /// Probabilities, summing to 1.
    Probs,
}

impl FromStr for Space {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self, Error> {
        match name {
            "log_probs" => Ok(Self::LogProbs),
            "logits" => Ok(Self::Logits),
            "probs" => Ok(Self::Probs),
            _ => Err(unknown("space", name, "\"log_probs\", \"logits\" or \"probs\"")),
        }
    }
}

impl Space {
    /// Fails if a row is not in this space, by its largest logarithm (or its largest negated probability) and the sum of
    /// its probabilities where that is known; it may be off 1 by so much.
    pub(crate) fn check(
        self,
        argument: &'static str,
        row: usize,
        extreme: f64,
        sum: Option<f64>,
        tolerance: f64,
    ) -> Result<(), Error> {
        match self {
            Self::LogProbs if extreme > LOG_PROB_TOLERANCE => {
                Err(Error::PositiveLogProb { argument, row, largest: extreme })
            }
            Self::Probs if extreme > 0.0 => Err(Error::NegativeProbability { argument, row, smallest: -extreme }),
            _ => match sum {
                Some(sum) if (sum - 1.0).abs() > tolerance => Err(Error::NotNormalised { argument, row, sum }),
                _ => Ok(()),
            },
        }
    }
}

/// How far above 0 rounding may leave a log-probability.
pub(crate) const LOG_PROB_TOLERANCE: f64 = 1e-4;
