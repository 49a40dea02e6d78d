//! Which passes a row takes: few digits first, and more where they are needed.

use std::ops::Range;

use super::direct::Direct;
use super::kind::{Kind, RowSums, Sums, Term, Terms};
use super::narrow::{self, Pass};
use super::wide;
use crate::chunk::{self, Tile};
use crate::distribution::{LOG_PROB_TOLERANCE, Space};
use crate::logsumexp::log_sums;
use crate::simd::{self, LANES};
use crate::{Error, Table};

/// Divergences of all rows of two tables.
pub(super) struct Problem<'a> {
    pub(super) p: Table<'a>,
    pub(super) q: Table<'a>,
    pub(super) kinds: &'a [Kind],
    pub(super) space: Space,
    /// Whether `f64` is asked for whatever the format.
    pub(super) double: bool,
    /// Whether threads share each row.
    pub(super) shared: bool,
}

/// The Kullback–Leibler divergence from which on a single pass has digits enough: it is right to about 1e-7.
const CLEAR: f64 = 0.25;

/// `Σ |p - q|` over the Kullback–Leibler sum from which on `f32` is too coarse: its rounding is 6e-8 of the former, and
/// 1e-4 of the latter is allowed.
const FEW_DIGITS: f64 = 500.0;

impl Problem<'_> {
    /// Whether `f32` has digits enough for most rows.
    fn is_narrow(&self) -> bool {
        self.p.is_single() && self.q.is_single() && self.space != Space::Probs && !self.double && self.order().is_none()
    }

    fn order(&self) -> Option<f64> {
        self.kinds.iter().find_map(|kind| if let Kind::Renyi(order) = kind { Some(*order) } else { None })
    }

    /// The terms of all kinds, and those that checks want.
    fn terms(&self, narrow: bool) -> Terms {
        let terms = Terms::of(&self.kinds.iter().map(|kind| kind.term()).collect::<Vec<_>>());
        match self.space {
            Space::Logits if narrow => terms,
            _ => terms.with(&[Term::Both, Term::Surplus, Term::Tv]),
        }
    }

    /// Whether only `KL(p‖q)` is asked for, or only `KL(q‖p)`.
    fn only(&self, kind: Kind) -> bool {
        self.kinds.iter().all(|other| *other == kind)
    }

    fn sees_q(&self) -> bool {
        self.space == Space::Probs || !self.only(Kind::Kl)
    }
}

/// Reads pairs of rows, tile by tile.
pub(super) struct Worker<'a> {
    problem: &'a Problem<'a>,
    narrow: Option<Narrow<'a>>,
    wide: Option<Wide<'a>>,
}

struct Narrow<'a> {
    p: Tile<'a, f32>,
    q: Tile<'a, f32>,
    terms: Terms,
}

struct Wide<'a> {
    p: Tile<'a, f64>,
    q: Tile<'a, f64>,
    terms: Terms,
}

impl<'a> Worker<'a> {
    pub(super) fn new(problem: &'a Problem<'a>) -> Self {
        let narrow = problem.is_narrow().then(|| Narrow::new(problem));
        Self { problem, narrow, wide: None }
    }

    /// The values of these rows, all kinds of a row side by side.
    pub(super) fn values(&mut self, rows: Range<usize>) -> Result<Vec<f64>, Error> {
        let (end, step) = (rows.end, chunk::rows_of_tile(&self.problem.p));
        let mut values = Vec::with_capacity(rows.len() * self.problem.kinds.len());
        for start in rows.step_by(step) {
            self.append(start..end.min(start + step), &mut values)?;
        }
        Ok(values)
    }

    fn append(&mut self, rows: Range<usize>, values: &mut Vec<f64>) -> Result<(), Error> {
        let problem = self.problem;
        let Some(narrow) = &mut self.narrow else {
            let wide = self.wide.get_or_insert_with(|| Wide::new(problem));
            return wide.append(problem, &rows, |_| true, values);
        };
        let before = values.len();
        let doubts = narrow.append(problem, &rows, values);
        if doubts != [false; LANES] {
            let wide = self.wide.get_or_insert_with(|| Wide::new(problem));
            let mut exact = Vec::with_capacity(values.len() - before);
            wide.append(problem, &rows, |lane| doubts[lane], &mut exact)?;
            let n_kinds = problem.kinds.len();
            let doubtful = (0..rows.len()).filter(|lane| doubts[*lane]);
            for (lane, exact) in doubtful.zip(exact.chunks_exact(n_kinds)) {
                values[before + lane * n_kinds..][..n_kinds].copy_from_slice(exact);
            }
        }
        Ok(())
    }
}

impl<'a> Narrow<'a> {
    fn new(problem: &Problem<'a>) -> Self {
        Self { p: Tile::new(problem.p), q: Tile::new(problem.q), terms: problem.terms(true) }
    }

    /// Appends what `f32` gives of these rows; which of them that is not enough for.
    fn append(&mut self, problem: &Problem<'a>, rows: &Range<usize>, values: &mut Vec<f64>) -> [bool; LANES] {
        self.p.go_to(rows);
        self.q.go_to(rows);
        if problem.only(Kind::Kl) || (problem.only(Kind::ReverseKl) && problem.space == Space::Logits) {
            return self.append_direct(problem, rows, values);
        }
        let shifts = match problem.space {
            Space::Logits => Some([log_sums(&self.p, problem.shared), log_sums(&self.q, problem.shared)]),
            _ => None,
        };
        let sums = self.sums(problem, shifts.as_ref());
        let mut doubts = [false; LANES];
        for lane in 0..rows.len() {
            let undefined = shifts.is_some_and(|shifts| !(shifts[0][lane] + shifts[1][lane]).is_finite());
            doubts[lane] = append_row(problem, &sums.of_row(&self.p, lane, self.terms), undefined, values);
        }
        doubts
    }

