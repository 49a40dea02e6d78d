//! Permutation tests: all relabellings where they are few, else random ones, for one statistic or a family of them.
//!
//! A family's members are tested on the same relabellings, and adjusted by the largest studentised one (max-T, Westfall
//! and Young 1993). Relabelling `i` comes from its number or from stream `i` of the seed, so no result depends on the
//! number of threads.

mod design;
mod prepare;
mod statistic;
mod words;

use std::ops::Range;
use std::str::FromStr;

use crate::error::unknown;
use crate::simd::{self, Kernel, Level};
use crate::threads;
use design::Design;
pub use prepare::{Association, Comparison, label_test, sign_flip_test, within_group_test};
use statistic::{Scratch, Statistic};
use words::Fill;

/// Statistics closer than this, relative to their scale, are equal: they differ by rounding at most.
///
/// The scale is 1 for correlations, AUC and KS, and the mean absolute value (about the pooled mean) for means.
pub const TIE_TOLERANCE: f64 = 1e-11;

const RELABELLINGS_PER_BLOCK: usize = 1024;

/// What counts as far from the hypothesis.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Alternative {
    /// Far from the mean over relabellings.
    TwoSided,
    /// Small.
    Less,
    /// Large.
    Greater,
}

impl FromStr for Alternative {
    type Err = crate::Error;

    fn from_str(name: &str) -> Result<Self, crate::Error> {
        match name {
            "two-sided" => Ok(Self::TwoSided),
            "less" => Ok(Self::Less),
            "greater" => Ok(Self::Greater),
            _ => Err(unknown("alternative", name, "\"two-sided\", \"less\" or \"greater\"")),
        }
    }
}

/// How to test.
#[derive(Debug, Clone, Copy)]
pub struct Plan {
    /// What counts as far.
    pub alternative: Alternative,
    /// All relabellings are made if there are at most so many.
    pub most_exact: u64,
    /// Else so many random ones, and the observed one is counted with them.
    pub n_permutations: u64,
    /// Decides the random ones.
    pub seed: u64,
}

/// The outcome, one value a member of the family.
#[derive(Debug, Clone, PartialEq)]
pub struct PermutationTest {
    /// Of the data; NaN where it is undefined.
    pub statistic: Vec<f64>,
    /// Mean over relabellings; 0 where it was not needed.
    pub centre: Vec<f64>,
    /// Share of relabellings that are as far.
    pub p_value: Vec<f64>,
    /// Share of relabellings in which some member is as far.
    pub p_adjusted: Vec<f64>,
    /// Relabellings in which the statistic is undefined.
    pub n_undefined: Vec<u64>,
    /// Relabellings made.
    pub n_relabellings: u64,
    /// Whether these are all.
    pub exact: bool,
}

/// A statistic, what may be exchanged, and from which distance on two values of it differ.
struct Problem {
    design: Design,
    statistic: Statistic,
    tolerance: Vec<f64>,
}

impl Problem {
    fn test(&self, plan: &Plan) -> PermutationTest {
        let all = self.design.count(plan.most_exact);
        let sweep =
            Sweep { problem: self, n: all.unwrap_or(plan.n_permutations), exact: all.is_some(), seed: plan.seed };
        let observed = sweep.observed();
        let (centre, sd) = sweep.moments(plan.alternative, &observed);
        let scale = Scale::new(plan.alternative, centre, &sd, &self.tolerance);
        let reach = scale.reach(&observed);
        let counts = sweep.counts(&scale, &reach);
        let extra = u64::from(!sweep.exact);
        let p = |(hits, observed): (&u64, &f64)| {
            if observed.is_nan() { f64::NAN } else { (hits + extra) as f64 / (sweep.n + extra) as f64 }
        };
        let share = |hits: &[u64]| hits.iter().zip(&observed).map(p).collect();
        PermutationTest {
            p_value: share(&counts.own),
            p_adjusted: share(&counts.joint),
            n_undefined: counts.undefined,
            n_relabellings: sweep.n,
            exact: sweep.exact,
            centre: scale.centre,
            statistic: observed,
        }
    }
}

/// All relabellings that a test makes.
struct Sweep<'a> {
    problem: &'a Problem,
    n: u64,
    exact: bool,
    seed: u64,
}

