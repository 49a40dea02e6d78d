"""Tiny models trained here: an original, retrained ones, and many that were made to forget."""
