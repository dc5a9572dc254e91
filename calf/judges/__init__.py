"""LLM judges: prompts, the readers of their answers, and the metrics made of both."""
