//! Statistics of relabelled data, for several members of a family at once.

use std::ops::Range;

use super::design::Design;
use crate::rank;

/// A statistic of each member of a family.
pub(super) enum Statistic {
    Linear(Linear),
    Ks(Ks),
    Kendall(Kendall),
}

/// Memory that evaluations share.
#[derive(Default)]
pub(super) struct Scratch {
    /// `[position][member]`: sums over the positions before.
    sums: Vec<f64>,
    marks: Vec<u8>,
    y: Vec<f64>,
}

impl Statistic {
    pub(super) fn n_members(&self) -> usize {
        match self {
            Self::Linear(linear) => linear.finish.n_members(),
            Self::Ks(ks) => ks.members.len(),
            Self::Kendall(kendall) => kendall.x.len(),
        }
    }

    /// Means and standard deviations over all relabellings, where there is a formula.
    pub(super) fn moments(&self, design: &Design) -> Option<(Vec<f64>, Vec<f64>)> {
        match self {
            Self::Linear(linear) => linear.moments(design),
            _ => None,
        }
    }

    /// The statistics of a relabelling that differs from the one before from position `changed` on.
    #[inline(always)]
    pub(super) fn evaluate(&self, labels: &[u32], changed: usize, scratch: &mut Scratch, values: &mut [f64]) {
        match self {
            Self::Linear(linear) => linear.evaluate(labels, changed, &mut scratch.sums, values),
            Self::Ks(ks) => ks.evaluate(labels, &mut scratch.marks, values),
            Self::Kendall(kendall) => kendall.evaluate(labels, &mut scratch.y, values),
        }
    }
}

/// A sum of one term a position and member, and what is made of it.
pub(super) struct Linear {
    pub(super) terms: Terms,
    pub(super) finish: Finish,
    /// Columns of the terms: one a member, and the number of rows where it varies.
    pub(super) width: usize,
    /// Labels that terms belong to.
    pub(super) n_positions: usize,
}

/// `[position or unit][column]`, unless said.
pub(super) enum Terms {
    /// A unit's terms as it is, and then flipped: `[unit][2][column]`.
    Flip { both: Vec<f64> },
    /// A unit's term in the sample that is summed.
    Choice { values: Vec<f64> },
    /// Products of a position's `x` with the `y` that comes there; groups in the order of positions.
    Product { x: Vec<f64>, y: Vec<f64> },
}

/// From sums to statistics.
pub(super) enum Finish {
    /// Each member's sum times a factor.
    Scale(Vec<f64>),
    /// First less second mean.
    MeanDifference { totals: Vec<f64>, sizes: Sizes },
    /// From the midranks' sum to the share of pairs in which the first is larger.
    RocAuc { n_members: usize, sizes: Sizes },
}

/// Rows of the summed and of both samples.
#[derive(Clone, Copy)]
pub(super) struct Sizes {
    /// Nothing where it depends on the relabelling: then it is the last column.
    pub(super) n_summed: Option<f64>,
    pub(super) n_rows: f64,
    /// Whether the summed sample is the second.
    pub(super) second: bool,
}

impl Linear {
    #[inline(always)]
    fn evaluate(&self, labels: &[u32], changed: usize, sums: &mut Vec<f64>, values: &mut [f64]) {
        let (n, width) = (self.n_positions, self.width);
        sums.resize((n + 1) * width, 0.0);
        if width == 1 {
            self.terms.add_alone(labels, changed..n, sums);
        }
        for position in if width == 1 { n..n } else { changed..n } {
            let (before, after) = sums.split_at_mut((position + 1) * width);
            let (before, after) = (&before[position * width..], &mut after[..width]);
            self.terms.add(position, labels[position] as usize, before, after);
        }
        let sums = &sums[n * width..];
        for (member, value) in values.iter_mut().enumerate() {
            *value = self.finish.value(member, sums);
        }
    }

