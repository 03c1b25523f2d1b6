"""The benchmarks behind `scripts/bench`: hubfs beside what people would use instead of it.

Every row is a ratio of two things that ran in turn on this machine, so that a
slow or busy one spoils both alike. A run has no figure without a proof that
the right bytes came.
"""
