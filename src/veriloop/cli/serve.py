"""`veriloop serve`."""

import os
import sys
from typing import Annotated

from cyclopts import Parameter
from cyclopts.validators import Number

from veriloop.cli.output import Result
from veriloop.core.extra import needs_extra


def serve_command(
    model: str,
    *,
    host: str = "127.0.0.1",
    port: Annotated[int, Parameter(validator=Number(gte=0, lte=65535))] = 8000,
    rows: Annotated[int, Parameter(validator=Number(gte=1))] = 16,
    context: Annotated[int | None, Parameter(validator=Number(gte=1))] = None,
    seed: int = 0,
) -> Result:
    """Serve a trained model behind an OpenAI-compatible endpoint, until Ctrl-C.

    Parameters
    ----------
    model
        A model folder, or smollm2; clients ask for it by the folder's name.
    host
        Where to listen; other than on this machine alone, clients must show the key in $VERILOOP_API_KEY.
    port
        0 takes a free one; the address is printed.
    rows
        Dialogues written at once and kept in the cache; the others wait.
    context
        Tokens of a dialogue at most; by default what the model was made for.
    seed
        Of requests that bring none.
    """
    with needs_extra("serve"):
        from veriloop.serve.server import ServeConfig, open_server
    running = open_server(model, ServeConfig(host=host, port=port, rows=rows, context=context, seed=seed))
    running.heed_signals()
    data = {
        "base_url": running.base_url,
        "model": running.model,
        "seat": running.desk.seat,
        "context": running.desk.context,
        "rows": rows,
    }

    def serve() -> None:
        running.run()
        sys.stdout.flush()
        # Python would wait for the pass through the model that is under way, and take seconds to tidy up after torch.
        os._exit(0)

    return Result(data, f"serving {running.model!r} at {running.base_url}", then=serve)
