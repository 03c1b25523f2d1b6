"""How much may be here: what goes first, what stays, and who sees to it."""
