"""How this library makes Prefect tasks and flows."""

from __future__ import annotations

import dis
import inspect
import logging
import re
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import wraps
from importlib import import_module
from types import FrameType
from typing import TYPE_CHECKING, Any, Concatenate, Generic, Literal, ParamSpec, TypeVar, overload
from uuid import UUID

from prefect import Flow, Task, get_client, runtime, unmapped
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State
from prefect.context import FlowRunContext
from prefect.exceptions import ParameterBindError, ParameterTypeError
from prefect.futures import PrefectFuture
from prefect.types.entrypoint import EntrypointType
from pydantic import ValidationError

from barrack_tasks.api import Barrack, BarrackConfigurationError
from barrack_tasks.api.errors import is_told, without_traceback
from barrack_tasks.api.models.shown import Listing
from barrack_tasks.api.models.text import one_line
from barrack_tasks.api.operations import OPERATIONS
from barrack_tasks.plans.inputs import about_problem
from barrack_tasks.plans.names import TAG, flow_name, name_of_run
from barrack_tasks.server.credentials import (
    BarrackCredentials,
    check_account,
    check_names,
    check_parameters,
)
from barrack_tasks.server.events import spread
from barrack_tasks.server.live import live

P = ParamSpec("P")
R = TypeVar("R")
Account = BarrackCredentials | str | None
"""An account: itself, the name of a saved one, or None for the environment."""
Resolve = Mapping[str, Callable[[Barrack, Any], Any]]
_POSITIONAL = inspect.Parameter.POSITIONAL_OR_KEYWORD
DOOR = "barrack_tasks.flows"
"""The module that has the flows of this library wherever it is installed."""
_ROOMS = ("flows", "barrack_tasks._flows")
_prefect_log = logging.getLogger("prefect.flows")
_OF_PARAMETERS = (ParameterBindError, ParameterTypeError)
# A task that is called outside of flows logs on the terminal alone, and that is what is wanted.
warnings.filterwarnings(
    "ignore", "Logger 'prefect.task_runs' attempted to send logs to the API", UserWarning
)


class AccountTask(Task[Concatenate[Account, P], R], Generic[P, R]):
    """A task whose first parameter is the account; a call that gives none means the environment.

    The account may be left out if all else is passed by name. `map` takes one account for all
    calls, or a list of accounts. What a task is given is kept out of messages, and keys are kept
    out of Prefect's storage.

    Example:
        >>> list_instances()
        >>> get_instance(instance_id="BRK-A1B2C3D")
        >>> get_instance.map(account, ["BRK-A1B2C3D", "BRK-E4F5G6H"])
    """

    if TYPE_CHECKING:

        @overload  # type: ignore[override]
        def __call__(self, credentials: Account, *args: P.args, **kwargs: P.kwargs) -> R: ...
        @overload
        def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R: ...
        @overload
        def __call__(self, *args: Any, return_state: Literal[True], **kwargs: Any) -> State[R]: ...
        @overload
        def __call__(self, *args: Any, wait_for: Any, **kwargs: Any) -> R: ...
        def __call__(self, *args: Any, **kwargs: Any) -> Any: ...

        @overload  # type: ignore[override]
        def submit(
            self, credentials: Account, *args: P.args, **kwargs: P.kwargs
        ) -> PrefectFuture[R]: ...
        @overload
        def submit(self, *args: P.args, **kwargs: P.kwargs) -> PrefectFuture[R]: ...
        @overload
        def submit(self, *args: Any, return_state: Literal[True], **kwargs: Any) -> State[R]: ...
        @overload
        def submit(self, *args: Any, wait_for: Any, **kwargs: Any) -> PrefectFuture[R]: ...
        def submit(self, *args: Any, **kwargs: Any) -> Any: ...

    else:

        def __call__(self, *arguments: Any, **named: Any) -> Any:
            named = _with_account(arguments, named)
            problem = _misfit(self.fn, arguments, named)
            if problem is not None:
                del arguments, named
                raise problem
            result = super().__call__(*arguments, **named)
            is_awaited = _is_awaited(sys._getframe(1)) and not hasattr(result, "__await__")
            return _given(result) if is_awaited else result

        def submit(self, *arguments: Any, **named: Any) -> Any:
            named = _with_account(arguments, named)
            problem = _misfit(self.fn, arguments, named)
            if problem is not None:
                del arguments, named
                raise problem
            return super().submit(*arguments, **named)

    def map(self, *arguments: Any, **named: Any) -> Any:
        named = _with_account(arguments, named)
        problem = _misfit(self.fn, arguments, named, is_mapped=True)
        if problem is not None:
            del arguments, named
            raise problem
        # Prefect takes whatever can be iterated for a list, and a block can be.
        given = [unmapped(a) if isinstance(a, BarrackCredentials) else a for a in arguments]
        if isinstance(named.get("credentials"), BarrackCredentials):
            named["credentials"] = unmapped(named["credentials"])
        return super().map(*given, **named)

    def apply_async(  # type: ignore[override]
        self, args: Any = None, kwargs: Any = None, **how: Any
    ) -> Any:
        kwargs = _with_account(args or (), kwargs or {})
        problem = _misfit(self.fn, args or (), kwargs, is_pickled=True)
        if problem is not None:
            del args, kwargs
            raise problem
        return self._deferred(args, kwargs, **how)

    def delay(self, *args: Any, **kwargs: Any) -> Any:
        kwargs = _with_account(args, kwargs)
        problem = _misfit(self.fn, args, kwargs, is_pickled=True)
        if problem is not None:
            del args, kwargs
            raise problem
        return self._deferred(args, kwargs)

    def _deferred(self, args: Any, kwargs: Any, **how: Any) -> Any:
        before = self.persist_result
        try:
            return super().apply_async(args, kwargs, **how)
        finally:
            # Prefect keeps the result of what was deferred; other calls of the task stay as before.
            self.persist_result = before

    def with_options(self, **options: Any) -> Any:
        return _turned(super().with_options(**options), AccountTask)


