//! What may be exchanged under the hypothesis: all relabellings in order, or one at random.
//!
//! A relabelling is a vector; relabelling 0 is the one observed. They are visited in an order in which the last
//! positions change most often, so that sums over the first need not be made anew.

use std::ops::Range;

use crate::random::SHORT_INDEX;

/// A kind of exchange.
#[derive(Debug, Clone)]
pub(super) enum Design {
    /// Each of `n` units stays (0) or is flipped (1).
    Flips { n: usize },
    /// The first `chosen` entries are the units of one of the two samples.
    Choices { n: usize, chosen: usize },
    /// Entry `i` is the place whose value comes to place `i`; places are exchanged within each range.
    Shuffles { groups: Vec<Range<usize>> },
}

impl Design {
    /// Entries that say what is where.
    pub(super) fn n_positions(&self) -> usize {
        match self {
            Self::Flips { n } => *n,
            Self::Choices { chosen, .. } => *chosen,
            Self::Shuffles { groups } => groups.last().map_or(0, |group| group.end),
        }
    }

    /// The number of relabellings, if it is not above `most`.
    pub(super) fn count(&self, most: u64) -> Option<u64> {
        let within = |n: u128| u64::try_from(n).ok().filter(|n| *n <= most);
        match self {
            Self::Flips { n } => within(1u128.checked_shl(*n as u32)?).filter(|_| *n < 64),
            Self::Choices { n, chosen } => {
                let fewer = *chosen.min(&(n - chosen)); // so that no product on the way is above the last
                (0..fewer).try_fold(within(1)?, |all, i| within(u128::from(all) * (n - i) as u128 / (i + 1) as u128))
            }
            Self::Shuffles { groups } => {
                let mut factors = groups.iter().flat_map(|group| 2..=group.len() as u64);
                factors.try_fold(within(1)?, |all, factor| within(u128::from(all) * u128::from(factor)))
            }
        }
    }

    /// The observed labels; random relabellings start from them.
    pub(super) fn observed(&self) -> Vec<u32> {
        match self {
            Self::Flips { n } => vec![0; *n],
            Self::Choices { n, .. } => (0..*n as u32).collect(),
            Self::Shuffles { .. } => (0..self.n_positions() as u32).collect(),
        }
    }

    /// Relabelling `index` of all, from the observed one.
    pub(super) fn start(&self, mut index: u64, labels: &mut [u32]) {
        match self {
            Self::Flips { n } => {
                (0..*n).for_each(|i| labels[i] = (index >> (n - 1 - i)) as u32 & 1);
            }
            Self::Choices { n, chosen } => choose(index, *n, &mut labels[..*chosen]),
            Self::Shuffles { groups } => {
                for group in groups.iter().rev() {
                    let n_orders: u64 = (1..=group.len() as u64).product();
                    order(index % n_orders, &mut labels[group.clone()]);
                    index /= n_orders;
                }
            }
        }
    }

    /// The next relabelling; returns the first position that it changes.
    #[inline(always)]
    pub(super) fn advance(&self, labels: &mut [u32]) -> usize {
        match self {
            Self::Flips { .. } => next_flips(labels),
            Self::Choices { n, chosen } => next_choice(*n as u32, &mut labels[..*chosen]),
            Self::Shuffles { groups } => {
                for group in groups.iter().rev() {
                    if let Some(changed) = next_order(&mut labels[group.clone()]) {
                        return group.start + changed;
                    }
                }
                0
            }
        }
    }

    /// Random words that a random relabelling takes.
    pub(super) fn n_words(&self) -> usize {
        match self {
            Self::Flips { n } => n.div_ceil(32),
            Self::Choices { n, chosen } => chosen * words_a_step(*n),
            Self::Shuffles { groups } => groups.iter().map(|group| (group.len() - 1) * words_a_step(group.len())).sum(),
        }
    }

    /// A random relabelling, from the observed one.
    #[inline(always)]
    pub(super) fn draw(&self, mut words: &[u32], labels: &mut [u32]) {
        match self {
            Self::Flips { .. } => {
                for (labels, bits) in labels.chunks_mut(32).zip(words) {
                    for (i, flip) in labels.iter_mut().enumerate() {
                        *flip = (bits >> i) & 1;
                    }
                }
            }
            Self::Choices { chosen, .. } => shuffle(words, labels, *chosen),
            Self::Shuffles { groups } => {
                for group in groups {
                    let n = group.len() - 1;
                    shuffle(words, &mut labels[group.clone()], n);
                    words = &words[n * words_a_step(group.len())..];
                }
            }
        }
    }
}

/// One word makes an index below 2^20, two make a larger one.
fn words_a_step(n: usize) -> usize {
    if n <= SHORT_INDEX { 1 } else { 2 }
}

/// Puts random ones of `labels` into its first `n` places (Fisher and Yates).
#[inline(always)]
fn shuffle(words: &[u32], labels: &mut [u32], n: usize) {
    if words_a_step(labels.len()) == 1 {
        for (i, word) in words[..n].iter().enumerate() {
            let step = (u64::from(*word) * (labels.len() - i) as u64) >> 32;
            labels.swap(i, i + step as usize);
        }
    } else {
        for (i, [high, low]) in words.as_chunks::<2>().0[..n].iter().enumerate() {
            let wide = (u64::from(*high) << 32) | u64::from(*low);
            let step = (u128::from(wide) * (labels.len() - i) as u128) >> 64;
            labels.swap(i, i + step as usize);
        }
    }
}