    fn moments(&self, design: &Design) -> Option<(Vec<f64>, Vec<f64>)> {
        let (mean, sd) = self.terms.moments(design, self.width);
        self.finish.is_affine().then(|| {
            let zeros = vec![0.0; mean.len()];
            let slope = |member: usize| {
                let mut ones = zeros.clone();
                ones[member] = 1.0;
                self.finish.value(member, &ones) - self.finish.value(member, &zeros)
            };
            let n_members = self.finish.n_members();
            let sd = (0..n_members).map(|member| sd[member] * slope(member).abs()).collect();
            ((0..n_members).map(|member| self.finish.value(member, &mean)).collect(), sd)
        })
    }
}

impl Terms {
    /// `after` becomes `before` and the terms of one position.
    #[inline(always)]
    fn add(&self, position: usize, label: usize, before: &[f64], after: &mut [f64]) {
        let width = after.len();
        match self {
            Self::Flip { both } => sum(before, &both[(2 * position + label) * width..][..width], 1.0, after),
            Self::Choice { values } => sum(before, &values[label * width..][..width], 1.0, after),
            Self::Product { x, y } => sum(before, &x[position * width..][..width], y[label], after),
        }
    }

    /// The same for all positions of a range, where there is one column only.
    #[inline(always)]
    fn add_alone(&self, labels: &[u32], positions: Range<usize>, sums: &mut [f64]) {
        let mut sum = sums[positions.start];
        let labels = &labels[positions.clone()];
        let sums = &mut sums[positions.start + 1..];
        match self {
            Self::Flip { both } => {
                for ((label, terms), after) in labels.iter().zip(&both.as_chunks::<2>().0[positions]).zip(sums) {
                    sum += terms[*label as usize];
                    *after = sum;
                }
            }
            Self::Choice { values } => {
                for (label, after) in labels.iter().zip(sums) {
                    sum += values[*label as usize];
                    *after = sum;
                }
            }
            Self::Product { x, y } => {
                for ((label, x), after) in labels.iter().zip(&x[positions]).zip(sums) {
                    sum += x * y[*label as usize];
                    *after = sum;
                }
            }
        }
    }

    /// Mean and standard deviation of the sums over all relabellings, by column.
    fn moments(&self, design: &Design, width: usize) -> (Vec<f64>, Vec<f64>) {
        let column = |table: &[f64], i: usize| table.iter().skip(i).step_by(width).copied().collect::<Vec<f64>>();
        let of_column = |i: usize| match (self, design) {
            (Self::Flip { both }, _) => {
                let pairs = || both.chunks_exact(2 * width).map(|unit| (unit[i], unit[width + i]));
                let variance: f64 = pairs().map(|(a, b)| ((a - b) / 2.0).powi(2)).sum();
                (pairs().map(|(a, b)| (a + b) / 2.0).sum(), variance)
            }
            (Self::Choice { values }, Design::Choices { n, chosen }) => {
                let (mean, squares) = spread(&column(values, i));
                let (n, k) = (*n as f64, *chosen as f64);
                (k * mean, if n > 1.0 { k * (n - k) / (n * (n - 1.0)) * squares } else { 0.0 })
            }
            (Self::Product { x, y }, Design::Shuffles { groups }) => {
                let x = column(x, i);
                groups.iter().fold((0.0, 0.0), |(mean, variance), group| {
                    let ((x_mean, xx), (y_mean, yy)) = (spread(&x[group.clone()]), spread(&y[group.clone()]));
                    let n = group.len() as f64;
                    let own = if n > 1.0 { xx * yy / (n - 1.0) } else { 0.0 };
                    (mean + n * x_mean * y_mean, variance + own)
                })
            }
            _ => (f64::NAN, f64::NAN),
        };
        let (means, variances): (Vec<f64>, Vec<f64>) = (0..width).map(of_column).unzip();
        (means, variances.into_iter().map(f64::sqrt).collect())
    }
}

#[inline(always)]
fn sum(before: &[f64], terms: &[f64], factor: f64, after: &mut [f64]) {
    for ((after, before), term) in after.iter_mut().zip(before).zip(terms) {
        *after = before + term * factor;
    }
}

/// Mean and sum of squared deviations.
fn spread(values: &[f64]) -> (f64, f64) {
    let mean = values.iter().sum::<f64>() / values.len() as f64;
    (mean, values.iter().map(|v| (v - mean).powi(2)).sum())
}

