"""From evidence to labels: the mask rule, start maps, pseudo-label rules."""
