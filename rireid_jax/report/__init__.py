"""What a run leaves for people: metrics, tables and pictures."""