impl Finish {
    fn n_members(&self) -> usize {
        match self {
            Self::Scale(factors) => factors.len(),
            Self::MeanDifference { totals, .. } => totals.len(),
            Self::RocAuc { n_members, .. } => *n_members,
        }
    }

    fn is_affine(&self) -> bool {
        match self {
            Self::Scale(_) => true,
            Self::MeanDifference { sizes, .. } | Self::RocAuc { sizes, .. } => sizes.n_summed.is_some(),
        }
    }

    #[inline(always)]
    fn value(&self, member: usize, sums: &[f64]) -> f64 {
        let sum = sums[member];
        match self {
            Self::Scale(factors) => sum * factors[member],
            Self::MeanDifference { totals, sizes } => {
                let (n, other) = sizes.of(sums);
                let difference = sum / n - (totals[member] - sum) / other;
                if sizes.second { -difference } else { difference }
            }
            Self::RocAuc { sizes, .. } => {
                let (n, other) = sizes.of(sums);
                let area = (sum - n * (n + 1.0) / 2.0) / (n * other);
                if sizes.second { 1.0 - area } else { area }
            }
        }
    }
}

impl Sizes {
    #[inline(always)]
    fn of(self, sums: &[f64]) -> (f64, f64) {
        let n = self.n_summed.unwrap_or(sums[sums.len() - 1]);
        (n, self.n_rows - n)
    }
}

/// Two-sample Kolmogorov-Smirnov statistics; it does not matter which sample is called the first.
pub(super) struct Ks {
    /// Rows of each member in ascending order; nothing where a value is NaN.
    pub(super) members: Vec<Option<Vec<Row>>>,
    pub(super) n_units: usize,
    /// Whether labels are flips, one a unit; else they are chosen units.
    pub(super) flips: bool,
    /// Units that are chosen.
    pub(super) n_chosen: usize,
}

/// Where a row belongs.
#[derive(Clone, Copy)]
pub(super) struct Row {
    pub(super) unit: u32,
    /// 1 if the row is in the other sample than its unit's label says.
    pub(super) side: u8,
    /// Whether the next value is larger.
    pub(super) last_of_ties: bool,
}

impl Ks {
    #[inline(always)]
    fn evaluate(&self, labels: &[u32], marks: &mut Vec<u8>, values: &mut [f64]) {
        marks.clear();
        marks.resize(self.n_units, 0);
        if self.flips {
            marks.iter_mut().zip(labels).for_each(|(mark, flip)| *mark = *flip as u8);
        } else {
            labels[..self.n_chosen].iter().for_each(|unit| marks[*unit as usize] = 1);
        }
        for (rows, value) in self.members.iter().zip(values) {
            *value = rows.as_ref().map_or(f64::NAN, |rows| largest_gap(rows, marks));
        }
    }
}

#[inline(always)]
fn largest_gap(rows: &[Row], marks: &[u8]) -> f64 {
    let is_first = |row: &Row| i64::from(marks[row.unit as usize] ^ row.side);
    let n_first: i64 = rows.iter().map(is_first).sum();
    let (n, mut gap, mut largest) = (rows.len() as i64, 0, 0);
    for row in rows {
        // A first row adds n_second, a second one takes n_first.
        gap += n * is_first(row) - n_first;
        largest = if row.last_of_ties { largest.max(gap.abs()) } else { largest };
    }
    largest as f64 / (n_first * (n - n_first)) as f64
}

/// tau-b of each member with what is exchanged.
pub(super) struct Kendall {
    pub(super) x: Vec<Vec<f64>>,
    pub(super) y: Vec<f64>,
}

impl Kendall {
    #[inline(always)]
    fn evaluate(&self, labels: &[u32], y: &mut Vec<f64>, values: &mut [f64]) {
        y.clear();
        y.extend(labels.iter().map(|place| self.y[*place as usize]));
        for (x, value) in self.x.iter().zip(values) {
            *value = rank::kendall_tau(x, y).unwrap_or(f64::NAN);
        }
    }
}
