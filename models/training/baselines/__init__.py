"""What SFCNet is compared with: plain networks at the same width, for the same data and time."""
