"""`veriloop estimate`."""

from typing import Annotated

from cyclopts import Parameter
from cyclopts.validators import Number

from veriloop.cli.output import Result, align_table, show_progress
from veriloop.cli.scope import Only
from veriloop.cli.synth import Draw, Evolution, build_config
from veriloop.pipeline.estimate import CHARS_PER_TOKEN, Estimate, estimate_run


def estimate_command(
    domain: str,
    *,
    n: Annotated[int, Parameter(name=["-n", "--tasks"], validator=Number(gte=1))],
    draw: Draw | None = None,
    evolution: Evolution | None = None,
    only: Only | None = None,
    chars_per_token: Annotated[float, Parameter(validator=Number(gt=0))] = CHARS_PER_TOKEN,
) -> Result:
    """Say what `synth` with the same options would ask of models and pay for; nothing is sent.

    Ends with exit code 1 when that is more than `--max-usd`. What models have to say twice, and what they think, comes
    on top.

    Parameters
    ----------
    domain
        A name from `veriloop domains` or a path to a Python file.
    n
        Proved tasks wanted.
    chars_per_token
        Characters of a token of the models' tokenizers, on average.
    """
    evolution = evolution or Evolution()
    config = build_config(n, draw or Draw(), evolution, only or Only())
    with show_progress("rehearsing") as progress:
        found = estimate_run(domain, config, chars_per_token=chars_per_token, progress=progress)
    most = evolution.models.max_usd
    dear = most is not None and found.usd > most
    said = _describe(found) + (f"\nthat is more than --max-usd {most:g}" if dear else "")
    return Result(found.model_dump(mode="json"), said, 1 if dear else 0)


def _describe(found: Estimate) -> str:
    if not found.roles:
        return "no role is played by a model: nothing is asked and nothing paid"
    head = ["role", "calls", "prompt tokens", "completion tokens", "USD"]
    rows = [[role, use.calls, use.prompt_tokens, use.completion_tokens, use.usd] for role, use in found.roles.items()]
    total = f"{found.calls:,} calls, {found.tokens:,} tokens, {found.usd:.4f} USD"
    items = f"{found.items:,} items in all, {found.pilot_items:,} of them in pilots"
    if 2 * found.pilot_items > found.items:
        items += " (--pilot N makes those smaller, --rounds 0 --no-evolve does without)"
    return "\n".join([align_table(head, rows), f"about {total}, for {items}"])
