"""Modules of Hugging Face evaluate, which `evaluate.load` reads from their folders."""
