//! The table that training reads.

use super::TrainError;

/// Rows of readings in the user's units, row-major.
#[derive(Clone, Debug, PartialEq)]
pub struct Matrix {
    /// Number of readings.
    pub rows: usize,
    /// Number of features.
    pub columns: usize,
    /// `rows * columns` values; row `i` is `values[i * columns..][..columns]`.
    pub values: Vec<f32>,
}

impl Matrix {
    /// A matrix of `rows` x `columns`.
    ///
    /// # Errors
    /// [`TrainError::Shape`] if `values` has another length than `rows * columns`.
    pub fn new(rows: usize, columns: usize, values: Vec<f32>) -> Result<Self, TrainError> {
        let matrix = Self { rows, columns, values };
        matrix.check_shape().map(|()| matrix)
    }

    pub(crate) fn check_shape(&self) -> Result<(), TrainError> {
        if Some(self.values.len()) == self.rows.checked_mul(self.columns) {
            Ok(())
        } else {
            let Self { rows, columns, ref values } = *self;
            Err(TrainError::Shape { rows, columns, values: values.len() })
        }
    }

    /// Row `i`; panics if there is no such row.
    #[must_use]
    pub fn row(&self, i: usize) -> &[f32] {
        &self.values[i * self.columns..][..self.columns]
    }
}
