"""app.records."""