    /// One pass, and a second where its result has too few digits.
    fn append_direct(&mut self, problem: &Problem<'a>, rows: &Range<usize>, values: &mut Vec<f64>) -> [bool; LANES] {
        let (p, q) = if problem.only(Kind::Kl) { (&self.p, &self.q) } else { (&self.q, &self.p) };
        let direct = Direct::new(p, q, problem.space, problem.shared);
        let (mut again, mut doubts) = (None, [false; LANES]);
        for lane in 0..rows.len() {
            let undefined =
                direct.total[lane].is_nan() || !(direct.log_sums[0][lane] + direct.log_sums[1][lane]).is_finite();
            if undefined || direct.kl[lane] >= CLEAR {
                let kl = if undefined { f64::NAN } else { direct.kl[lane] };
                values.extend(problem.kinds.iter().map(|_| kl));
                doubts[lane] = !undefined
                    && problem.space == Space::LogProbs
                    && (direct.top[lane] > LOG_PROB_TOLERANCE
                        || (direct.total[lane] - 1.0).abs() > problem.p.sum_tolerance());
                continue;
            }
            let sums = again.get_or_insert_with(|| {
                let mut shifts = direct.log_sums;
                if !problem.only(Kind::Kl) {
                    shifts.swap(0, 1);
                }
                self.sums(problem, (problem.space == Space::Logits).then_some(&shifts))
            });
            doubts[lane] = append_row(problem, &sums.of_row(&self.p, lane, self.terms), false, values);
        }
        doubts
    }

    fn sums(&self, problem: &Problem<'a>, shifts: Option<&[[f64; LANES]; 2]>) -> Sums {
        let (p, q, terms) = (&self.p, &self.q, self.terms);
        let pass = |chunks| narrow::with_scratch(|scratch| simd::widest(Pass { p, q, chunks, shifts, terms, scratch }));
        chunk::merged(p.n_chunks(), problem.shared, pass, Sums::merge)
    }
}

/// Appends the values of a row; whether they are in doubt.
fn append_row(problem: &Problem<'_>, sums: &RowSums, undefined: bool, values: &mut Vec<f64>) -> bool {
    let normalised = problem.space == Space::Logits;
    let totals = sums.totals();
    if undefined || totals[0].is_nan() || totals[1].is_nan() {
        values.extend(problem.kinds.iter().map(|_| f64::NAN));
        return false;
    }
    let mut doubt = !normalised && is_off(problem, sums.top, totals);
    for kind in problem.kinds {
        let value = sums.value(*kind, normalised);
        doubt |= match kind {
            Kind::Kl | Kind::ReverseKl => !normalised && sums.term(Term::Tv) > FEW_DIGITS * value,
            Kind::ChiSquared => value == f64::INFINITY,
            _ => false,
        };
        values.push(value);
    }
    doubt
}

/// Whether a row of log-probabilities may not be one.
fn is_off(problem: &Problem<'_>, top: f64, totals: [f64; 2]) -> bool {
    let tolerance = problem.p.sum_tolerance();
    top > LOG_PROB_TOLERANCE || totals.iter().any(|total| (total - 1.0).abs() > tolerance)
}

impl<'a> Wide<'a> {
    fn new(problem: &Problem<'a>) -> Self {
        Self { p: Tile::new(problem.p), q: Tile::new(problem.q), terms: problem.terms(false) }
    }

    /// Appends the values of those of these rows that are `wanted`.
    fn append(
        &mut self,
        problem: &Problem<'a>,
        rows: &Range<usize>,
        wanted: impl Fn(usize) -> bool,
        values: &mut Vec<f64>,
    ) -> Result<(), Error> {
        self.p.go_to(rows);
        self.q.go_to(rows);
        let checked = self.checked(problem);
        let extremes = checked.extremes.each_ref().map(|extremes| self.p.largest_of_row(extremes));
        for (lane, row) in rows.clone().enumerate().filter(|(lane, _)| wanted(*lane)) {
            let sums = checked.sums.of_row(&self.p, lane, self.terms);
            let totals = sums.totals();
            if (totals[0] + totals[1]).is_nan() {
                values.extend(problem.kinds.iter().map(|_| f64::NAN));
                continue;
            }
            let tolerance = problem.p.sum_tolerance();
            problem.space.check("p", row, extremes[0][lane], Some(totals[0]), tolerance)?;
            problem.space.check("q", row, extremes[1][lane], problem.sees_q().then_some(totals[1]), tolerance)?;
            let normalised = problem.space == Space::Logits;
            values.extend(problem.kinds.iter().map(|kind| sums.value(*kind, normalised)));
        }
        Ok(())
    }

    fn checked(&self, problem: &Problem<'a>) -> wide::Checked {
        let (p, q, space, terms) = (&self.p, &self.q, problem.space, self.terms);
        let shifts = match space {
            Space::Logits => [log_sums(p, problem.shared), log_sums(q, problem.shared)],
            _ => [[0.0; LANES]; 2],
        };
        let (shifts, order) = (&shifts, problem.order().unwrap_or(1.0));
        let pass = |chunks| {
            wide::with_scratch(|scratch| {
                simd::widest(wide::Pass { p, q, chunks, space, shifts, terms, order, scratch })
            })
        };
        chunk::merged(p.n_chunks(), problem.shared, pass, wide::Checked::merge)
    }
}
