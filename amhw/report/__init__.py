"""A study as one page that opens anywhere, and its pictures and tables."""
