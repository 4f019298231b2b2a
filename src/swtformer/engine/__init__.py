"""How anything is fitted: loop, optimiser, checkpoints, resume. It knows no method."""
