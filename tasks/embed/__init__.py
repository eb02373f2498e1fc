"""Embed: vectors of pictures and captions by an image-text model, and how well the two belong together."""
