"""drivers.prior."""
