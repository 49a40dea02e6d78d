//! From data to what is summed, ordered and exchanged.

use std::str::FromStr;

use super::design::Design;
use super::statistic::{Finish, Kendall, Ks, Linear, Row, Sizes, Statistic, Terms};
use super::{PermutationTest, Plan, Problem, TIE_TOLERANCE};
use crate::Error;
use crate::error::unknown;
use crate::rank::{key, midranks};

/// How two samples are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Comparison {
    /// First less second mean.
    MeanDifference,
    /// Share of pairs in which the first is larger, ties counting half.
    RocAuc,
    /// Largest distance of the distribution functions.
    KsStatistic,
}

impl FromStr for Comparison {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self, Error> {
        match name {
            "mean_difference" => Ok(Self::MeanDifference),
            "roc_auc" => Ok(Self::RocAuc),
            "ks_statistic" => Ok(Self::KsStatistic),
            _ => Err(unknown("statistic", name, "\"mean_difference\", \"roc_auc\" or \"ks_statistic\"")),
        }
    }
}

/// How two columns are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Association {
    /// Sum of products.
    Product,
    /// Pearson's r.
    PearsonR,
    /// Spearman's rho.
    SpearmanRho,
    /// Kendall's tau-b.
    KendallTau,
}

impl FromStr for Association {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self, Error> {
        match name {
            "product" => Ok(Self::Product),
            "pearson_r" => Ok(Self::PearsonR),
            "spearman_rho" => Ok(Self::SpearmanRho),
            "kendall_tau" => Ok(Self::KendallTau),
            _ => Err(unknown("statistic", name, "\"spearman_rho\", \"kendall_tau\" or \"pearson_r\"")),
        }
    }
}

/// Tests whether columns of differences have mean 0, by flipping the signs of whole units.
///
/// # Errors
/// [`Error::Empty`], [`Error::LengthMismatch`] or [`Error::UnitOutOfRange`] for unfit data.
pub fn sign_flip_test(
    columns: &[Vec<f64>],
    units: &[u32],
    n_units: usize,
    plan: &Plan,
) -> Result<PermutationTest, Error> {
    validate(columns, units, n_units)?;
    Ok(flips(columns, units, n_units).test(plan))
}

/// Tests whether two samples differ, by exchanging the sample of whole units.
///
/// The rows of the first sample come first. If `paired`, row `i` of both is one thing measured twice, and a unit's rows
/// change sample together; `units` are those of one sample's rows. Else `units` are those of all rows, those of the first
/// sample are below `n_units[0]`, and units move whole between samples of `n_units`.
///
/// # Errors
/// As [`sign_flip_test`].
pub fn label_test(
    columns: &[Vec<f64>],
    n_first: usize,
    units: &[u32],
    n_units: [usize; 2],
    paired: bool,
    comparison: Comparison,
    plan: &Plan,
) -> Result<PermutationTest, Error> {
    let n_rows = columns.first().map_or(0, Vec::len);
    if n_first == 0 || n_first >= n_rows {
        return Err(Error::Empty);
    }
    if paired {
        let firsts: Vec<Vec<f64>> = columns.iter().map(|column| column[..n_first.min(column.len())].to_vec()).collect();
        validate(&firsts, units, n_units[0])?;
        if n_rows != 2 * n_first {
            return Err(Error::LengthMismatch { left: n_first, right: n_rows - n_first });
        }
        return Ok(swaps(columns, units, n_units[0], comparison).test(plan));
    }
    validate(columns, units, n_units[0] + n_units[1])?;
    let crossing = units.iter().enumerate().find(|(row, unit)| (*row < n_first) != ((**unit as usize) < n_units[0]));
    if let Some((_, unit)) = crossing {
        return Err(Error::UnitOutOfRange { unit: *unit, n_units: n_units[0] });
    }
    Ok(Samples::new(columns, units, n_units).problem(comparison).test(plan))
}

/// Tests whether columns go with `y`, by exchanging the values of `y` within groups.
///
/// # Errors
/// As [`sign_flip_test`].
pub fn within_group_test(
    columns: &[Vec<f64>],
    y: &[f64],
    groups: &[u32],
    association: Association,
    plan: &Plan,
) -> Result<PermutationTest, Error> {
    validate(columns, groups, usize::MAX)?;
    if y.len() != groups.len() {
        return Err(Error::LengthMismatch { left: y.len(), right: groups.len() });
    }
    let mut order: Vec<usize> = (0..groups.len()).collect();
    order.sort_by_key(|row| groups[*row]);
    let sorted = |values: &[f64]| order.iter().map(|row| values[*row]).collect::<Vec<f64>>();
    let mut ranges = Vec::new();
    for group in order.chunk_by(|a, b| groups[*a] == groups[*b]) {
        let start = ranges.last().map_or(0, |range: &std::ops::Range<usize>| range.end);
        ranges.push(start..start + group.len());
    }
    let columns: Vec<Vec<f64>> = columns.iter().map(|column| sorted(column)).collect();
    let statistic = association_of(&columns, sorted(y), association);
    let tolerance = vec![TIE_TOLERANCE; columns.len()];
    Ok(Problem { design: Design::Shuffles { groups: ranges }, statistic, tolerance }.test(plan))
}

