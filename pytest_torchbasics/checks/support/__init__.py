"""What several checks need; every file is about one thing."""
