//! A table as a list of contiguous rows.

use crate::Error;

/// A borrowed table of shape `(n_rows, n_classes)` whose rows may lie apart.
#[derive(Debug, Clone, Copy)]
pub struct Rows<'a, T> {
    data: &'a [T],
    n_rows: usize,
    n_classes: usize,
    stride: usize,
}

impl<'a, T> Rows<'a, T> {
    /// A table whose row `i` starts at `data[i * stride]`.
    ///
    /// # Errors
    /// [`Error::Empty`] without rows or classes; [`Error::LengthMismatch`] if `data` ends before the last row does.
    pub fn new(data: &'a [T], n_rows: usize, n_classes: usize, stride: usize) -> Result<Self, Error> {
        if n_rows == 0 || n_classes == 0 {
            return Err(Error::Empty);
        }
        let needed = (n_rows - 1).saturating_mul(stride).saturating_add(n_classes);
        if data.len() < needed {
            return Err(Error::LengthMismatch { left: needed, right: data.len() });
        }
        Ok(Self { data, n_rows, n_classes, stride })
    }

    /// Number of rows.
    pub fn n_rows(&self) -> usize {
        self.n_rows
    }

    /// Number of elements in a row.
    pub fn n_classes(&self) -> usize {
        self.n_classes
    }

    /// Row `i`.
    pub fn row(&self, i: usize) -> &'a [T] {
        &self.data[i * self.stride..][..self.n_classes]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_may_lie_apart() {
        let rows = Rows::new(&[1, 2, 9, 3, 4], 2, 2, 3).unwrap();
        assert_eq!(rows.row(1), &[3, 4]);
    }

    #[test]
    fn a_short_buffer_is_refused() {
        assert!(Rows::new(&[1, 2, 3], 2, 2, 2).is_err());
        assert_eq!(Rows::new(&[1.0], 0, 1, 1).unwrap_err(), Error::Empty);
        assert!(Rows::new(&[1.0], 3, 1, usize::MAX).is_err());
        assert!(Rows::new(&[1.0], 2, usize::MAX, 1).is_err());
    }
}