fn validate(columns: &[Vec<f64>], units: &[u32], n_units: usize) -> Result<(), Error> {
    if columns.is_empty() || units.is_empty() {
        return Err(Error::Empty);
    }
    for column in columns {
        let (left, right) = (column.len(), units.len());
        if left != right {
            return Err(Error::LengthMismatch { left, right });
        }
    }
    let outside = units.iter().find(|unit| **unit as usize >= n_units);
    outside.map_or(Ok(()), |unit| Err(Error::UnitOutOfRange { unit: *unit, n_units }))
}

/// `[unit][column]`: sums of a column's rows over each unit.
fn sums_by_unit(columns: &[Vec<f64>], units: &[u32], n_units: usize) -> Vec<f64> {
    let mut sums = vec![0.0; columns.len() * n_units];
    for (member, column) in columns.iter().enumerate() {
        for (value, unit) in column.iter().zip(units) {
            sums[*unit as usize * columns.len() + member] += value;
        }
    }
    sums
}

fn mean_size(column: &[f64]) -> f64 {
    column.iter().map(|value| value.abs()).sum::<f64>() / column.len() as f64
}

/// NaN throughout if a value is not finite: then no mean is defined in all relabellings.
fn for_means(column: &[f64]) -> Vec<f64> {
    if column.iter().all(|value| value.is_finite()) { column.to_vec() } else { vec![f64::NAN; column.len()] }
}

fn flips(differences: &[Vec<f64>], units: &[u32], n_units: usize) -> Problem {
    let differences: Vec<Vec<f64>> = differences.iter().map(|column| for_means(column)).collect();
    let kept = sums_by_unit(&differences, units, n_units);
    let flipped: Vec<f64> = kept.iter().map(|sum| -sum).collect();
    let width = differences.len();
    let finish = Finish::Scale(vec![1.0 / units.len() as f64; width]);
    let terms = Terms::Flip { both: side_by_side(&kept, &flipped, width) };
    Problem {
        design: Design::Flips { n: n_units },
        statistic: Statistic::Linear(Linear { terms, finish, width, n_positions: n_units }),
        tolerance: differences.iter().map(|column| TIE_TOLERANCE * mean_size(column)).collect(),
    }
}

/// The columns of a unit as it is, and then flipped.
fn side_by_side(kept: &[f64], flipped: &[f64], width: usize) -> Vec<f64> {
    kept.chunks_exact(width).zip(flipped.chunks_exact(width)).flat_map(|pair| [pair.0, pair.1].concat()).collect()
}

/// Two samples of the same things.
fn swaps(columns: &[Vec<f64>], units: &[u32], n_units: usize, comparison: Comparison) -> Problem {
    let n = units.len();
    let half = |second: bool| move |column: &Vec<f64>| column[if second { n..2 * n } else { 0..n }].to_vec();
    match comparison {
        Comparison::MeanDifference => {
            let difference = |column: &Vec<f64>| (0..n).map(|row| column[row] - column[n + row]).collect();
            flips(&columns.iter().map(difference).collect::<Vec<_>>(), units, n_units)
        }
        Comparison::RocAuc => {
            let ranks: Vec<Vec<f64>> = columns.iter().map(|column| midranks(column)).collect();
            let side = |second| sums_by_unit(&ranks.iter().map(half(second)).collect::<Vec<_>>(), units, n_units);
            let sizes = Sizes { n_summed: Some(n as f64), n_rows: 2.0 * n as f64, second: false };
            let width = columns.len();
            let terms = Terms::Flip { both: side_by_side(&side(false), &side(true), width) };
            let finish = Finish::RocAuc { n_members: width, sizes };
            Problem {
                design: Design::Flips { n: n_units },
                statistic: Statistic::Linear(Linear { terms, finish, width, n_positions: n_units }),
                tolerance: vec![TIE_TOLERANCE; width],
            }
        }
        Comparison::KsStatistic => {
            let unit_and_side = |row: usize| (units[row % n], u8::from(row >= n));
            let members = columns.iter().map(|column| ascending(column, unit_and_side)).collect();
            Problem {
                design: Design::Flips { n: n_units },
                statistic: Statistic::Ks(Ks { members, n_units, flips: true, n_chosen: 0 }),
                tolerance: vec![TIE_TOLERANCE; columns.len()],
            }
        }
    }
}

/// Rows in ascending order of their values; nothing if one is NaN.
fn ascending(column: &[f64], unit_and_side: impl Fn(usize) -> (u32, u8)) -> Option<Vec<Row>> {
    if column.iter().any(|value| value.is_nan()) {
        return None;
    }
    let mut sorted: Vec<(u64, usize)> = column.iter().map(|value| key(*value)).zip(0..).collect();
    sorted.sort_unstable();
    let row = |(i, (key, row)): (usize, &(u64, usize))| {
        let (unit, side) = unit_and_side(*row);
        Row { unit, side, last_of_ties: sorted.get(i + 1).is_none_or(|next| next.0 != *key) }
    };
    Some(sorted.iter().enumerate().map(row).collect())
}

