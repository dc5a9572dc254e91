"""Evaluators learned from human comparisons: features, models, cross-fitting, storing."""
