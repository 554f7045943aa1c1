"""Prompts are Markdown files beside this one, or their namesakes in a folder of the user's."""

from functools import cache, lru_cache
from importlib import resources
from pathlib import Path
from typing import Any

import jinja2

from veriloop.core.errors import InputError


def render_prompt(name: str, folder: Path | None = None, **values: Any) -> str:
    """Return the prompt `name`.md filled with values; `folder` may hold a file of that name that replaces ours.

    Raises InputError for a file that cannot be read, that is no template, or that names a value which does not exist.
    """
    own = folder / f"{name}.md" if folder else None
    try:
        text = own.read_text(encoding="utf-8") if own and own.exists() else _read_bundled(name)
        return _compile(text).render(**values)
    except (OSError, UnicodeDecodeError, jinja2.TemplateError) as error:
        raise InputError(
            f"prompt {str(own or name)!r} cannot be used: {error}; compare it with the bundled one"
        ) from error


@lru_cache(maxsize=64)
def _compile(text: str) -> jinja2.Template:
    # Undefined names are errors: a typo in an edited prompt must not silently leave out the evidence.
    environment = jinja2.Environment(undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    return environment.from_string(text)


@cache
def _read_bundled(name: str) -> str:
    return resources.files("veriloop.engine.role").joinpath(f"{name}.md").read_text(encoding="utf-8")
