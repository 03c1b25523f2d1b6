"""A faithful Hugging Face Hub on this machine, for tests, demo and benchmarks.

Two origins, ids derived from bytes, a request log, scripted faults, a settable
line. `LocalHub` is the whole of it; `python -m tests.localhub serve` runs one
as a process of its own.
"""

from tests.localhub.content import File
from tests.localhub.faults import Fault
from tests.localhub.hub import LocalHub
from tests.localhub.log import Record

__all__ = ["Fault", "File", "LocalHub", "Record"]