/// Two independent samples; the one with fewer units is the one that is chosen, and its units come first.
struct Samples<'a> {
    columns: &'a [Vec<f64>],
    units: Vec<u32>,
    n_units: usize,
    n_chosen: usize,
    second: bool,
}

impl<'a> Samples<'a> {
    fn new(columns: &'a [Vec<f64>], units: &[u32], [first, second]: [usize; 2]) -> Self {
        let swapped = second < first;
        let place = |unit: &u32| match (swapped, (*unit as usize) < first) {
            (false, _) => *unit,
            (true, true) => *unit + second as u32,
            (true, false) => *unit - first as u32,
        };
        let units = units.iter().map(place).collect();
        Self { columns, units, n_units: first + second, n_chosen: first.min(second), second: swapped }
    }

    fn problem(&self, comparison: Comparison) -> Problem {
        let (statistic, tolerance) = match comparison {
            Comparison::MeanDifference => {
                let centred: Vec<Vec<f64>> = self.columns.iter().map(|c| centred(&for_means(c))).collect();
                let totals = centred.iter().map(|column| column.iter().sum()).collect();
                let tolerance = centred.iter().map(|column| TIE_TOLERANCE * mean_size(column)).collect();
                (self.linear(centred, |sizes| Finish::MeanDifference { totals, sizes }), tolerance)
            }
            Comparison::RocAuc => {
                let (ranks, n_members) = (self.columns.iter().map(|c| midranks(c)).collect(), self.columns.len());
                let statistic = self.linear(ranks, |sizes| Finish::RocAuc { n_members, sizes });
                (statistic, vec![TIE_TOLERANCE; n_members])
            }
            Comparison::KsStatistic => {
                let members = self.columns.iter().map(|column| ascending(column, |row| (self.units[row], 0))).collect();
                let ks = Ks { members, n_units: self.n_units, flips: false, n_chosen: self.n_chosen };
                (Statistic::Ks(ks), vec![TIE_TOLERANCE; self.columns.len()])
            }
        };
        Problem { design: Design::Choices { n: self.n_units, chosen: self.n_chosen }, statistic, tolerance }
    }

    fn linear(&self, mut columns: Vec<Vec<f64>>, finish: impl FnOnce(Sizes) -> Finish) -> Statistic {
        let mut rows_of_unit = vec![0.0; self.n_units];
        self.units.iter().for_each(|unit| rows_of_unit[*unit as usize] += 1.0);
        let same = rows_of_unit.iter().all(|n| *n == rows_of_unit[0]);
        let n_summed = same.then_some(self.n_chosen as f64 * rows_of_unit[0]);
        if !same {
            columns.push(vec![1.0; self.units.len()]);
        }
        let terms = Terms::Choice { values: sums_by_unit(&columns, &self.units, self.n_units) };
        let sizes = Sizes { n_summed, n_rows: self.units.len() as f64, second: self.second };
        Statistic::Linear(Linear { terms, finish: finish(sizes), width: columns.len(), n_positions: self.n_chosen })
    }
}

fn association_of(columns: &[Vec<f64>], y: Vec<f64>, association: Association) -> Statistic {
    let of = |prepare: fn(&[f64]) -> Vec<f64>| products(columns, &y, prepare);
    match association {
        Association::Product => of(<[f64]>::to_vec),
        Association::PearsonR => of(|column| normalised(centred(column))),
        Association::SpearmanRho => of(|column| normalised(centred(&midranks(column)))),
        Association::KendallTau => Statistic::Kendall(Kendall { x: columns.to_vec(), y }),
    }
}

fn products(columns: &[Vec<f64>], y: &[f64], prepare: fn(&[f64]) -> Vec<f64>) -> Statistic {
    let prepared: Vec<Vec<f64>> = columns.iter().map(|column| prepare(column)).collect();
    let x = (0..y.len()).flat_map(|row| prepared.iter().map(move |column| column[row])).collect();
    let (width, finish) = (columns.len(), Finish::Scale(vec![1.0; columns.len()]));
    Statistic::Linear(Linear { terms: Terms::Product { x, y: prepare(y) }, finish, width, n_positions: y.len() })
}

/// Less its mean; exactly 0 if it is constant.
fn centred(column: &[f64]) -> Vec<f64> {
    if column.iter().all(|value| *value == column[0]) {
        return vec![0.0; column.len()];
    }
    let mean = column.iter().sum::<f64>() / column.len() as f64;
    column.iter().map(|value| value - mean).collect()
}

/// Divided by its length; NaN if it is constant.
fn normalised(centred: Vec<f64>) -> Vec<f64> {
    let length = centred.iter().map(|value| value * value).sum::<f64>().sqrt();
    centred.into_iter().map(|value| value / length).collect() // 0 / 0 is NaN
}
