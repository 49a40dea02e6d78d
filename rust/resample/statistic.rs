//! Statistics of multiplicities: everything that depends on the data alone is done once.

use std::array::from_fn;

use super::{LANES, Lanes, Sample, Statistic};
use crate::rank::{correlation, tau_b, tie_groups};
use crate::simd::{self, Kernel, Level};

/// A statistic whose data are sorted and waiting for multiplicities.
pub(super) enum Prepared {
    Undefined,
    Mean { values: Vec<f64>, units: Vec<u32> },
    RocAuc { groups: Vec<TwoSampleGroup> },
    KendallTau { x_groups: Vec<Vec<Entry>>, n_y: usize, n_rows: usize },
    SpearmanRho { x_groups: Vec<Vec<Entry>>, y_groups: Vec<Vec<Entry>>, n_rows: usize },
}

/// Units of the rows of two samples that share one value.
pub(super) struct TwoSampleGroup {
    positive: Vec<u32>,
    negative: Vec<u32>,
}

/// A row of paired values: its number, its unit and, for Kendall, the dense rank of its y.
#[derive(Clone, Copy)]
pub(super) struct Entry {
    row: u32,
    unit: u32,
    y: u32,
}

impl Prepared {
    pub(super) fn new(samples: &[Sample], statistic: Statistic) -> Self {
        if samples.iter().flat_map(|sample| &sample.columns).flatten().any(|value| value.is_nan()) {
            return Self::Undefined;
        }
        let sample = &samples[0];
        let n_rows = sample.units.len();
        match statistic {
            Statistic::Mean => Self::Mean { values: sample.columns[0].clone(), units: sample.units.clone() },
            Statistic::RocAuc => Self::RocAuc { groups: two_sample_groups(sample, &samples[1]) },
            Statistic::KendallTau => {
                let (dense, n_y) = dense_ranks(&sample.columns[1]);
                let mut x_groups = entries(&sample.columns[0], &sample.units);
                x_groups.iter_mut().flatten().for_each(|entry| entry.y = dense[entry.row as usize]);
                Self::KendallTau { x_groups, n_y, n_rows }
            }
            Statistic::SpearmanRho => {
                let [x_groups, y_groups] = [0, 1].map(|c| entries(&sample.columns[c], &sample.units));
                Self::SpearmanRho { x_groups, y_groups, n_rows }
            }
        }
    }

    /// A guess at the time of one resample.
    pub(super) fn nanoseconds(&self) -> usize {
        match self {
            Self::Undefined => 1,
            Self::Mean { values, .. } => 4 * values.len(),
            Self::RocAuc { groups } => 5 * groups.len(),
            Self::KendallTau { n_rows, .. } => 30 * n_rows,
            Self::SpearmanRho { n_rows, .. } => 8 * n_rows,
        }
    }

    pub(super) fn evaluate(&self, counts: &[Vec<Lanes<u32>>]) -> Lanes<f64> {
        simd::widest(Evaluation { prepared: self, counts })
    }
}

struct Evaluation<'a> {
    prepared: &'a Prepared,
    counts: &'a [Vec<Lanes<u32>>],
}

impl Kernel for Evaluation<'_> {
    type Output = Lanes<f64>;

    #[inline(always)]
    fn run<L: Level>(self) -> Lanes<f64> {
        let counts = self.counts;
        match self.prepared {
            Prepared::Undefined => [f64::NAN; LANES],
            Prepared::Mean { values, units } => mean(values, units, &counts[0]),
            Prepared::RocAuc { groups } => roc_auc(groups, &counts[0], &counts[1]),
            Prepared::KendallTau { x_groups, n_y, .. } => kendall_tau(x_groups, *n_y, &counts[0]),
            Prepared::SpearmanRho { x_groups, y_groups, n_rows } => {
                spearman_rho(x_groups, y_groups, *n_rows, &counts[0])
            }
        }
    }
}

fn entries(x: &[f64], units: &[u32]) -> Vec<Vec<Entry>> {
    let entry = |row: u32| Entry { row, unit: units[row as usize], y: 0 };
    tie_groups(x).iter().map(|group| group.iter().map(|row| entry(*row)).collect()).collect()
}

