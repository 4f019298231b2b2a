"""How anything is fitted: loop, optimiser, checkpoints, resume. Independent of any method."""
