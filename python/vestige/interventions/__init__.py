"""Models changed on purpose."""
