"""From many numbers to an `Estimate`: intervals, resampling, correlation, permutation, equivalence."""
