"""Callbacks that keep a machine awake while a training makes progress.

Neither PyTorch Lightning nor Hugging Face is a dependency of prefect-barrack. Copy what you need.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Any

from barrack_tasks import keep_awake


class _Keeping:
    """Enters `keep_awake` when a training begins, and leaves it in the way that it ended."""

    def __init__(self, instance: str, **how: Any) -> None:
        self._block: AbstractContextManager[Any] = keep_awake(instance, **how)
        self._awake: Any = None

    def begin(self) -> None:
        self._awake = self._block.__enter__()

    def step(self) -> None:
        self._awake.progress()

    def end(self, error: BaseException | None = None) -> None:
        awake, self._awake = self._awake, None
        if awake is None:
            return
        try:
            self._block.__exit__(type(error) if error else None, error, None)
        except BaseException as raised:
            if raised is not error:
                raise


class LightningKeepAwake:
    """For PyTorch Lightning; add `lightning.pytorch.Callback` as its base class.

    Example:
        >>> class KeepAwake(LightningKeepAwake, lightning.pytorch.Callback): ...
        >>> Trainer(callbacks=[KeepAwake("train-1", stalls_after="30m", hibernate_when_done=True)])
    """

    def __init__(self, instance: str, **how: Any) -> None:
        super().__init__()
        self._keeping = _Keeping(instance, **how)

    def on_fit_start(self, *_: Any) -> None:
        self._keeping.begin()

    def on_train_batch_end(self, *_: Any, **__: Any) -> None:
        self._keeping.step()

    def on_fit_end(self, *_: Any) -> None:
        self._keeping.end()

    def on_exception(self, _trainer: Any, _module: Any, error: BaseException) -> None:
        self._keeping.end(error)


class HuggingFaceKeepAwake:
    """For the Trainer of Hugging Face; add `transformers.TrainerCallback` as its base class.

    That Trainer tells its callbacks of no exception: a training that fails leaves its lease to end
    by itself when the process ends.

    Example:
        >>> class KeepAwake(HuggingFaceKeepAwake, transformers.TrainerCallback): ...
        >>> Trainer(..., callbacks=[KeepAwake("train-1", stalls_after="30m")])
    """

    def __init__(self, instance: str, **how: Any) -> None:
        super().__init__()
        self._keeping = _Keeping(instance, **how)

    def on_train_begin(self, *_: Any, **__: Any) -> None:
        self._keeping.begin()

    def on_step_end(self, *_: Any, **__: Any) -> None:
        self._keeping.step()

    def on_train_end(self, *_: Any, **__: Any) -> None:
        self._keeping.end()
