"""The window: Qt, and nothing but Qt. It pulls snapshots and submits commands."""
