"""What a check of a domain found wrong."""

from veriloop.core.base import Frozen


class Finding(Frozen):
    """One thing to mend: where it is, what is wrong, what to do about it."""

    where: str
    what: str
    fix: str