async def _given(result: Any) -> Any:
    """A result that cannot be awaited itself, such as None."""
    return result


def _is_awaited(frame: FrameType) -> bool:
    """Whether the call that a frame is at stands behind `await`.

    A task has done its work when Python finds that it cannot wait for None, so it is asked here.
    """
    if not frame.f_code.co_flags & (inspect.CO_COROUTINE | inspect.CO_ASYNC_GENERATOR):
        return False
    after = (one for one in dis.get_instructions(frame.f_code) if one.offset > frame.f_lasti)
    return next(after).opname == "GET_AWAITABLE"


def _with_account(arguments: Sequence[Any], named: Mapping[str, Any]) -> dict[str, Any]:
    """The named arguments of a call, with the environment as its account if it gives none."""
    return dict(named) if arguments else {"credentials": None, **named}


def _by_its_module(method: Any) -> Any:
    """A method of Prefect that deploys the flows of this library by their module."""

    @wraps(method)
    def call(self: Flow[..., Any], *arguments: Any, **named: Any) -> Any:
        if self.__module__ == DOOR:
            named.setdefault("entrypoint_type", EntrypointType.MODULE_PATH)
        return method(self, *arguments, **named)

    return call


class _BarrackFlow(Flow[P, R]):
    """A flow whose parameters are looked at before Prefect stores or logs them."""

    def __call__(self, *arguments: Any, **named: Any) -> Any:
        __tracebackhide__ = True  # a notebook shows the cell, and not this
        problem = _misfit(self.fn, arguments, named, is_stored=True)
        if problem is None:
            try:
                # A call returns before the server has taken in all events.
                with live(), spread():
                    return super().__call__(*arguments, **named)
            except Exception as error:
                if not _says_all(error):
                    raise
                problem = error
        del arguments, named
        # Raised out here, so that no error stands behind it.
        raise without_traceback(problem)

    def serialize_parameters(self, parameters: dict[str, Any]) -> dict[str, Any]:
        check_parameters(parameters)
        return super().serialize_parameters(parameters)

    def validate_parameters(self, parameters: dict[str, Any]) -> dict[str, Any]:
        try:
            check_parameters(parameters)
            check_names(parameters.get("notify", []))
            if parameters.keys() - self.parameters.properties.keys():
                raise BarrackConfigurationError(
                    f"the flow {self.name} takes {', '.join(self.parameters.properties)}, and was "
                    "started with parameters of other names: start it anew without them"
                )
        except BarrackConfigurationError:
            _take_back()
            raise
        try:
            return super().validate_parameters(parameters)
        except ParameterTypeError as error:
            problem = ParameterTypeError(_in_one_sentence(self.name, error))
        raise problem

    def with_options(self, **options: Any) -> Any:
        return _at_its_door(_turned(super().with_options(**options), _BarrackFlow))

    # A file of this library has another path on another machine, or in an image, and its module
    # does not; so whoever deploys a flow by default deploys it by the name of its module.
    serve: Any = _by_its_module(Flow.serve)
    to_deployment: Any = _by_its_module(Flow.to_deployment)
    ato_deployment: Any = _by_its_module(Flow.ato_deployment)
    deploy: Any = _by_its_module(Flow.deploy)
    adeploy: Any = _by_its_module(Flow.adeploy)

    def __reduce_ex__(self, protocol: Any) -> Any:
        """Pickle the function by its name, and the rest, such as options, by value.

        `serve` sends the flow to the process of each run. Pickled by value, a function loses the
        names in its annotations, and every run would fail on its parameters.
        """
        if self.__module__ != DOOR:
            return super().__reduce_ex__(protocol)
        rest = {k: v for k, v in self.__dict__.items() if k not in ("fn", "__wrapped__")}
        return _loaded, (self.__module__, self.fn.__name__, rest)