impl Sweep<'_> {
    fn observed(&self) -> Vec<f64> {
        let mut values = vec![0.0; self.problem.statistic.n_members()];
        self.problem.statistic.evaluate(&self.problem.design.observed(), 0, &mut Scratch::default(), &mut values);
        values
    }

    /// What `add` gathers from the statistics of each relabelling, block by block in their order.
    fn gather<A: Send>(
        &self,
        empty: impl Fn() -> A + Sync + Send,
        add: impl Fn(&mut A, &[f64]) + Sync + Send,
    ) -> Vec<A> {
        let blocks = threads::blocks(self.n as usize, RELABELLINGS_PER_BLOCK);
        let n_labels = if self.exact { 4 } else { self.problem.design.observed().len() };
        let work = self.n as usize * (n_labels + 10) * (2 + self.problem.statistic.n_members());
        threads::map(blocks.len(), work, |i| {
            simd::widest(Gather { sweep: self, block: blocks[i].clone(), gathered: empty(), add: &add })
        })
    }

    #[inline(always)]
    fn visit<L: Level>(&self, block: Range<usize>, mut add: impl FnMut(&[f64])) {
        let Problem { design, statistic, .. } = self.problem;
        let (mut scratch, mut values) = (Scratch::default(), vec![0.0; statistic.n_members()]);
        let observed = design.observed();
        let (mut labels, mut changed, mut words) = (observed.clone(), 0, vec![0; design.n_words()]);
        if self.exact {
            design.start(block.start as u64, &mut labels);
        }
        for index in block {
            if !self.exact {
                labels.copy_from_slice(&observed);
                Fill { words: &mut words, seed: self.seed, index: index as u64 }.run::<L>();
                design.draw(&words, &mut labels);
            }
            statistic.evaluate(&labels, changed, &mut scratch, &mut values);
            add(&values);
            if self.exact {
                changed = design.advance(&mut labels);
            }
        }
    }

    /// Mean and standard deviation of each member, as far as they are needed: a single one-sided statistic needs neither,
    /// and only the members of a family need a common scale.
    fn moments(&self, alternative: Alternative, observed: &[f64]) -> (Vec<f64>, Vec<f64>) {
        let (alone, n_members) = (observed.len() == 1, observed.len());
        if alone && alternative != Alternative::TwoSided {
            return (vec![0.0; n_members], vec![1.0; n_members]);
        }
        let (centre, sd) =
            self.problem.statistic.moments(&self.problem.design).unwrap_or_else(|| self.gathered_moments(observed));
        (centre, if alone { vec![1.0] } else { sd })
    }

    /// From the relabellings themselves; among random ones the observed one counts, so that all are exchangeable.
    fn gathered_moments(&self, observed: &[f64]) -> (Vec<f64>, Vec<f64>) {
        let n_members = observed.len();
        let parts = self.gather(
            || vec![(0.0, 0.0); n_members],
            |sums, values| {
                for ((sum, value), origin) in sums.iter_mut().zip(values).zip(observed) {
                    sum.0 += value - origin;
                    sum.1 += (value - origin).powi(2);
                }
            },
        );
        let n = (self.n + u64::from(!self.exact)) as f64;
        let of_member = |member: usize| {
            let (first, second) =
                parts.iter().fold((0.0, 0.0), |(a, b), part| (a + part[member].0, b + part[member].1));
            (observed[member] + first / n, ((second - first * first / n) / n).max(0.0).sqrt())
        };
        (0..n_members).map(of_member).unzip()
    }

    fn counts(&self, scale: &Scale, reach: &[f64]) -> Counts {
        let n_members = reach.len();
        let parts = self.gather(|| Counts::new(n_members), |counts, values| counts.add(scale, reach, values));
        parts.into_iter().fold(Counts::new(n_members), Counts::merged)
    }
}

/// One block of relabellings.
struct Gather<'a, A, F> {
    sweep: &'a Sweep<'a>,
    block: Range<usize>,
    gathered: A,
    add: &'a F,
}

impl<A, F: Fn(&mut A, &[f64])> Kernel for Gather<'_, A, F> {
    type Output = A;

    #[inline(always)]
    fn run<L: Level>(mut self) -> A {
        self.sweep.visit::<L>(self.block, |values| (self.add)(&mut self.gathered, values));
        self.gathered
    }
}

/// From statistics to distances that can be compared between members.
struct Scale {
    alternative: Alternative,
    centre: Vec<f64>,
    /// 0 for a member that no relabelling changes: it is nowhere far.
    per_sd: Vec<f64>,
    tolerance: Vec<f64>,
}

impl Scale {
    fn new(alternative: Alternative, centre: Vec<f64>, sd: &[f64], tolerance: &[f64]) -> Self {
        let per = |(sd, tolerance): (&f64, &f64)| if *sd > *tolerance { 1.0 / sd } else { 0.0 };
        let per_sd: Vec<f64> = sd.iter().zip(tolerance).map(per).collect();
        let tolerance = tolerance.iter().zip(&per_sd).map(|(tolerance, per)| tolerance * per).collect();
        Self { alternative, centre, per_sd, tolerance }
    }

    #[inline(always)]
    fn distance(&self, member: usize, value: f64) -> f64 {
        let t = (value - self.centre[member]) * self.per_sd[member];
        match self.alternative {
            Alternative::TwoSided => t.abs(),
            Alternative::Less => -t,
            Alternative::Greater => t,
        }
    }

    /// From which distance on a relabelling counts for each member.
    fn reach(&self, observed: &[f64]) -> Vec<f64> {
        (0..observed.len()).map(|member| self.distance(member, observed[member]) - self.tolerance[member]).collect()
    }
}

struct Counts {
    own: Vec<u64>,
    joint: Vec<u64>,
    undefined: Vec<u64>,
}

impl Counts {
    fn new(n_members: usize) -> Self {
        Self { own: vec![0; n_members], joint: vec![0; n_members], undefined: vec![0; n_members] }
    }

    #[inline(always)]
    fn add(&mut self, scale: &Scale, reach: &[f64], values: &[f64]) {
        let mut farthest = f64::NEG_INFINITY;
        for (member, value) in values.iter().enumerate() {
            let distance = scale.distance(member, *value);
            self.undefined[member] += u64::from(value.is_nan());
            self.own[member] += u64::from(distance >= reach[member]);
            farthest = if distance > farthest { distance } else { farthest };
        }
        for (joint, reach) in self.joint.iter_mut().zip(reach) {
            *joint += u64::from(farthest >= *reach);
        }
    }

    fn merged(mut self, part: Self) -> Self {
        let sums = [(&mut self.own, part.own), (&mut self.joint, part.joint), (&mut self.undefined, part.undefined)];
        for (sum, part) in sums {
            sum.iter_mut().zip(part).for_each(|(sum, part)| *sum += part);
        }
        self
    }
}
