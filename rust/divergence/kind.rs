//! Which divergences there are, and the sums that they take.

use crate::Error;
use crate::chunk::{self, Tile};
use crate::error::unknown;
use crate::simd::LANES;
use crate::table::Float;

/// A divergence, or an entropy that one is made of.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Kind {
    /// Kullback–Leibler, `Σ p ln(p / q)`: 0 to infinity, not symmetric; infinite where `q` is 0 and `p` is not.
    Kl,
    /// The same of the tables in turn, `Σ q ln(q / p)`.
    ReverseKl,
    /// Jensen–Shannon, `½ KL(p‖m) + ½ KL(q‖m)` with `m = ½(p + q)`: 0 to `ln 2`, symmetric. Lin (1991).
    Js,
    /// Total variation, `½ Σ |p - q|`: 0 to 1, symmetric.
    Tv,
    /// The square of Hellinger's distance, `½ Σ (√p - √q)²`: 0 to 1, symmetric.
    Hellinger,
    /// Pearson's, `Σ (p - q)² / q`: 0 to infinity, not symmetric; infinite where `q` is 0 and `p` is not.
    ChiSquared,
    /// Rényi's of an order above 0, `ln(Σ p^α q^(1 - α)) / (α - 1)`: 0 to infinity; Kullback–Leibler at `α = 1`.
    Renyi(f64),
    /// `-Σ p ln q`: 0 to infinity.
    CrossEntropy,
    /// `-Σ p ln p`: 0 to `ln n_classes`.
    Entropy,
}

impl Kind {
    /// A kind by its name; `order` is that of Rényi's.
    ///
    /// # Errors
    /// [`Error::UnknownChoice`] if there is no such kind; [`Error::RenyiOrder`] if the order is not above 0 and finite.
    pub fn named(name: &str, order: f64) -> Result<Self, Error> {
        match name {
            "kl" => Ok(Self::Kl),
            "reverse_kl" => Ok(Self::ReverseKl),
            "js" => Ok(Self::Js),
            "tv" => Ok(Self::Tv),
            "squared_hellinger" => Ok(Self::Hellinger),
            "chi_squared" => Ok(Self::ChiSquared),
            "renyi" if order == 1.0 => Ok(Self::Kl),
            "renyi" if order > 0.0 && order.is_finite() => Ok(Self::Renyi(order)),
            "renyi" => Err(Error::RenyiOrder { seen: order }),
            "cross_entropy" => Ok(Self::CrossEntropy),
            "entropy" => Ok(Self::Entropy),
            _ => Err(unknown("kinds", name, NAMES)),
        }
    }

    pub(super) fn term(self) -> Term {
        match self {
            Self::Kl => Term::Kl,
            Self::ReverseKl => Term::ReverseKl,
            Self::Js => Term::Js,
            Self::Tv => Term::Tv,
            Self::Hellinger => Term::Hellinger,
            Self::ChiSquared => Term::ChiSquared,
            Self::Renyi(_) => Term::Renyi,
            Self::CrossEntropy => Term::CrossEntropy,
            Self::Entropy => Term::Entropy,
        }
    }
}

const NAMES: &str = "\"kl\", \"reverse_kl\", \"js\", \"tv\", \"squared_hellinger\", \"chi_squared\", \"renyi\", \"cross_entropy\" or \
                     \"entropy\"";

/// What is summed over classes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Term {
    /// `p ln(p / q) + q - p`: Bregman's form, in which no part is negative.
    Kl,
    /// `q ln(q / p) + p - q`.
    ReverseKl,
    /// `p ln(p / m) + q ln(q / m)`.
    Js,
    /// `|p - q|`.
    Tv,
    /// `(√p - √q)²`.
    Hellinger,
    /// `(p - q)² / q`.
    ChiSquared,
    /// `p^α q^(1 - α) - α p - (1 - α) q`.
    Renyi,
    /// `-p ln q`.
    CrossEntropy,
    /// `-p ln p`.
    Entropy,
    /// `p + q`.
    Both,
    /// `p - q`.
    Surplus,
}

const N_TERMS: usize = 11;

/// A set of terms.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Terms(u16);

impl Terms {
    pub(super) fn of(terms: &[Term]) -> Self {
        Self(terms.iter().fold(0, |bits, term| bits | 1 << *term as u16))
    }

    pub(super) fn with(self, terms: &[Term]) -> Self {
        Self(self.0 | Self::of(terms).0)
    }

    #[inline(always)]
    pub(super) fn have(self, term: Term) -> bool {
        self.0 >> term as u16 & 1 == 1
    }
}

/// The sum of each term, lane by lane, and the largest logarithm of either table.
#[derive(Clone)]
pub(super) struct Sums {
    terms: [[f64; LANES]; N_TERMS],
    pub(super) top: [f64; LANES],
}

impl Sums {
    pub(super) const EMPTY: Self = Self { terms: [[0.0; LANES]; N_TERMS], top: [f64::NEG_INFINITY; LANES] };

    #[inline(always)]
    pub(super) fn term(&mut self, term: Term) -> &mut [f64; LANES] {
        &mut self.terms[term as usize]
    }

    /// Adds the sums of a later part of the same rows.
    pub(super) fn merge(&mut self, other: &Self) {
        for (sums, others) in self.terms.iter_mut().zip(&other.terms) {
            for lane in 0..LANES {
                sums[lane] += others[lane];
            }
        }
        for lane in 0..LANES {
            self.top[lane] = self.top[lane].max(other.top[lane]);
        }
    }

    /// Sums of those terms over the row of a lane.
    pub(super) fn of_row<F: Float>(&self, tile: &Tile<'_, F>, lane: usize, terms: Terms) -> RowSums {
        if tile.is_short() {
            return RowSums { terms: self.terms.each_ref().map(|sums| sums[lane]), top: self.top[lane] };
        }
        let total = |i: usize| if terms.0 >> i & 1 == 1 { chunk::total(&self.terms[i]) } else { 0.0 };
        RowSums { terms: std::array::from_fn(total), top: tile.largest_of_row(&self.top)[0] }
    }
}

/// The sums of one pair of rows.
pub(super) struct RowSums {
    terms: [f64; N_TERMS],
    pub(super) top: f64,
}

impl RowSums {
    pub(super) fn term(&self, term: Term) -> f64 {
        self.terms[term as usize]
    }

    /// Sums of the probabilities of `p` and `q`.
    pub(super) fn totals(&self) -> [f64; 2] {
        let (both, surplus) = (self.term(Term::Both), self.term(Term::Surplus));
        [0.5 * (both + surplus), 0.5 * (both - surplus)]
    }

    /// A divergence of the rows. `normalised`: whether both are known to sum to 1 but for rounding, which is then left out.
    pub(super) fn value(&self, kind: Kind, normalised: bool) -> f64 {
        let surplus = if normalised { 0.0 } else { self.term(Term::Surplus) };
        let sum = self.term(kind.term());
        match kind {
            Kind::Kl => (sum + surplus).max(0.0), // rounding can leave -1e-17 for nearly equal rows
            Kind::ReverseKl => (sum - surplus).max(0.0),
            Kind::Js => (0.5 * sum).clamp(0.0, std::f64::consts::LN_2),
            Kind::Tv | Kind::Hellinger => (0.5 * sum).min(1.0),
            Kind::Renyi(order) => (sum.max(-1.0).ln_1p() / (order - 1.0)).max(0.0),
            Kind::CrossEntropy | Kind::Entropy => sum.max(0.0), // so can a log-probability a rounding above 0
            Kind::ChiSquared => sum,
        }
    }
}
