"""models.specimen."""