/// Choice `index` of ascending numbers below `n`, in lexicographic order.
fn choose(mut index: u64, n: usize, chosen: &mut [u32]) {
    let k = chosen.len();
    let mut candidate = 0;
    for (i, slot) in chosen.iter_mut().enumerate() {
        loop {
            let with_it = binomial(n - 1 - candidate, k - 1 - i);
            if index < with_it {
                break;
            }
            index -= with_it;
            candidate += 1;
        }
        *slot = candidate as u32;
        candidate += 1;
    }
}

fn binomial(n: usize, k: usize) -> u64 {
    if k > n { 0 } else { (0..k as u64).fold(1, |all, i| all * (n as u64 - i) / (i + 1)) }
}

/// Order `index` of ascending labels, in lexicographic order.
fn order(mut index: u64, labels: &mut [u32]) {
    let mut n_orders: u64 = (1..=labels.len() as u64).product();
    for i in 0..labels.len() {
        n_orders /= (labels.len() - i) as u64;
        let step = (index / n_orders) as usize;
        index %= n_orders;
        labels[i..=i + step].rotate_right(1);
    }
}

#[inline(always)]
fn next_flips(flips: &mut [u32]) -> usize {
    let mut i = flips.len();
    while i > 0 {
        i -= 1;
        flips[i] ^= 1;
        if flips[i] == 1 {
            break;
        }
    }
    i
}

#[inline(always)]
fn next_choice(n: u32, chosen: &mut [u32]) -> usize {
    let k = chosen.len();
    let Some(i) = (0..k).rev().find(|i| chosen[*i] + ((k - i) as u32) < n) else { return 0 };
    let first = chosen[i] + 1;
    (i..k).zip(first..).for_each(|(j, unit)| chosen[j] = unit);
    i
}

/// Nothing after the last, descending order, which becomes the first again.
#[inline(always)]
fn next_order(labels: &mut [u32]) -> Option<usize> {
    let Some(i) = (1..labels.len()).rev().find(|i| labels[i - 1] < labels[*i]) else {
        labels.reverse();
        return None;
    };
    let larger = (i..labels.len()).rev().find(|j| labels[*j] > labels[i - 1])?;
    labels.swap(i - 1, larger);
    labels[i..].reverse();
    Some(i - 1)
}

#[cfg(test)]
mod tests {
    use super::super::words::Fill;
    use super::*;
    use crate::simd;

    fn designs() -> [(Design, u64); 6] {
        [
            (Design::Flips { n: 5 }, 32),
            (Design::Choices { n: 7, chosen: 3 }, 35),
            (Design::Choices { n: 4, chosen: 4 }, 1),
            (Design::Shuffles { groups: vec![0..3, 3..4, 4..8] }, 144),
            (Design::Shuffles { groups: vec![] }, 1),
            (Design::Shuffles { groups: vec![0..1, 1..3] }, 2),
        ]
    }

    #[test]
    fn every_relabelling_comes_once_wherever_one_starts() {
        for (design, n) in designs() {
            assert_eq!((design.count(n), design.count(n - 1)), (Some(n), None));
            let (mut labels, mut seen) = (design.observed(), Vec::new());
            for i in 0..n {
                let mut same = design.observed();
                design.start(i, &mut same);
                assert_eq!(labels[..design.n_positions()], same[..design.n_positions()], "{design:?} {i}");
                seen.push(labels[..design.n_positions()].to_vec());
                let before = labels.clone();
                let changed = design.advance(&mut labels);
                assert_eq!(before[..changed], labels[..changed]);
            }
            seen.sort();
            seen.dedup();
            assert_eq!(seen.len() as u64, n);
        }
    }

    #[test]
    fn random_relabellings_are_relabellings_and_about_uniform() {
        for (design, n) in designs() {
            let mut seen = std::collections::HashMap::new();
            for i in 0..200 * n {
                let mut labels = design.observed();
                let mut words = vec![0; design.n_words()];
                simd::widest(Fill { words: &mut words, seed: 1, index: i });
                design.draw(&words, &mut labels);
                labels.truncate(design.n_positions());
                if matches!(design, Design::Choices { .. }) {
                    labels.sort_unstable();
                }
                *seen.entry(labels).or_insert(0) += 1;
            }
            assert_eq!(seen.len() as u64, n);
            assert!(seen.values().all(|count| (120..=290).contains(count) || n == 1), "{seen:?}");
        }
    }

    #[test]
    fn too_many_relabellings_are_not_counted() {
        assert_eq!(Design::Flips { n: 64 }.count(u64::MAX), None);
        assert_eq!(Design::Flips { n: 1000 }.count(u64::MAX), None);
        assert_eq!(Design::Choices { n: 1000, chosen: 500 }.count(u64::MAX), None);
        assert_eq!(Design::Shuffles { groups: std::iter::once(0..500).collect() }.count(u64::MAX), None);
    }
}
