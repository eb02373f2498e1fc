"""Upload: pass a subset on through the Hugging Face Hub, whole or, where its licence forbids that, as an index."""
