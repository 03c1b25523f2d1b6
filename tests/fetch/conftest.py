from hypothesis import settings

# How long an example takes is the machine's business, not a failure.
settings.register_profile("no deadline", deadline=None)
settings.load_profile("no deadline")
