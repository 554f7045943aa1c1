"""Processes that train side by side and end with the one that started them."""

import os
import threading
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context, parent_process

from veriloop.core.extra import needs_extra

with needs_extra("train"):
    from veriloop.local.process import count_threads, keep_memory, set_threads


def open_pool(workers: int) -> ProcessPoolExecutor:
    """Return a pool of fresh processes that share this one's threads.

    Models this small do not fill two cores: two processes of one thread each train about a third more tokens in the
    same time than one of two threads. A worker exits when its parent is gone, even by `kill -9`: left alone it would
    go on writing into folders that a resumed run works in.
    """
    threads = max(1, count_threads() // workers)
    return ProcessPoolExecutor(workers, mp_context=get_context("spawn"), initializer=_start, initargs=(threads,))


def _start(threads: int) -> None:
    set_threads(threads)
    keep_memory()
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
