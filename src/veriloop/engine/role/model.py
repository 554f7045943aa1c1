"""Which model plays a role, where it is served and what it costs."""

from veriloop.core.base import Frozen


class RoleModel(Frozen):
    """A model for a role; without a name there is none.

    base_url: where it is served, empty for the SDK's default. key_env: name of the environment variable with the key.
    prices: US dollars per million tokens, of prompt and of completion. prompts: folder of edited prompts, empty for
    ours.
    """

    model: str = ""
    base_url: str = ""
    key_env: str = "OPENAI_API_KEY"
    prices: tuple[float, float] = (0.0, 0.0)
    prompts: str = ""
