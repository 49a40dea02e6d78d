//! What can be wrong with an argument, one sentence each.

use std::fmt;

/// An argument that a kernel refuses.
#[derive(Debug, Clone, PartialEq)]
pub enum Error {
    /// Two tables that must match in shape do not.
    ShapeMismatch {
        /// Shape of the first.
        left: (usize, usize),
        /// Shape of the second.
        right: (usize, usize),
    },
    /// Two vectors that must match in length do not.
    LengthMismatch {
        /// Length of the first.
        left: usize,
        /// Length of the second.
        right: usize,
    },
    /// A table or vector without elements.
    Empty,
    /// A log-probability above 0.
    PositiveLogProb {
        /// Name of the argument.
        argument: &'static str,
        /// Row of the table.
        row: usize,
        /// Largest value of that row.
        largest: f64,
    },
    /// A probability below 0.
    NegativeProbability {
        /// Name of the argument.
        argument: &'static str,
        /// Row of the table.
        row: usize,
        /// Smallest value of that row.
        smallest: f64,
    },
    /// Probabilities that do not sum to 1.
    NotNormalised {
        /// Name of the argument.
        argument: &'static str,
        /// Row of the table.
        row: usize,
        /// Sum of the row's probabilities.
        sum: f64,
    },
    /// A token id outside the vocabulary.
    TokenOutOfRange {
        /// Row of the table.
        row: usize,
        /// The id.
        token: i64,
        /// Size of the vocabulary.
        n_classes: usize,
    },
    /// A name that is not one of the choices.
    UnknownChoice {
        /// Name of the argument.
        argument: &'static str,
        /// What was passed.
        seen: String,
        /// What is allowed.
        allowed: &'static str,
    },
    /// A statistic that got another number of samples than it takes.
    SampleCount {
        /// Samples that were passed.
        seen: usize,
        /// Samples that the statistic takes.
        wanted: usize,
    },
    /// A cluster code outside `0..n_units`.
    UnitOutOfRange {
        /// The code.
        unit: u32,
        /// Number of units.
        n_units: usize,
    },
    /// A SIMD level that this CPU does not have.
    SimdLevel {
        /// What was asked for.
        seen: String,
        /// Levels that it has.
        available: String,
    },
    /// A number of threads that is not a positive integer.
    ThreadCount {
        /// What was passed.
        seen: usize,
    },
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ShapeMismatch { left, right } => {
                write!(f, "the two tables must have one shape, but they are {left:?} and {right:?}")
            }
            Self::LengthMismatch { left, right } => {
                write!(f, "the two vectors must have one length, but they have {left} and {right} elements")
            }
            Self::Empty => write!(f, "at least one element is needed, but there is none"),
            Self::PositiveLogProb { argument, row, largest } => write!(
                f,
                "`{argument}` must hold log-probabilities (<= 0), but the largest value of row {row} is {largest}; \
                 apply log_softmax first, or pass space=\"logits\""
            ),
            Self::NegativeProbability { argument, row, smallest } => write!(
                f,
                "`{argument}` must hold probabilities (>= 0), but the smallest value of row {row} is {smallest}; \
                 apply softmax first, or pass the space that it is in"
            ),
            Self::NotNormalised { argument, row, sum } => write!(
                f,
                "`{argument}` must hold distributions, but the probabilities of row {row} sum to {sum}; \
                 normalise them, or pass unnormalised scores with space=\"logits\""
            ),
            Self::TokenOutOfRange { row, token, n_classes } => write!(
                f,
                "`token_ids` must lie in 0..{n_classes} (or be -100 to be ignored), but row {row} holds {token}"
            ),
            Self::UnknownChoice { argument, seen, allowed } => {
                write!(f, "`{argument}` must be {allowed}, but it is {seen:?}")
            }
            Self::SampleCount { seen, wanted } => {
                write!(f, "`data` must hold {wanted} array(s) for this statistic, but it holds {seen}")
            }
            Self::UnitOutOfRange { unit, n_units } => {
                write!(f, "a cluster code must lie in 0..{n_units}, but there is {unit}")
            }
            Self::SimdLevel { seen, available } => write!(
                f,
                "VESTIGE_SIMD must be a level that this CPU has ({available}), but it is {seen:?}; change it or unset it"
            ),
            Self::ThreadCount { seen } => {
                write!(f, "the number of threads must be a positive integer, but it is {seen}")
            }
        }
    }
}

/// The error for a name that is not one of the choices.
pub(crate) fn unknown(argument: &'static str, seen: &str, allowed: &'static str) -> Error {
    Error::UnknownChoice { argument, seen: seen.to_owned(), allowed }
}

impl std::error::Error for Error {}
