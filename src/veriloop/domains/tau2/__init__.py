"""Domains of the tau2 benchmark package: its real tools, policies and databases, opened cheaply.

Nothing here opens the package's task files; they belong to the official evaluation alone. Importing this package is
the one thing that has an effect: it keeps tau2, which would fetch a file and log as it is imported, off the network
and quiet.
"""

import contextlib
import os
import warnings


def quiet_tau2() -> None:
    """Keep tau2 off the network and quiet; must run before its first import."""
    os.environ.setdefault("LITELLM_LOCAL_MODEL_COST_MAP", "True")
    # Its tools store what they are given, of whatever type, and pydantic says so each time a row is shown.
    warnings.filterwarnings("ignore", message="Pydantic serializer warnings")
    # tau2 logs through loguru and needs it: without loguru there is no tau2 to quiet.
    with contextlib.suppress(ModuleNotFoundError):
        from loguru import logger

        logger.disable("tau2")


quiet_tau2()