def _says_all(error: BaseException) -> bool:
    """Whether the sentence of an error tells a person all, so that no traceback is needed."""
    return is_told(error) or isinstance(error, _OF_PARAMETERS)


def _tells_in_one_sentence(record: logging.LogRecord) -> bool:
    """Take the traceback of what a person did wrong, or of work that failed, out of a log.

    Prefect logs a run's error with its traceback, and in a worker twice. A traceback is for bugs.
    """
    error = record.exc_info[1] if record.exc_info else None
    if error is not None and _says_all(error):
        record.msg, record.args = "%s", (one_line(str(error), _LONGEST_SENTENCE),)
        record.exc_info = record.exc_text = None
    return True


def _tells_news(record: logging.LogRecord) -> bool:
    """Leave out that a task of this library has finished: there are dozens in a run."""
    is_own = getattr(record, "task_name", None) in _TASKS
    is_news = record.levelno > logging.INFO or not record.getMessage().startswith(_FINISHED)
    return is_news or not is_own


_TASKS: set[str] = set()
"""The names of the tasks of this library."""
_FINISHED = "Finished in state"
logging.getLogger("prefect.task_runs").addFilter(_tells_news)
for _name in ("prefect.flow_runs", "prefect.task_runs", "prefect.engine"):
    logging.getLogger(_name).addFilter(_tells_in_one_sentence)
_LONGEST_SENTENCE = 4_000


_LONGEST_REPEATED = 12
"""A text with more characters may be a key, and nobody can know that it is."""


