"""Requests to any OpenAI-compatible server: sent once, paid once, counted, recorded. Knows nothing of metrics."""
