"""Runs: what a metric is asked, what it said, what that makes, and how it survives on disk."""
