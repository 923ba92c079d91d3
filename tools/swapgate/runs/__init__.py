"""Run folders: manifest, journal, images, scores."""
