"""models.sfcnet."""
