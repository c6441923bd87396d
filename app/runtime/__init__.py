"""app.runtime."""
