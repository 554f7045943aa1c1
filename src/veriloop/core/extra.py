"""The guard around imports that need an optional part of the installation."""

from collections.abc import Iterator
from contextlib import contextmanager

from veriloop.core.errors import InputError


@contextmanager
def needs_extra(extra: str) -> Iterator[None]:
    """Turn a missing third-party package inside the block into an InputError with the line that installs `extra`.

    The only place where first-party code may be imported inside a function is a block under this guard.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] == "veriloop":
            raise
        raise InputError(
            f"this needs the package {error.name!r} of the extra {extra!r}; run: pip install 'veriloop[{extra}]'"
        ) from error
