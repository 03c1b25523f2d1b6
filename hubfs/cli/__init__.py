"""Commands: what a person types, what it prints, how it exits."""
