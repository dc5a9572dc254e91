"""Evaluators that others have trained and published, each with the prompt that its weights know and its own answers."""
