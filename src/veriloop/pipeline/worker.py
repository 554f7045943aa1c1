"""Processes that train side by side and end with the one that started them."""

from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

from veriloop.core.extra import needs_extra
from veriloop.pipeline.process import end_with_parent

with needs_extra("train"):
    from veriloop.local.process import count_threads, keep_memory, set_threads


def open_pool(workers: int) -> ProcessPoolExecutor:
    """Return a pool of fresh processes that share this one's threads.

    Models this small do not fill two cores: two processes of one thread each train about a third more tokens in the
    same time than one of two threads.
    """
    threads = max(1, count_threads() // workers)
    return ProcessPoolExecutor(workers, mp_context=get_context("spawn"), initializer=_start, initargs=(threads,))


def _start(threads: int) -> None:
    set_threads(threads)
    keep_memory()
    end_with_parent()
