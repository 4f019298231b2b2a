"""The mathematics, as pure functions on tensors. Index 0 of a (C+1)-channel map is background."""
