//! Merging sorted runs from both ends at once, and counting the pairs that stand in the wrong order.

use std::hint::select_unpredictable;

use crate::threads;

/// Runs shorter than this are sorted by insertion.
const INSERTION: usize = 12;
/// Nanoseconds that an element takes, for the choice of threads.
const NANOSECONDS: usize = 25;
/// Pieces smaller than this are not worth a thread.
const PIECE: usize = 1 << 15;

/// Number of pairs out of order; sorts `values`.
pub(crate) fn count_inversions<T: Ord + Copy + Send + Sync>(values: &mut [T]) -> u64 {
    let mut scratch = values.to_vec();
    threads::halving(values.len(), PIECE, NANOSECONDS, |depth| sort(values, &mut scratch, false, depth))
}

/// Sorts into `values`, or into `scratch` if `moved`; either holds the values at first.
fn sort<T: Ord + Copy + Send + Sync>(values: &mut [T], scratch: &mut [T], moved: bool, depth: u32) -> u64 {
    if values.len() <= INSERTION {
        return insertion_sort(if moved { scratch } else { values });
    }
    let middle = values.len() / 2;
    let (left, right) = values.split_at_mut(middle);
    let (left_scratch, right_scratch) = scratch.split_at_mut(middle);
    let below = depth.saturating_sub(1);
    let (in_left, in_right) =
        threads::join(depth, || sort(left, left_scratch, !moved, below), || sort(right, right_scratch, !moved, below));
    let (from, to) = if moved { (values, scratch) } else { (scratch, values) };
    in_left + in_right + merge(&from[..middle], &from[middle..], to, depth)
}

fn insertion_sort<T: Ord + Copy>(values: &mut [T]) -> u64 {
    let mut inversions = 0;
    for i in 1..values.len() {
        let (value, mut hole) = (values[i], i);
        while hole > 0 && value < values[hole - 1] {
            values[hole] = values[hole - 1];
            hole -= 1;
        }
        values[hole] = value;
        inversions += (i - hole) as u64;
    }
    inversions
}

/// Merges two sorted runs, the right one as long as the left one or longer by 1, and counts the pairs of them that are
/// out of order. Equal elements of the left run come first.
pub(crate) fn merge<T: Ord + Copy + Send + Sync>(left: &[T], right: &[T], to: &mut [T], depth: u32) -> u64 {
    let (mut front, mut back) = (Front::new(left, right), Back::new(left, right));
    let (head, tail) = to.split_at_mut(left.len());
    let odd = tail.len() - head.len();
    if depth > 0 {
        threads::join(
            depth,
            || head.iter_mut().for_each(|slot| *slot = front.next()),
            || tail[odd..].iter_mut().rev().for_each(|slot| *slot = back.next()),
        );
    } else {
        // Two chains of loads that do not wait for one another.
        for (low, high) in head.iter_mut().zip(tail[odd..].iter_mut().rev()) {
            (*low, *high) = (front.next(), back.next());
        }
    }
    if odd == 1 {
        let from_right = front.i == back.i;
        tail[0] = if from_right { right[front.j] } else { left[front.i] };
        front.inversions += if from_right { left.len() - front.i } else { 0 };
    }
    (front.inversions + back.inversions) as u64
}

/// Takes the smallest first. Before step `k` it has taken `i + j = k` elements, so both indices stay below the length
/// of the shorter run for as many steps.
struct Front<'a, T> {
    left: &'a [T],
    right: &'a [T],
    i: usize,
    j: usize,
    inversions: usize,
}

impl<'a, T: Ord + Copy> Front<'a, T> {
    fn new(left: &'a [T], right: &'a [T]) -> Self {
        Self { left, right, i: 0, j: 0, inversions: 0 }
    }

    #[inline(always)]
    fn next(&mut self) -> T {
        let (a, b) = (self.left[self.i], self.right[self.j]);
        let take_right = b < a;
        self.inversions += (self.left.len() - self.i) & usize::from(take_right).wrapping_neg();
        self.i += usize::from(!take_right);
        self.j += usize::from(take_right);
        select_unpredictable(take_right, b, a)
    }
}

/// Takes the largest first, from the ends `i` and `j` of what is left of the runs.
struct Back<'a, T> {
    left: &'a [T],
    right: &'a [T],
    i: usize,
    j: usize,
    inversions: usize,
}

impl<'a, T: Ord + Copy> Back<'a, T> {
    fn new(left: &'a [T], right: &'a [T]) -> Self {
        Self { left, right, i: left.len(), j: right.len(), inversions: 0 }
    }

    #[inline(always)]
    fn next(&mut self) -> T {
        let (a, b) = (self.left[self.i - 1], self.right[self.j - 1]);
        let take_left = b < a;
        self.inversions += (self.left.len() - self.i) & usize::from(!take_left).wrapping_neg();
        self.i -= usize::from(take_left);
        self.j -= usize::from(!take_left);
        select_unpredictable(take_left, a, b)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inversions_are_counted_as_by_hand() {
        for n in (0..200).chain([100_001]) {
            let mut values: Vec<u64> = (0..n).map(|i| (i * i * 7919 + 13) % 1009).collect();
            let expected = (0..n.min(200) as usize)
                .map(|i| values[..i].iter().filter(|v| **v > values[i]).count() as u64)
                .sum::<u64>();
            let found = count_inversions(&mut values);
            assert!(n > 200 || found == expected, "{n}");
            assert!(values.is_sorted());
        }
    }

    #[test]
    fn a_reversed_sequence_has_every_pair_out_of_order() {
        let mut values: Vec<u64> = (0..100_001).rev().collect();
        assert_eq!(count_inversions(&mut values), 100_001 * 50_000);
    }
}
