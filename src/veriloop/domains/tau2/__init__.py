"""Domains of the tau2 benchmark package: its real tools, policies and databases, opened cheaply.

Nothing here opens the package's task files; they belong to the official evaluation alone.
"""

import os

from veriloop.core.errors import InputError
from veriloop.domains.domain import Domain


def load_retail() -> Domain:
    """Return the retail domain; raises InputError when the tau2 extra is not installed."""
    prepare_tau2()
    try:
        from veriloop.domains.tau2.retail import build_retail
    except ModuleNotFoundError as error:
        message = f"tau2/retail needs a package that is missing ({error.name}); pip install 'veriloop[tau2]'"
        raise InputError(message) from None
    return build_retail()


def prepare_tau2() -> None:
    """Keep tau2 off the network and quiet; must run before its first import, which already does both."""
    os.environ.setdefault("LITELLM_LOCAL_MODEL_COST_MAP", "True")
    try:
        from loguru import logger
    except ModuleNotFoundError:
        return  # tau2 logs through loguru and needs it: without it there is no tau2 to quiet
    logger.disable("tau2")
