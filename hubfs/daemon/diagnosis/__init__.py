"""What `hubfs doctor` finds out: facts of the machine in, verdicts with advice out."""
