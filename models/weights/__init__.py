"""models.weights."""
