"""The mathematics as pure functions on tensors; torch only. Index 0 of a (C+1)-channel map is background."""
