"""Everything that knows the disk: the run's layout, maps, masks, and notes of what was made with what."""
