"""Mount the Hugging Face Hub as one directory."""

import sys

# httpx takes a command line of its own along, with rich and pygments, where rich is installed.
# It does without where that can't be loaded, and each command of ours starts a fifth sooner.
sys.modules.setdefault("httpx._main", None)  # type: ignore[arg-type]
