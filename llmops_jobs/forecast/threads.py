"""One BLAS thread: the matrices are small, a second thread waits, and others have the cores."""

from __future__ import annotations

from contextlib import AbstractContextManager
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from threadpoolctl import ThreadpoolController


@cache
def _threads() -> ThreadpoolController:
    import scipy.linalg  # noqa: F401  the controller knows only what is loaded by now
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController()


def one_thread() -> AbstractContextManager[object]:
    return _threads().limit(limits=1, user_api="blas")
