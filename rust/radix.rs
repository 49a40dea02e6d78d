//! Sorting by digits instead of by comparing: a few passes over memory, without a branch that depends on the data.

use crate::merge;
use crate::threads;

/// What is sorted: by `key` first, and among equal keys by its order.
pub(crate) trait Item: Copy + Ord + Default + Send + Sync {
    fn key(&self) -> u64;
}

impl Item for u64 {
    fn key(&self) -> u64 {
        *self
    }
}

impl<T: Copy + Ord + Default + Send + Sync> Item for (u64, T) {
    fn key(&self) -> u64 {
        self.0
    }
}

/// Fewer items are sorted faster by comparing.
const FEW: usize = 200;
/// Bits of a digit: with more, the ends of all digits' items are further away.
const WIDTH: u32 = 10;
const DIGITS: usize = 1 << WIDTH;
/// Up to so many items, two digits tell most keys apart; more have three.
const SHORT: usize = 2000;
/// Nanoseconds that an item takes, for the choice of threads.
pub(crate) const NANOSECONDS: usize = 20;
/// Blocks smaller than this are not worth a thread.
const BLOCK: usize = 1 << 16;

/// Sorts by the leading bits of the keys, and repairs by insertion what those leave in disorder.
pub(crate) fn sort<T: Item>(items: &mut Vec<T>) {
    threads::halving(items.len(), BLOCK, NANOSECONDS, |depth| sort_halves(items, depth));
}

/// The same, with `depth` halvings that may go to other threads; see [`threads::halving`].
pub(crate) fn sort_halves<T: Item>(items: &mut Vec<T>, depth: u32) {
    if depth == 0 {
        return sort_alone(items);
    }
    let mut right = items.split_off(items.len() / 2);
    threads::join(depth, || sort_halves(items, depth - 1), || sort_halves(&mut right, depth - 1));
    let mut sorted = vec![T::default(); items.len() + right.len()];
    merge::merge(items, &right, &mut sorted, depth);
    *items = sorted;
}

fn sort_alone<T: Item>(items: &mut Vec<T>) {
    let few = FEW..u32::MAX as usize;
    let Some(digits) = few.contains(&items.len()).then(|| Digits::of(items)) else { return items.sort_unstable() };
    let mut scratch = vec![T::default(); items.len()];
    for (pass, starts) in digits.starts(items).iter_mut().enumerate() {
        for item in &*items {
            let start = &mut starts[digits.digit(item, pass)];
            scratch[*start as usize] = *item;
            *start += 1;
        }
        std::mem::swap(items, &mut scratch);
    }
    repair(items);
}

/// Which bits of the keys are sorted by, and in how many passes.
struct Digits {
    least: u64,
    shift: u32,
    passes: u32,
}

impl Digits {
    /// Sign, exponent and so many bits of the fraction that most keys are told apart.
    fn of<T: Item>(items: &[T]) -> Self {
        let (mut least, mut most) = (u64::MAX, 0);
        for item in items {
            (least, most) = (least.min(item.key()), most.max(item.key()));
        }
        let span = u64::BITS - (most - least).leading_zeros();
        let wanted = if items.len() <= SHORT { 2 } else { 3 };
        let passes = span.div_ceil(WIDTH).min(wanted);
        Self { least, shift: span.saturating_sub(WIDTH * passes), passes }
    }

    #[inline(always)]
    fn digit<T: Item>(&self, item: &T, pass: usize) -> usize {
        ((item.key() - self.least) >> (self.shift + pass as u32 * WIDTH)) as usize % DIGITS
    }

    /// Where each digit's items begin in each pass.
    fn starts<T: Item>(&self, items: &[T]) -> Vec<[u32; DIGITS]> {
        let mut counts = vec![[0; DIGITS]; self.passes as usize];
        for item in items {
            for (pass, counts) in counts.iter_mut().enumerate() {
                counts[self.digit(item, pass)] += 1;
            }
        }
        for counts in &mut counts {
            let mut below = 0;
            counts.iter_mut().for_each(|count| below += std::mem::replace(count, below));
        }
        counts
    }
}

/// Sorts what is nearly sorted; by comparing, if it proves not to be.
fn repair<T: Item>(items: &mut [T]) {
    let mut steps_left = 4 * items.len();
    for i in 1..items.len() {
        if items[i] < items[i - 1] {
            let (item, mut hole) = (items[i], i);
            while hole > 0 && item < items[hole - 1] {
                items[hole] = items[hole - 1];
                hole -= 1;
            }
            items[hole] = item;
            match steps_left.checked_sub(i - hole) {
                Some(left) => steps_left = left,
                None => return items.sort_unstable(),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn assert_sorts(items: Vec<(u64, u32)>) {
        let (mut sorted, mut expected) = (items.clone(), items);
        sort(&mut sorted);
        expected.sort_unstable();
        assert_eq!(sorted, expected);
    }

    #[test]
    fn any_keys_are_sorted() {
        let scattered = |i: u64| i.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        for n in [0, 1, 199, 200, 1000, 3000, 200_000] {
            assert_sorts((0..n).map(|i| (scattered(i), i as u32)).collect());
            assert_sorts((0..n).rev().map(|i| (i, 0)).collect());
            assert_sorts((0..n).map(|i| (scattered(i) >> 60, i as u32)).collect());
            assert_sorts((0..n).map(|i| (u64::MAX - (i & 1), (n - i) as u32)).collect());
        }
    }

    #[test]
    fn keys_that_share_their_leading_bits_are_sorted() {
        let low = (0..5000u64).map(|i| (i.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 50, 7));
        assert_sorts(low.chain([(u64::MAX, 0)]).collect());
    }
}
