"""The composition root: builds the parts, runs them, stops them in order."""
