"""Metrics: the protocols, how one is found, and those that CALF brings."""
