//! The one place where work is spread over threads.

use std::ops::Range;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

use rayon::prelude::*;
use rayon::{ThreadPool, ThreadPoolBuilder};

use crate::{Error, mapped};

/// Nanoseconds of work below which waking the pool costs more than it gains.
const WORTH_A_WAKE_UP: usize = 200_000;

/// Elements of a table that one task takes, unless a row is longer.
const ELEMENTS_PER_BLOCK: usize = 1 << 15;

static CHOSEN: AtomicUsize = AtomicUsize::new(0);
static POOLS: OnceLock<Box<Pool>> = OnceLock::new();

/// A pool belongs to the process that made it: threads do not survive a fork, so a child makes its own.
/// Pools are kept in a list that only grows, because reading it needs no lock that a fork could leave held.
struct Pool {
    process: u32,
    n_threads: usize,
    /// Nothing where the operating system gives no threads; work is then done by the caller.
    threads: Option<ThreadPool>,
    next: OnceLock<Box<Pool>>,
}

impl Pool {
    fn new(process: u32, n_threads: usize) -> Box<Self> {
        let builder = ThreadPoolBuilder::new().num_threads(n_threads).thread_name(|i| format!("vestige-{i}"));
        Box::new(Self { process, n_threads, threads: builder.build().ok(), next: OnceLock::new() })
    }
}

fn pool(n_threads: usize) -> Option<&'static ThreadPool> {
    let process = std::process::id();
    let mut slot = &POOLS;
    loop {
        let pool = slot.get_or_init(|| Pool::new(process, n_threads));
        if pool.process == process && pool.n_threads == n_threads {
            return pool.threads.as_ref();
        }
        slot = &pool.next;
    }
}

/// Number of threads that kernels use: what [`set_num_threads`] said, else the machine's share of this process.
pub fn num_threads() -> usize {
    match CHOSEN.load(Ordering::Relaxed) {
        0 => {
            let n = std::thread::available_parallelism().map_or(1, usize::from);
            CHOSEN.store(n, Ordering::Relaxed);
            n
        }
        n => n,
    }
}

/// Sets the number of threads for calls from now on; results do not depend on it.
///
/// # Errors
/// [`Error::ThreadCount`] if it is 0.
pub fn set_num_threads(n: usize) -> Result<(), Error> {
    if n == 0 {
        return Err(Error::ThreadCount { seen: n });
    }
    CHOSEN.store(n, Ordering::Relaxed);
    Ok(())
}

/// `f(0), f(1), … f(n - 1)` in order, on all threads if `nanoseconds` (a guess at the whole work) makes that worth it.
pub(crate) fn map<R: Send>(n: usize, nanoseconds: usize, f: impl Fn(usize) -> R + Send + Sync) -> Vec<R> {
    let n_threads = num_threads();
    let alone = n < 2 || n_threads == 1 || nanoseconds < WORTH_A_WAKE_UP;
    match if alone { None } else { pool(n_threads) } {
        Some(threads) => threads.install(|| (0..n).into_par_iter().map(f).collect()),
        None => (0..n).map(f).collect(),
    }
}

/// Runs `work` where it can [`join`] halves: it is told how often to halve `n` elements (at `nanoseconds` each), so that
/// every thread has a part and no part has fewer than `least`; 0 if it should run alone. Only for what is exact, since
/// the halves depend on the number of threads.
pub(crate) fn halving<R: Send>(n: usize, least: usize, nanoseconds: usize, work: impl FnOnce(u32) -> R + Send) -> R {
    let n_threads = num_threads();
    let depth = n_threads.next_power_of_two().ilog2().min((n / least).max(1).ilog2());
    let alone = depth == 0 || n * nanoseconds < WORTH_A_WAKE_UP;
    match if alone { None } else { pool(n_threads) } {
        Some(threads) => threads.install(|| work(depth)),
        None => work(0),
    }
}

/// Both, at once if `depth` is not 0.
pub(crate) fn join<A: Send, B: Send>(depth: u32, a: impl FnOnce() -> A + Send, b: impl FnOnce() -> B + Send) -> (A, B) {
    if depth == 0 { (a(), b()) } else { rayon::join(a, b) }
}

/// Index ranges of `block` elements that cover `0..n`; they depend on `n` alone, never on the threads.
pub(crate) fn blocks(n: usize, block: usize) -> Vec<Range<usize>> {
    (0..n).step_by(block).map(|start| start..n.min(start + block)).collect()
}

/// What `f` makes of all rows of `n_classes` elements (at `nanoseconds` each), range by range, or the first range's error.
pub(crate) fn map_rows<R: Send>(
    (n_rows, n_classes): (usize, usize),
    nanoseconds: usize,
    f: impl Fn(Range<usize>) -> Result<Vec<R>, Error> + Send + Sync,
) -> Result<Vec<R>, Error> {
    let rows_per_block = (ELEMENTS_PER_BLOCK / n_classes).max(1);
    let (blocks, tables) = (blocks(n_rows, rows_per_block), mapped::announced(n_rows));
    let mut rows = Vec::with_capacity(n_rows);
    for stretch in blocks.chunks((mapped::rows_at_once(&tables) / rows_per_block).max(1)) {
        let work = stretch.len() * rows_per_block * n_classes * nanoseconds;
        for block in map(stretch.len(), work, |i| f(stretch[i].clone())) {
            rows.extend(block?);
        }
        mapped::leave_behind(&tables, stretch[0].start..rows.len());
    }
    Ok(rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn order_is_kept_and_blocks_cover_everything() {
        assert_eq!(map(1000, usize::MAX, |i| i * i), (0..1000).map(|i| i * i).collect::<Vec<_>>());
        assert_eq!(blocks(5, 2), vec![0..2, 2..4, 4..5]);
        assert!(blocks(0, 2).is_empty());
    }

    #[test]
    fn zero_threads_are_refused() {
        assert!(set_num_threads(0).is_err());
    }
}
