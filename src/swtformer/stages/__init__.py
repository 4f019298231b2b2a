"""The stages that the commands call; each reads a run folder, checks what it needs, and writes one result."""
