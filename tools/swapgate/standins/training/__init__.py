"""Training of the bundled stand-ins; imported only when something is trained."""