def _without_secrets(value: Any) -> Any:
    """A parameter as far as it may be repeated."""
    if isinstance(value, str):
        return value if len(value) <= _LONGEST_REPEATED else f"a text of {len(value)} characters"
    if isinstance(value, Mapping):
        return {_without_secrets(k): _without_secrets(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_without_secrets(one) for one in value]
    return value if isinstance(value, bool | int | float | None) else type(value).__name__


def _in_one_sentence(flow: str, error: ParameterTypeError) -> str:
    """What Prefect says of parameters in several lines, in one, and in the words of a person."""
    if isinstance(error.__context__, ValidationError):
        problems = [
            about_problem(one | {"input": _without_secrets(one["input"])})
            for one in error.__context__.errors(include_url=False)
        ]
    else:
        problems = [str(error)]
    return one_line(f"the flow {flow} cannot take its parameters: {'; '.join(problems)}")


def barrack_flow(name: str) -> Callable[[Callable[P, R]], Flow[P, R]]:
    """A flow that refuses a key in its parameters before Prefect stores them.

    Prefect calls the flow by `flow_name` of its function's name, and each run by what it does. A
    run that was started over Prefect's API has its parameters stored already: those are taken
    out of the run again, and the run fails.

    Example:
        >>> @barrack_flow(name="look")
        ... def look(credentials: Credentials = None) -> None: ...
        >>> look.name
        'barrack-look'
    """
    called = flow_name(name)

    def decorate(function: Callable[P, R]) -> Flow[P, R]:
        start = f"Parameter validation failed for flow {called!r}"
        # Prefect logs all that a run was given, beside a sentence about what is wrong with it.
        _prefect_log.addFilter(lambda record: not record.getMessage().startswith(start))
        made: Flow[P, R] = _at_its_door(
            _BarrackFlow(function, name=called, flow_run_name=_name_of_this_run)
        )
        return made

    return decorate


def _name_of_this_run() -> str:
    """What Prefect calls the run that begins; its parameters were checked to hold no key."""
    run = FlowRunContext.get()
    if run is None or run.flow is None:
        raise RuntimeError("no flow run begins here")
    return name_of_run(run.flow.fn.__name__, run.parameters or {})


def barrack_task(
    run_name: str | None = None,
) -> Callable[[Callable[Concatenate[BarrackCredentials, P], R]], AccountTask[P, R]]:
    """A task around one operation.

    Tasks are synchronous: those work from sync and async flows, notebook cells and outside of
    flows alike, and `submit` runs them in threads. Prefect neither caches nor repeats them: the
    cloud is the only truth, and the client knows better than a scheduler what may be repeated.

    The account, which comes first, may be a `BarrackCredentials`, the name of a saved one, or None
    for the environment, as in flows; a call that gives none means the environment as well.
    """

    def decorate(
        function: Callable[Concatenate[BarrackCredentials, P], R],
    ) -> AccountTask[P, R]:
        @wraps(function)
        def of_account(*arguments: Any, **named: Any) -> R:
            account, *rest = arguments or (named.pop("credentials", None),)
            return function(_resolved(account), *rest, **named)

        signature = inspect.signature(function)
        account, *own = signature.parameters.values()
        # Python wants no parameter without a default behind one with a default.
        is_needed = any(p.default is p.empty and p.kind is _POSITIONAL for p in own)
        account = account.replace(default=account.empty if is_needed else None)
        made: Any = of_account
        made.__signature__ = signature.replace(parameters=[account, *own])
        _TASKS.add(function.__name__)
        return AccountTask(
            made,
            name=function.__name__,
            task_run_name=run_name,
            tags={TAG},
            cache_policy=NO_CACHE,
            retries=0,
            persist_result=False,
        )

    return decorate


@overload
def task_of(
    method: Callable[Concatenate[Any, P], Iterator[R]],
    run_name: str | None = None,
    resolve: Resolve | None = None,
) -> AccountTask[P, list[R]]: ...
@overload
def task_of(
    method: Callable[Concatenate[Any, P], R],
    run_name: str | None = None,
    resolve: Resolve | None = None,
) -> AccountTask[P, R]: ...
def task_of(method: Any, run_name: str | None = None, resolve: Resolve | None = None) -> Any:
    """The task of an operation, made from the client's method: one more parameter, the account.

    The task has the operation's name, and the method's parameters and docstring. What the method
    gives page after page it gives as a list.

    Args:
        method: such as `Instances.stop`.
        run_name: what its runs are called, such as `stop {instance_id}`.
        resolve: functions that put an id in the place of what else can be given, by the name of the
            parameter, which is one that is passed by name. The task's docstring repeats the first
            line of theirs.

    Example:
        >>> stop_instance = task_of(Instances.stop, "stop {instance_id}")
    """
    operation = OPERATIONS[method.operation]
    owner, _, name = method.__qualname__.rpartition(".")
    group = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", owner).lower()
    resolves = resolve or {}

    @wraps(method)
    def call(credentials: BarrackCredentials, *arguments: Any, **named: Any) -> Any:
        client = credentials.get_client()
        for parameter in resolves.keys() & named.keys():
            named[parameter] = resolves[parameter](client, named[parameter])
        result = getattr(getattr(client, group), name)(*arguments, **named)
        return Listing(result) if operation.paged else result

    signature = inspect.signature(method)
    _, *own = signature.parameters.values()
    own = [p.replace(annotation=_as_in_a_task(p.annotation)) for p in own]
    account = inspect.Parameter("credentials", _POSITIONAL, annotation="Account")
    back = _as_in_a_task(signature.return_annotation)
    made: Any = call
    made.__name__ = made.__qualname__ = operation.name
    made.__module__ = "barrack_tasks"
    made.__doc__ = _docs(method.__doc__, f"client.{group}.{name}", operation.name, resolves)
    made.__signature__ = inspect.Signature([account, *own], return_annotation=back)
    hints = {p.name: p.annotation for p in own}
    made.__annotations__ = {"credentials": Account, **hints, "return": back}
    return barrack_task(run_name)(made)


def _as_in_a_task(annotation: str) -> str:
    return annotation.replace("builtins.list[", "list[").replace("Iterator[", "list[")


def _docs(text: str, path: str, name: str, resolves: Resolve) -> str:
    """The docstring of a client's method as its task's: the account comes first."""
    text = text.replace(f"{path}()", f"{name}(account)").replace(f"{path}(", f"{name}(account, ")
    if "\nArgs:\n" not in text:
        text = text.replace("\nReturns:\n", "\nArgs:\n\nReturns:\n", 1)
    adds = ""
    for parameter, function in resolves.items():
        line, _, _ = (function.__doc__ or "").partition("\n")
        adds += f"For `{parameter}`, {line}\n\n"
    first = f"\n{adds}Args:\n    credentials: the account; the environment's, if not given.\n"
    return text.replace("\nArgs:\n", first, 1)


def _resolved(account: Any) -> Any:
    # Whatever hands out a client will do.
    return account if hasattr(account, "get_client") else BarrackCredentials.find(account)


def _misfit(
    function: Callable[..., Any],
    arguments: tuple[Any, ...],
    named: Mapping[str, Any],
    is_stored: bool = False,
    is_pickled: bool = False,
    is_mapped: bool = False,
) -> Exception | None:
    """What is wrong with some arguments, in words that do not repeat them; None if nothing is.

    It is given back, not raised, so that no frame of its traceback holds them.

    Args:
        function: what they are for.
        arguments: by their place.
        named: by their name; `return_state` and `wait_for` are Prefect's own.
        is_stored: Prefect is going to store them, as JSON.
        is_pickled: Prefect is going to store them, as a pickle.
        is_mapped: they are for many calls.
    """
    own = {k: v for k, v in named.items() if k not in ("return_state", "wait_for", "deferred")}
    try:
        bound = dict(inspect.signature(function).bind(*arguments, **own).arguments)
        if is_stored or is_pickled:
            check_parameters(bound)
            check_names(bound.get("notify", []))
        elif not is_mapped:
            check_account(bound.get("credentials"))
        for value in bound.values():
            if is_pickled and isinstance(value, BarrackCredentials):
                value.__reduce__()
    except TypeError as error:
        return ParameterBindError(f"{function.__name__}: {error}")
    except BarrackConfigurationError as error:
        return error.with_traceback(None)
    return None


def _turned(made: Any, kind: type) -> Any:
    """What Prefect made a plain copy of, as what it was."""
    made.__class__ = kind
    return made


def _at_its_door(flow: Any) -> Any:
    """A flow of this library, known by the module that has it in a checkout and installed."""
    package, _, name = flow.fn.__module__.rpartition(".")
    if package in _ROOMS and name == flow.fn.__name__:
        flow.__module__ = DOOR
    return flow


def _loaded(module: str, name: str, rest: Mapping[str, Any]) -> Any:
    """A flow as it was pickled: its function is found by its name."""
    there = getattr(import_module(module), name)
    found = object.__new__(type(there))
    found.__dict__.update(there.__dict__, **rest)
    return found


def _take_back() -> None:
    """Take the parameters out of the run that this process was started for."""
    run = runtime.flow_run.id
    if run:
        with get_client(sync_client=True) as client:
            path: Any = f"/flow_runs/{UUID(run)}"
            client.request("PATCH", path, json={"parameters": {}})
