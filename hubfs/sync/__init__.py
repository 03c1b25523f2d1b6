"""Metadata in step with the Hub: what a name means, and the tree of what it means."""
