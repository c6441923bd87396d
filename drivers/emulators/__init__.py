"""drivers.emulators."""
