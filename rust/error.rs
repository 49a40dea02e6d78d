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
    /// An order of Rényi's divergence that is not above 0 and finite.
    RenyiOrder {
        /// What was passed.
        seen: f64,
    },
    /// A SIMD level that this CPU does not have.
    SimdLevel {
        /// What was asked for.
        seen: String,
        /// Levels that it has.
        available: String,
    },
    /// An offset that does not start at 0, falls, or is not the number of values at the end.
    Offsets {
        /// Its index.
        index: usize,
        /// The offset.
        seen: i64,
        /// Number of values that the offsets cut.
        n_values: usize,
    },
    /// A share that is not above 0 and at most 1.
    Share {
        /// Name of the argument.
        argument: &'static str,
        /// What was passed.
        seen: f64,
    },
    /// A group outside `0..n_groups`.
    GroupOutOfRange {
        /// Row that holds it.
        row: usize,
        /// The group.
        group: i64,
        /// Number of groups.
        n_groups: usize,
    },
    /// More groups than there is memory for.
    GroupCount {
        /// Number of groups.
        n_groups: usize,
    },
    /// A weight below 0.
    NegativeWeight {
        /// Row that holds it.
        row: usize,
        /// The weight.
        weight: f64,
    },
    /// A weighting without a positive, finite sum.
    UnusableWeights {
        /// Row of the draws.
        row: usize,
    },
    /// A label outside the classes.
    LabelOutOfRange {
        /// Row of the table.
        row: usize,
        /// The label.
        label: i64,
        /// Number of classes.
        n_classes: usize,
    },
    /// A row whose listed probabilities and tail do not sum to 1.
    TopAndTail {
        /// Name of the distribution.
        argument: &'static str,
        /// Row of the table.
        row: usize,
        /// What they sum to.
        sum: f64,
    },
    /// A class that a row lists twice.
    DuplicateClass {
        /// Name of the distribution.
        argument: &'static str,
        /// Row of the table.
        row: usize,
        /// The class.
        class: i64,
    },
    /// More of something than the kernel can count.
    TooMany {
        /// Name of the argument.
        argument: &'static str,
        /// What there is too much of.
        what: &'static str,
        /// How many were passed.
        seen: usize,
        /// How many are allowed.
        most: usize,
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
            Self::RenyiOrder { seen } => {
                write!(f, "`alpha` must be above 0 and finite, but it is {seen}; for order 1 take the kind \"kl\"")
            }
            Self::SimdLevel { seen, available } => write!(
                f,
                "VESTIGE_SIMD must be a level that this CPU has ({available}), but it is {seen:?}; change it or unset it"
            ),
            Self::Offsets { index, seen, n_values } => write!(
                f,
                "`offsets` must rise from 0 to the number of values ({n_values}), but offsets[{index}] is {seen}"
            ),
            Self::Share { argument, seen } => {
                write!(f, "`{argument}` must be a share above 0 and at most 1, but it is {seen}")
            }
            Self::GroupOutOfRange { row, group, n_groups } => {
                write!(f, "`groups` must lie in 0..{n_groups}, but row {row} holds {group}")
            }
            Self::GroupCount { n_groups } => {
                write!(f, "`groups` must be codes from 0 upwards, but there is no memory for {n_groups} of them")
            }
            Self::NegativeWeight { row, weight } => {
                write!(f, "`weights` must not be below 0, but row {row} holds {weight}")
            }
            Self::UnusableWeights { row } => {
                write!(f, "`draws` must be non-negative with a positive sum, but row {row} is not; leave it out")
            }
            Self::LabelOutOfRange { row, label, n_classes } => {
                write!(f, "`labels` must lie in 0..{n_classes}, but row {row} holds {label}")
            }
            Self::TopAndTail { argument, row, sum } => write!(
                f,
                "`log_probs_{argument}` and `tail_log_mass_{argument}` must hold all probability of a row, but row {row} \
                 sums to {sum}; the tail is ln(1 - sum of the listed probabilities)"
            ),
            Self::DuplicateClass { argument, row, class } => {
                write!(f, "`ids_{argument}` must list a class once a row, but row {row} lists {class} twice")
            }
            Self::TooMany { argument, what, seen, most } => {
                write!(f, "`{argument}` may hold at most {most} {what}, but it holds {seen}")
            }
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
