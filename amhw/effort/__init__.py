"""Effort spared inside a layer: sums that end early, and additions that are not exact (docs/effort.md)."""
