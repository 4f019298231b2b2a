"""What people say about masks: queue, decisions, corrections."""
