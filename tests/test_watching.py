"""Waiting between two looks."""

from __future__ import annotations

import os
import signal
from typing import Any

import pytest

from infra_audit.watching import rest


class Finalized:
    """Interrupts the process while the garbage collector takes it apart."""

    def __init__(self) -> None:
        self.itself = self

    def __del__(self) -> None:
        os.kill(os.getpid(), signal.SIGINT)


@pytest.fixture
def interruptible() -> Any:
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("interruptible")
def test_an_interrupt_during_the_collection_of_garbage_is_not_lost() -> None:
    Finalized()
    with pytest.raises(KeyboardInterrupt):
        rest(60)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
