"""CALF's agreement analysis as a module of Hugging Face evaluate."""
