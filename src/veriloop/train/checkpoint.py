"""Where a training run that was killed goes on, and what is dropped when it has ended."""

import json
import shutil
from pathlib import Path

from transformers.trainer_utils import get_last_checkpoint

LAST_FILE = "trainer_state.json"
"""What the trainer writes last into a checkpoint."""


def find_checkpoint(out: Path, last_file: str = LAST_FILE) -> str | None:
    """Return the newest complete checkpoint of a folder, None when there is none.

    last_file: the JSON that is written last; a checkpoint without all of it was cut off by the kill and is removed.
    """
    if not out.exists():
        return None
    for checkpoint in out.glob("checkpoint-*"):
        if not _is_whole(checkpoint / last_file):
            shutil.rmtree(checkpoint)
    return get_last_checkpoint(str(out))


def drop_checkpoints(out: Path, last_file: str = LAST_FILE) -> None:
    """Remove a folder's checkpoints; one that a kill leaves half removed no longer counts as complete."""
    for checkpoint in out.glob("checkpoint-*"):
        (checkpoint / last_file).unlink(missing_ok=True)
        shutil.rmtree(checkpoint)


def _is_whole(file: Path) -> bool:
    # The trainer writes this file in place: a kill in that moment leaves it empty or cut.
    try:
        json.loads(file.read_bytes())
    except (OSError, ValueError):
        return False
    return True
