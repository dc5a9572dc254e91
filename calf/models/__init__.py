"""Models: weights from installed packages, local folders and the hub, as Hugging Face folders."""
