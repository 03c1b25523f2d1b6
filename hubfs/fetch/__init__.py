"""Bytes on demand: what to ask for next, getting it, checking it, and who waits for it."""
