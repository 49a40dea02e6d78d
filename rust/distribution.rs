//! Rows of a table as distributions: read block by block into `f64`, and checked on the way.

use std::str::FromStr;

use crate::error::unknown;
use crate::lanes::{self, LANES};
use crate::math::{exp, ln};
use crate::simd::Level;
use crate::tile::{self, BLOCK};
use crate::{Error, Real};

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
    /// Fails if a row is not in this space, by its largest logarithm ([`Block::extreme`]) and the sum of its probabilities
    /// where that is known.
    pub(crate) fn check<T: Real>(
        self,
        argument: &'static str,
        row: usize,
        extreme: f64,
        sum: Option<f64>,
    ) -> Result<(), Error> {
        self.check_row(argument, row, extreme, sum, T::SUM_TOLERANCE)
    }

    /// The same for tables whose sums may be off 1 by so much.
    pub(crate) fn check_row(
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

/// One block of a tile (see [`crate::tile`]): probabilities and their logarithms.
pub(crate) struct Block {
    pub(crate) log: [f64; BLOCK],
    pub(crate) prob: [f64; BLOCK],
    space: Space,
    shift: [f64; LANES],
    /// Largest logarithm so far, or largest negated probability in [`Space::Probs`].
    pub(crate) extreme: [f64; LANES],
}

impl Block {
    #[inline(always)]
    pub(crate) fn new(space: Space) -> Self {
        let extreme = [f64::NEG_INFINITY; LANES];
        Self { log: [0.0; BLOCK], prob: [0.0; BLOCK], space, shift: [0.0; LANES], extreme }
    }

    /// Makes ready for another tile; `shift` is the log-sum-exp of each lane's row if it holds logits, else 0.
    #[inline(always)]
    pub(crate) fn start(&mut self, shift: [f64; LANES]) {
        self.shift = shift;
        self.extreme = [f64::NEG_INFINITY; LANES];
    }

    /// Reads up to [`BLOCK`] values and fills up to whole lanes with probability 0; says how many there are then.
    /// Probabilities are only made of logarithms if `PROB`.
    #[inline(always)]
    pub(crate) fn read<T: Real, const PROB: bool, L: Level>(&mut self, values: &[T]) -> usize {
        let n = values.len().next_multiple_of(LANES);
        if self.space == Space::Probs {
            self.read_probs::<T, L>(values, n);
        } else {
            self.read_logs(values, n);
            if PROB {
                self.prob[..n].iter_mut().zip(&self.log[..n]).for_each(|(prob, log)| *prob = exp::<L>(*log));
            }
        }
        n
    }

    #[inline(always)]
    fn read_logs<T: Real>(&mut self, values: &[T], n: usize) {
        let shift = self.shift;
        tile::by_lane(&mut self.log, values, |lane, value| value.widen() - shift[lane]);
        self.log[values.len()..n].fill(f64::NEG_INFINITY);
        lanes::raise(&mut self.extreme, &self.log[..n]);
    }

    /// The logarithm is that of the size: a probability below 0 is an error that `check` reports, not a NaN.
    #[inline(always)]
    fn read_probs<T: Real, L: Level>(&mut self, values: &[T], n: usize) {
        self.log[..n].iter_mut().zip(values).for_each(|(log, value)| *log = -value.widen());
        self.log[values.len()..n].fill(-0.0);
        lanes::raise(&mut self.extreme, &self.log[..n]);
        for (prob, log) in self.prob[..n].iter_mut().zip(&mut self.log[..n]) {
            *prob = -*log;
            *log = ln::<L>(prob.abs());
        }
    }
}
