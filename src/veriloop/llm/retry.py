"""When to ask an endpoint again, and how long to wait before it: pure functions of the attempt and the answer."""

import random
from dataclasses import dataclass
from email.utils import parsedate_to_datetime


@dataclass(frozen=True, slots=True)
class Retry:
    """Bounds of the one retry layer.

    attempts: requests made at most, the first included. base: seconds before the second attempt, doubled for each
    further one. longest: seconds waited at most; an endpoint that asks for more is given up at once.
    """

    attempts: int = 5
    base: float = 0.5
    longest: float = 60.0


def is_transient(status: int) -> bool:
    """Return whether a status may be gone at the next attempt: time-out, conflict, rate limit, server fault."""
    return status in (408, 409, 425, 429) or status >= 500


def read_retry_after(value: str | None, now: float) -> float | None:
    """Return the seconds that a Retry-After header asks for, given as seconds or as an HTTP date (RFC 9110, 10.2.3).

    now: seconds since the epoch. None when the header is absent or cannot be read.
    """
    if value is None:
        return None
    try:
        seconds = float(value)
    except ValueError:
        try:
            seconds = parsedate_to_datetime(value).timestamp() - now
        except ValueError:
            return None
    return max(0.0, seconds) if seconds < float("inf") else None


def find_delay(retry: Retry, attempt: int, asked: float | None, rng: random.Random) -> float | None:
    """Return the seconds to wait after failed attempt number `attempt` (from 1), or None to give up.

    Without an asked time it is exponential with full jitter, so that clients that failed together do not return
    together; an asked time is kept, plus up to a tenth of it.
    """
    if attempt >= retry.attempts:
        return None
    if asked is not None:
        return None if asked > retry.longest else asked * (1 + rng.random() / 10)
    return min(retry.longest, retry.base * 2 ** (attempt - 1)) * rng.random()
