"""The boundary to a domain's own code: whatever it raises becomes an error that leads to the line."""

import traceback

from veriloop.core.errors import InputError


def blame_code(error: Exception, what: str = "", file: str = "") -> InputError:
    """Return the InputError for what a domain's code raised.

    what: the part of the domain that was at work. file: where its line is looked for; left out, it is the file of what
    was called by the function that caught the error.
    """
    frames = traceback.extract_tb(error.__traceback__)
    file = file or frames[:2][-1].filename
    lines = [frame.lineno for frame in frames if frame.filename == file]
    where = f"{file}:{lines[-1]}" if lines else file
    return InputError(f"{where}: {what and what + ' raised '}{type(error).__name__}: {error}; correct the domain")
