"""What can be told of each sperm: how it swims."""
