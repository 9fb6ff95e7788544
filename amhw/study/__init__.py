"""Studies: many multipliers through every stage, in one table."""
