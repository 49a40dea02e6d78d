//! Tables in files that are mapped into memory: read once from front to back, and their pages given back behind.
//!
//! A table that the boundary has announced for this thread is processed in stretches by [`crate::threads::map_rows`];
//! after each, its pages leave the process (they stay in the cache of the operating system), so that a table larger than
//! memory needs little of it.

use std::cell::RefCell;
use std::ops::Range;

/// Bytes of all announced tables that are in memory at once.
const STRETCH: usize = 32 << 20;

/// Pages are at most this large where the program runs, and ranges of advice are rounded inwards to it.
const PAGE: usize = 64 << 10;

/// Rows of a mapped table.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Mapped {
    start: usize,
    row_bytes: usize,
    n_rows: usize,
}

thread_local! {
    static ANNOUNCED: RefCell<Vec<Mapped>> = const { RefCell::new(Vec::new()) };
}

/// While it lives, calls on this thread know of the table.
#[derive(Debug)]
pub struct Announced(Mapped);

impl Mapped {
    /// Announces a table whose rows lie `row_bytes` apart.
    ///
    /// # Safety
    /// All of its rows must be in one mapping of a file that cannot be written through, and stay there while the result
    /// lives: then a page that was given back reads the same when it is next touched.
    pub unsafe fn announce<T>(first: *const T, row_bytes: usize, n_rows: usize) -> Announced {
        let table = Self { start: first as usize, row_bytes, n_rows };
        ANNOUNCED.with_borrow_mut(|tables| tables.push(table));
        advise(table.bytes(0..n_rows), Advice::Sequential);
        Announced(table)
    }

    /// Whole pages of some rows, and of the page that the rows before end in, within the table.
    fn bytes(&self, rows: Range<usize>) -> Range<usize> {
        let (first, last) = (self.start + rows.start * self.row_bytes, self.start + rows.end * self.row_bytes);
        (first / PAGE * PAGE).max(self.start.next_multiple_of(PAGE))..last / PAGE * PAGE
    }
}

impl Drop for Announced {
    fn drop(&mut self) {
        advise(self.0.bytes(0..self.0.n_rows), Advice::Normal);
        ANNOUNCED.with_borrow_mut(|tables| tables.retain(|table| *table != self.0));
    }
}

/// The tables of `n_rows` rows that this thread has been told of.
pub(crate) fn announced(n_rows: usize) -> Vec<Mapped> {
    ANNOUNCED.with_borrow(|tables| tables.iter().filter(|table| table.n_rows == n_rows).copied().collect())
}

/// Rows of these tables that are to be in memory at once; all, where there is no table.
pub(crate) fn rows_at_once(tables: &[Mapped]) -> usize {
    let row_bytes: usize = tables.iter().map(|table| table.row_bytes).sum();
    STRETCH.checked_div(row_bytes).map_or(usize::MAX, |n_rows| n_rows.max(1))
}

/// Gives back the pages of rows that have been read.
pub(crate) fn leave_behind(tables: &[Mapped], rows: Range<usize>) {
    for table in tables {
        advise(table.bytes(rows.clone()), Advice::DontNeed);
    }
}

#[derive(Debug, Clone, Copy)]
enum Advice {
    Normal = 0,
    Sequential = 2,
    DontNeed = 4,
}

#[cfg(target_os = "linux")]
fn advise(bytes: Range<usize>, advice: Advice) {
    use std::ffi::{c_int, c_void};
    unsafe extern "C" {
        fn madvise(start: *mut c_void, length: usize, advice: c_int) -> c_int;
    }
    if !bytes.is_empty() {
        // SAFETY: the range lies within a mapping of a file that cannot be written through (see `Mapped::announce`), where
        // no advice changes what is read. It is only advice: a refusal does no harm.
        unsafe { madvise(bytes.start as *mut c_void, bytes.len(), advice as c_int) };
    }
}

#[cfg(not(target_os = "linux"))]
fn advise(_: Range<usize>, _: Advice) {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_whole_pages_of_the_table_are_given_back() {
        let table = Mapped { start: PAGE + 100, row_bytes: PAGE / 2, n_rows: 10 };
        assert_eq!(table.bytes(0..2), 2 * PAGE..2 * PAGE);
        assert_eq!(table.bytes(2..10), 2 * PAGE..6 * PAGE);
        assert_eq!((rows_at_once(&[table]), rows_at_once(&[])), (2 * STRETCH / PAGE, usize::MAX));
    }
}
