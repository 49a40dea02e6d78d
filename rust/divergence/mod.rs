//! Divergences between matching rows of two tables, in nats.
//!
//! A table has shape `(n_rows, n_classes)` and holds log-probabilities, logits or probabilities ([`Space`]); sums are
//! kept in `f64` whatever the input precision. `-inf` is probability 0. A row with a NaN gives NaN, for that row only.

mod narrow;
mod wide;

use std::marker::PhantomData;
use std::ops::Range;
use std::str::FromStr;

use crate::error::unknown;
use crate::lanes::LANES;
use crate::likelihood::shift_of;
use crate::simd::{self, Kernel, Level};
use crate::tile::{self, BLOCK, Tile};
use crate::{Error, Real, Rows, threads};
use narrow::Narrow;
use wide::Wide;

pub use crate::distribution::Space;

/// A divergence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Kullback–Leibler, `Σ p ln(p / q)`: 0 to infinity, not symmetric; infinite where `q` is 0 and `p` is not.
    Kl,
    /// Jensen–Shannon, `½ KL(p‖m) + ½ KL(q‖m)` with `m = ½(p + q)`: 0 to `ln 2`, symmetric. Lin (1991).
    Js,
    /// Total variation, `½ Σ |p - q|`: 0 to 1, symmetric.
    Tv,
}

impl FromStr for Kind {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self, Error> {
        match name {
            "kl" => Ok(Self::Kl),
            "js" => Ok(Self::Js),
            "tv" => Ok(Self::Tv),
            _ => Err(unknown("kinds", name, "\"kl\", \"js\" or \"tv\"")),
        }
    }
}

/// The divergences asked for, one vector of `n_rows` values for each of `kinds`, in one pass over memory.
///
/// # Errors
/// [`Error::ShapeMismatch`] if `p` and `q` differ in shape; [`Error::PositiveLogProb`], [`Error::NegativeProbability`] or
/// [`Error::NotNormalised`] for the first row that is not in `space`. Sums of `q` are seen only where its
/// probabilities are needed, so not for [`Kind::Kl`] of log-probabilities alone.
pub fn divergences<T: Real>(p: Rows<T>, q: Rows<T>, kinds: &[Kind], space: Space) -> Result<Vec<Vec<f64>>, Error> {
    p.same_shape(&q)?;
    let rows = match (kinds.contains(&Kind::Js), kinds.contains(&Kind::Tv)) {
        (true, _) => by_row::<T, true, true>(p, q, space),
        (false, true) => by_row::<T, true, false>(p, q, space),
        (false, false) => by_row::<T, false, false>(p, q, space),
    }?;
    Ok(kinds.iter().map(|kind| rows.iter().map(|row| row.value(*kind)).collect()).collect())
}

fn by_row<T: Real, const Q: bool, const JS: bool>(
    p: Rows<T>,
    q: Rows<T>,
    space: Space,
) -> Result<Vec<RowDivergences>, Error> {
    threads::map_rows((p.n_rows(), p.n_classes()), 4, |rows| simd::widest(Pairs::<T, Q, JS> { p, q, space, rows }))
}

/// Pairs of rows. `Q`: whether the probabilities of `q` are needed; `JS`: whether the Jensen–Shannon sum is.
struct Pairs<'a, T, const Q: bool, const JS: bool> {
    p: Rows<'a, T>,
    q: Rows<'a, T>,
    space: Space,
    rows: Range<usize>,
}

/// The divergences of one pair of rows.
struct RowDivergences {
    kl: f64,
    js: f64,
    tv: f64,
}

impl RowDivergences {
    const UNDEFINED: Self = Self { kl: f64::NAN, js: f64::NAN, tv: f64::NAN };

    fn value(&self, kind: Kind) -> f64 {
        match kind {
            Kind::Kl => self.kl,
            Kind::Js => self.js,
            Kind::Tv => self.tv,
        }
    }
}

impl<T: Real, const Q: bool, const JS: bool> Kernel for Pairs<'_, T, Q, JS> {
    type Output = Result<Vec<RowDivergences>, Error>;

    #[inline(always)]
    fn run<L: Level>(self) -> Self::Output {
        let mut reader = Reader::<T, Q, JS, L>::new(self.p, self.q, self.space);
        let mut values = Vec::with_capacity(self.rows.len());
        for rows in tile::groups(self.rows, Tile::n_rows(&self.p)) {
            reader.append(rows, &mut values)?;
        }
        Ok(values)
    }
}

/// Matching tiles of both tables, and buffers of the block that is being read.
struct Reader<'a, T, const Q: bool, const JS: bool, L: Level> {
    p: Tile<'a, T>,
    q: Tile<'a, T>,
    shifts: Shifts,
    space: Space,
    wide: Wide,
    narrow: Narrow,
    level: PhantomData<L>,
}

