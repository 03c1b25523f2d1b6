"""Plain values shared by all layers: identifiers, contents, ranges, listings, classification."""
