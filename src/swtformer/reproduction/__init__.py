"""The tables of the SWTformer paper: what each row is, what was published, and ours beside it."""