/// What to take off the values of each lane to make them logarithms of probabilities.
#[derive(Default)]
struct Shifts {
    p: [f64; LANES],
    q: [f64; LANES],
}

/// What one pass over pairs of rows adds up.
#[derive(Default)]
struct Sums {
    /// `p ln(p / q)`.
    kl: [f64; LANES],
    js: [f64; LANES],
    tv: [f64; LANES],
    p: [f64; LANES],
    q: [f64; LANES],
    nans: [f64; LANES],
}

impl<'a, T: Real, const Q: bool, const JS: bool, L: Level> Reader<'a, T, Q, JS, L> {
    #[inline(always)]
    fn new(p: Rows<'a, T>, q: Rows<'a, T>, space: Space) -> Self {
        let (wide, narrow) = (Wide::new(space), Narrow::new());
        Self { p: Tile::new(p), q: Tile::new(q), shifts: Shifts::default(), space, wide, narrow, level: PhantomData }
    }

    /// Errors and doubts are left to `f64`, which names the argument and the number.
    #[inline(always)]
    fn append(&mut self, rows: Range<usize>, values: &mut Vec<RowDivergences>) -> Result<(), Error> {
        self.p.go_to(&rows);
        self.q.go_to(&rows);
        self.shifts.p = shift_of::<T, L>(&mut self.p, self.space);
        self.shifts.q = shift_of::<T, L>(&mut self.q, self.space);
        let before = values.len();
        if T::IS_SINGLE && self.space != Space::Probs {
            let mut sums = self.pass::<true>();
            self.refine(&mut sums);
            if self.append_rows::<true>(&rows, &sums, values).is_ok() {
                return Ok(());
            }
            values.truncate(before);
        }
        let sums = self.pass::<false>();
        self.append_rows::<false>(&rows, &sums, values)
    }

    /// Takes rows from `f64` where `f32` has too few digits: log-probabilities leave `Σ (p - q)` in the sum of Kullback and
    /// Leibler, whose rounding grows with `Σ |p - q|`, which for nearly equal rows is far larger than the sum.
    #[inline(always)]
    fn refine(&mut self, sums: &mut Sums) {
        if self.space != Space::LogProbs {
            return;
        }
        let of_rows = sums.of_rows(&self.p);
        let few = std::array::from_fn::<_, LANES, _>(|lane| of_rows.tv[lane] > FEW_DIGITS * of_rows.kl[lane]);
        if few.contains(&true) {
            let exact = self.pass::<false>();
            sums.clear_where(|lane| few[lane]);
            sums.add_where(&exact, |lane| few[lane]);
        }
    }

    /// One pass over the tiles; in `f32` if `NARROW`, but for lanes of a block with a number that is not finite: what
    /// a row gets does not depend on the rows beside it.
    #[inline(always)]
    fn pass<const NARROW: bool>(&mut self) -> Sums {
        let mut sums = Sums::default();
        self.wide.start(&self.shifts);
        for start in (0..self.p.len()).step_by(BLOCK) {
            let (p, q) = (self.p.block(start), self.q.block(start));
            if !NARROW {
                self.wide.add::<T, Q, JS, L>(p, q, &mut sums);
                continue;
            }
            let finite = self.narrow.read::<T, JS, L>(p, q, &self.shifts);
            self.narrow.add_to::<JS>(&mut sums, &mut self.wide);
            if finite != [true; LANES] {
                let mut exact = Sums::default();
                self.wide.add::<T, true, JS, L>(p, q, &mut exact);
                sums.add_where(&exact, |lane| !finite[lane]);
            }
        }
        sums
    }

    #[inline(always)]
    fn append_rows<const NARROW: bool>(
        &self,
        rows: &Range<usize>,
        sums: &Sums,
        values: &mut Vec<RowDivergences>,
    ) -> Result<(), Error> {
        let sums = sums.of_rows(&self.p);
        let extremes = self.wide.extremes().map(|extreme| self.p.largest_of_row(extreme));
        for (lane, row) in rows.clone().enumerate() {
            if sums.nans[lane] > 0.0 {
                values.push(RowDivergences::UNDEFINED);
                continue;
            }
            self.space.check::<T>("p", row, extremes[0][lane], Some(sums.p[lane]))?;
            let sum_of_q = (Q || self.space == Space::Probs).then_some(sums.q[lane]);
            self.space.check::<T>("q", row, extremes[1][lane], sum_of_q)?;
            values.push(sums.divergences(lane, NARROW && self.space == Space::Logits));
        }
        Ok(())
    }
}

/// `Σ |p - q|` over the Kullback-Leibler sum from which on `f32` is too coarse: its rounding is 6e-8 of the former, and
/// 1e-4 of the latter is allowed.
const FEW_DIGITS: f64 = 500.0;