fn dense_ranks(y: &[f64]) -> (Vec<u32>, usize) {
    let groups = tie_groups(y);
    let mut dense = vec![0; y.len()];
    for (rank, group) in groups.iter().enumerate() {
        group.iter().for_each(|row| dense[*row as usize] = rank as u32);
    }
    (dense, groups.len())
}

fn two_sample_groups(positive: &Sample, negative: &Sample) -> Vec<TwoSampleGroup> {
    let n_positive = positive.units.len();
    let both = [&positive.columns[0][..], &negative.columns[0]].concat();
    let split = |group: &[u32]| {
        let (positives, negatives): (Vec<u32>, Vec<u32>) = group.iter().partition(|row| (**row as usize) < n_positive);
        TwoSampleGroup {
            positive: positives.iter().map(|row| positive.units[*row as usize]).collect(),
            negative: negatives.iter().map(|row| negative.units[*row as usize - n_positive]).collect(),
        }
    };
    tie_groups(&both).iter().map(split).collect()
}

#[inline(always)]
fn mean(values: &[f64], units: &[u32], counts: &[Lanes<u32>]) -> Lanes<f64> {
    let (mut sum, mut n) = ([0.0; LANES], [0.0; LANES]);
    for (value, unit) in values.iter().zip(units) {
        let count = &counts[*unit as usize];
        for lane in 0..LANES {
            sum[lane] += f64::from(count[lane]) * value;
            n[lane] += f64::from(count[lane]);
        }
    }
    from_fn(|lane| sum[lane] / n[lane]) // 0 / 0 is NaN: no row was drawn
}

#[inline(always)]
fn roc_auc(groups: &[TwoSampleGroup], positive: &[Lanes<u32>], negative: &[Lanes<u32>]) -> Lanes<f64> {
    let (mut below, mut above, mut half_wins) = ([0u64; LANES], [0u64; LANES], [0u64; LANES]);
    for group in groups {
        let positives = weight(&group.positive, positive);
        let negatives = weight(&group.negative, negative);
        for lane in 0..LANES {
            half_wins[lane] += positives[lane] * (2 * below[lane] + negatives[lane]);
            below[lane] += negatives[lane];
            above[lane] += positives[lane];
        }
    }
    from_fn(|lane| half_wins[lane] as f64 / (2.0 * above[lane] as f64 * below[lane] as f64))
}

#[inline(always)]
fn weight(units: &[u32], counts: &[Lanes<u32>]) -> Lanes<u64> {
    let mut weight = [0; LANES];
    for unit in units {
        add(&mut weight, &counts[*unit as usize]);
    }
    weight
}

#[inline(always)]
fn add(to: &mut Lanes<u64>, counts: &Lanes<u32>) {
    for lane in 0..LANES {
        to[lane] += u64::from(counts[lane]);
    }
}

#[inline(always)]
fn pairs_within(weight: &Lanes<u64>) -> Lanes<u64> {
    weight.map(|w| w * w.saturating_sub(1) / 2)
}

#[inline(always)]
fn kendall_tau(x_groups: &[Vec<Entry>], n_y: usize, counts: &[Lanes<u32>]) -> Lanes<f64> {
    let (mut tree, mut by_y) = (Fenwick::new(n_y), vec![[0u64; LANES]; n_y]);
    let (mut net, mut seen, mut tied_x) = ([0i64; LANES], [0u64; LANES], [0u64; LANES]);
    for group in x_groups {
        for entry in group {
            let (less, up_to) = (tree.sum(entry.y as usize), tree.sum(entry.y as usize + 1));
            let count = &counts[entry.unit as usize];
            for lane in 0..LANES {
                let balance = (less[lane] + up_to[lane]) as i64 - seen[lane] as i64; // less - greater
                net[lane] += i64::from(count[lane]) * balance;
            }
        }
        let mut drawn = [0; LANES];
        for entry in group {
            let count = &counts[entry.unit as usize];
            tree.add(entry.y as usize, count);
            add(&mut by_y[entry.y as usize], count);
            add(&mut drawn, count);
        }
        let tied = pairs_within(&drawn);
        for lane in 0..LANES {
            seen[lane] += drawn[lane];
            tied_x[lane] += tied[lane];
        }
    }
    let tied_y = by_y.iter().map(pairs_within).fold([0; LANES], |a, b| from_fn(|lane| a[lane] + b[lane]));
    let all = pairs_within(&seen);
    from_fn(|lane| tau_b(net[lane], all[lane] - tied_x[lane], all[lane] - tied_y[lane]))
}

