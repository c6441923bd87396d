"""models.measure."""