impl Sums {
    fn terms(&mut self) -> [&mut [f64; LANES]; 6] {
        [&mut self.kl, &mut self.js, &mut self.tv, &mut self.p, &mut self.q, &mut self.nans]
    }

    #[cold]
    fn clear_where(&mut self, lanes: impl Fn(usize) -> bool) {
        for term in self.terms() {
            (0..LANES).filter(|lane| lanes(*lane)).for_each(|lane| term[lane] = 0.0);
        }
    }

    #[cold]
    fn add_where(&mut self, other: &Self, lanes: impl Fn(usize) -> bool) {
        let others = [&other.kl, &other.js, &other.tv, &other.p, &other.q, &other.nans];
        for (term, other) in self.terms().into_iter().zip(others) {
            (0..LANES).filter(|lane| lanes(*lane)).for_each(|lane| term[lane] += other[lane]);
        }
    }

    #[inline(always)]
    fn of_rows<T: Real>(&self, tile: &Tile<'_, T>) -> Self {
        let over_row = |sums| tile.over_row(sums);
        Self {
            kl: over_row(&self.kl),
            js: over_row(&self.js),
            tv: over_row(&self.tv),
            p: over_row(&self.p),
            q: over_row(&self.q),
            nans: over_row(&self.nans),
        }
    }

    /// `balanced`: with `Σ (q - p)` added to the Kullback-Leibler sum, which is 0 but for rounding of the normalisers,
    /// and takes that rounding's first order away (Bregman's form).
    #[inline(always)]
    fn divergences(&self, lane: usize, balanced: bool) -> RowDivergences {
        let balance = if balanced { self.q[lane] - self.p[lane] } else { 0.0 };
        let kl = (self.kl[lane] + balance).max(0.0); // rounding can leave -1e-17 for nearly equal rows
        let js = (0.5 * self.js[lane]).clamp(0.0, std::f64::consts::LN_2);
        RowDivergences { kl, js, tv: (0.5 * self.tv[lane]).min(1.0) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(p: &[f64], q: &[f64], kind: Kind, space: Space) -> Result<f64, Error> {
        let rows = |x| Rows::new(x, 1, p.len(), p.len());
        Ok(divergences(rows(p)?, rows(q)?, &[kind], space)?[0][0])
    }

    #[test]
    fn a_class_that_only_p_has_makes_kl_infinite_and_js_finite() {
        let (p, q) = ([0.5, 0.5], [1.0, 0.0]);
        assert_eq!(one(&p, &q, Kind::Kl, Space::Probs), Ok(f64::INFINITY));
        assert!((one(&q, &p, Kind::Kl, Space::Probs).unwrap() - 2f64.ln()).abs() < 1e-15);
        assert!((one(&p, &q, Kind::Tv, Space::Probs).unwrap() - 0.5).abs() < 1e-15);
    }

    #[test]
    fn disjoint_rows_are_ln_2_apart_and_equal_ones_0() {
        let (p, q) = ([0.0, f64::NEG_INFINITY], [f64::NEG_INFINITY, 0.0]);
        assert_eq!(one(&p, &q, Kind::Js, Space::LogProbs), Ok(2f64.ln()));
        assert_eq!(one(&p, &p, Kind::Js, Space::LogProbs), Ok(0.0));
    }

    #[test]
    fn wider_registers_change_the_last_digits_at_most() {
        let values = |phase: f64| (0..999).map(|i| (phase + f64::from(i)).sin() * 9.0).collect::<Vec<_>>();
        let (p, q) = (values(0.0), values(0.5));
        let rows = |x| Rows::new(x, 3, 333, 333).unwrap();
        let pairs = || Pairs::<f64, true, true> { p: rows(&p), q: rows(&q), space: Space::Logits, rows: 0..3 };
        let (narrow, wide) = (pairs().run::<simd::Baseline>().unwrap(), simd::widest(pairs()).unwrap());
        for (a, b) in narrow.iter().zip(&wide) {
            for (a, b) in [(a.kl, b.kl), (a.js, b.js), (a.tv, b.tv)] {
                assert!((a - b).abs() <= 1e-13 * a, "{a} is not {b}");
            }
        }
    }

    #[test]
    fn a_nan_gives_nan_and_logits_for_log_probs_an_error() {
        assert!(one(&[f64::NAN, 5.0], &[0.0, 1.0], Kind::Js, Space::LogProbs).unwrap().is_nan());
        let error = one(&[3.0, 1.0], &[0.0, 1.0], Kind::Kl, Space::LogProbs).unwrap_err();
        assert_eq!(error, Error::PositiveLogProb { argument: "p", row: 0, largest: 3.0 });
    }
}