/// Running sums over dense ranks, for all lanes at once (Fenwick 1994).
struct Fenwick(Vec<Lanes<u64>>);

impl Fenwick {
    fn new(n: usize) -> Self {
        Self(vec![[0; LANES]; n + 1])
    }

    #[inline(always)]
    fn add(&mut self, rank: usize, counts: &Lanes<u32>) {
        let mut node = rank + 1;
        while node < self.0.len() {
            add(&mut self.0[node], counts);
            node += node & node.wrapping_neg();
        }
    }

    /// Total of the ranks below `rank`.
    #[inline(always)]
    fn sum(&self, rank: usize) -> Lanes<u64> {
        let (mut total, mut node) = ([0; LANES], rank);
        while node > 0 {
            let part = &self.0[node];
            for lane in 0..LANES {
                total[lane] += part[lane];
            }
            node &= node - 1;
        }
        total
    }
}

#[inline(always)]
fn spearman_rho(x_groups: &[Vec<Entry>], y_groups: &[Vec<Entry>], n_rows: usize, counts: &[Lanes<u32>]) -> Lanes<f64> {
    let mut rank_x = vec![[0.0; LANES]; n_rows];
    let (mut xx, mut xy, mut yy) = ([0.0; LANES], [0.0; LANES], [0.0; LANES]);
    let n = drawn_rows(x_groups, counts);
    for_each_centred_rank(x_groups, &n, counts, |group, weight, rank| {
        group.iter().for_each(|entry| rank_x[entry.row as usize] = *rank);
        add_products(&mut xx, weight, rank, rank);
    });
    for_each_centred_rank(y_groups, &n, counts, |group, weight, rank| {
        for entry in group {
            let weight = counts[entry.unit as usize].map(f64::from);
            add_products(&mut xy, &weight, &rank_x[entry.row as usize], rank);
        }
        add_products(&mut yy, weight, rank, rank);
    });
    from_fn(|lane| correlation(xy[lane], xx[lane], yy[lane]))
}

#[inline(always)]
fn drawn_rows(groups: &[Vec<Entry>], counts: &[Lanes<u32>]) -> Lanes<f64> {
    let mut n = [0; LANES];
    groups.iter().flatten().for_each(|entry| add(&mut n, &counts[entry.unit as usize]));
    n.map(|n| n as f64)
}

/// Visits each group of ties with the number of its rows drawn and twice its midrank less `n + 1`.
#[inline(always)]
fn for_each_centred_rank(
    groups: &[Vec<Entry>],
    n: &Lanes<f64>,
    counts: &[Lanes<u32>],
    mut visit: impl FnMut(&[Entry], &Lanes<f64>, &Lanes<f64>),
) {
    let mut below = [0.0; LANES];
    for group in groups {
        let mut weight = [0; LANES];
        group.iter().for_each(|entry| add(&mut weight, &counts[entry.unit as usize]));
        let weight = weight.map(|w| w as f64);
        visit(group, &weight, &from_fn(|lane| 2.0 * below[lane] + weight[lane] - n[lane]));
        for lane in 0..LANES {
            below[lane] += weight[lane];
        }
    }
}

#[inline(always)]
fn add_products(to: &mut Lanes<f64>, weight: &Lanes<f64>, x: &Lanes<f64>, y: &Lanes<f64>) {
    for lane in 0..LANES {
        to[lane] += weight[lane] * x[lane] * y[lane];
    }
}
