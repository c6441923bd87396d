"""drivers.mp285."""
