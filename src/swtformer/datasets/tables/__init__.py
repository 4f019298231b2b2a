"""Label tables: which columns mean what, and what their cells say."""
