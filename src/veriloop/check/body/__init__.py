"""What compiled checkers have in common. A checker runs alone, so these modules' text stands in each that needs it.

What is above a module's mark is for this package only. The rest keeps to the subset of Python that `check/allow.py`
allows, hence no regular expressions.
"""

import functools
from importlib import resources

MARK = "# ---\n"


@functools.cache
def read_part(name: str) -> str:
    """Return the text of a part: `state`, `calls`, `speech`, `told`, `vocabulary` or `refusal`."""
    return resources.files(__name__).joinpath(f"{name}.py").read_text(encoding="utf-8").partition(MARK)[2].strip()
