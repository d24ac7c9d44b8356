"""What a handler takes: what a worker injects, and what its messages carry."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import FunctionType, SimpleNamespace
from typing import Any, Literal, TypeAlias, get_origin, get_type_hints

from penstock.api import place
from penstock.api.context import Context
from penstock.api.inject import Provider
from penstock.api.transaction import Transaction
from penstock.errors import ConfigurationError

if sys.version_info >= (3, 14):
    import annotationlib

Injected: TypeAlias = Literal["ctx", "tx"]

_REFUSED = {
    inspect.Parameter.VAR_POSITIONAL: "*{} cannot be stored by name: give each argument a parameter of its own",
    inspect.Parameter.VAR_KEYWORD: "**{} cannot be stored by name: give each argument a parameter of its own",
    inspect.Parameter.POSITIONAL_ONLY: "{} is positional-only, and arguments are stored by name: remove the /",
}


@dataclass(frozen=True)
class Signature:
    """A handler as its task sees it. Annotations are resolved late: they may name what is defined later."""

    task: str
    function: FunctionType
    place: str
    context: object | None
    """The annotation of `ctx`; None: not asked for."""
    transactional: bool
    parameters: tuple[inspect.Parameter, ...]
    """What messages carry."""
    providers: Mapping[str, Provider]
    namespace: Mapping[str, Any]
    """Local names where the handler was defined."""

    @property
    def asynchronous(self) -> bool:
        return inspect.iscoroutinefunction(self.function)

    @property
    def returns(self) -> object:
        """Any without an annotation."""
        return self.hint("return", annotations(self.function).get("return", Any))

    @property
    def state(self) -> object:
        """`Resources` of `Context[Resources]`; None under a bare `Context` or none at all."""
        if self.context is None:
            return None
        hint = self.hint("ctx", self.context)
        return hint.__args__[0] if get_origin(hint) is Context else None

    def hint(self, name: str, annotation: object) -> Any:
        if annotation is inspect.Parameter.empty:
            return Any
        try:
            return resolve(annotation, self.function, self.namespace)
        except Exception as error:
            raise ConfigurationError(
                f"{self.place}: task {self.task!r}: the type of {name!r} cannot be resolved: {error}; "
                f"workers need it at run time (not only under TYPE_CHECKING)"
            ) from error


def read(function: Callable[..., Any], task: str, namespace: Mapping[str, Any]) -> Signature:
    """Raises ConfigurationError, naming file and line, for what cannot be a handler."""
    where = place.of(function)
    if not isinstance(function, FunctionType):
        raise ConfigurationError(f"{where}: task {task!r}: {function!r} is not a function; wrap it in a def")
    if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
        raise ConfigurationError(f"{where}: task {task!r} yields; a handler returns once")
    parameters = list(_signature(function).parameters.values())
    try:
        injected = _take_injected(parameters, function, namespace)
        for parameter in parameters:
            _check(parameter, function, namespace)
    except ValueError as error:
        raise ConfigurationError(f"{where}: task {task!r}: {error}") from None
    return Signature(
        task=task,
        function=function,
        place=where,
        context=injected.get("ctx"),
        transactional="tx" in injected,
        parameters=_carried(parameters),
        providers={p.name: p.default for p in parameters if isinstance(p.default, Provider)},
        namespace=namespace,
    )


def _carried(parameters: list[inspect.Parameter]) -> tuple[inspect.Parameter, ...]:
    """What follows a provider is keyword-only at `enqueue`: its position there is not the one in the function."""
    carried: list[inspect.Parameter] = []
    late = False
    for parameter in parameters:
        if isinstance(parameter.default, Provider):
            late = True
        else:
            carried.append(parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY) if late else parameter)
    return tuple(carried)


def _take_injected(parameters: list[inspect.Parameter], function: FunctionType, namespace: Mapping[str, Any]) -> dict[Injected, object]:
    taken: dict[Injected, object] = {}
    wanted: tuple[Injected, ...] = ("ctx", "tx")
    for kind in wanted:
        if parameters and parameters[0].kind in _BY_POSITION and _injected(parameters[0], function, namespace) == kind:
            taken[kind] = parameters.pop(0).annotation
    return taken


_BY_POSITION = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)


def _check(parameter: inspect.Parameter, function: FunctionType, namespace: Mapping[str, Any]) -> None:
    if parameter.kind in _REFUSED:
        raise ValueError(_REFUSED[parameter.kind].format(parameter.name))
    if _injected(parameter, function, namespace) is not None:
        raise ValueError(f"{parameter.name!r} is injected, and injected parameters come first, in the order ctx, tx")


def _injected(parameter: inspect.Parameter, function: FunctionType, namespace: Mapping[str, Any]) -> Injected | None:
    """By type; by the type's name where that is imported under TYPE_CHECKING only."""
    annotation = parameter.annotation
    if sys.version_info >= (3, 14) and isinstance(annotation, annotationlib.ForwardRef):
        annotation = annotation.__forward_arg__
    if isinstance(annotation, str):
        annotation = annotation.split("[", 1)[0].strip("'\" ")
        try:
            annotation = resolve(annotation, function, namespace)
        except Exception:  # not importable yet: its name has to do
            return {"Context": "ctx", "Transaction": "tx"}.get(annotation.rpartition(".")[2])  # type: ignore[return-value]
    match get_origin(annotation) or annotation:
        case kind if kind is Context:
            return "ctx"
        case kind if kind is Transaction:
            return "tx"
        case _:
            return None


def resolve(annotation: object, function: FunctionType, namespace: Mapping[str, Any]) -> Any:
    """The type an annotation means, in the function's module and where it was defined."""
    holder = SimpleNamespace(__annotations__={"it": annotation})
    module = inspect.unwrap(function).__globals__
    return get_type_hints(holder, module, dict(namespace), include_extras=True)["it"]


def annotations(function: FunctionType) -> Mapping[str, Any]:
    if sys.version_info >= (3, 14):
        return annotationlib.get_annotations(function, format=annotationlib.Format.FORWARDREF)
    return inspect.unwrap(function).__annotations__


def _signature(function: FunctionType) -> inspect.Signature:
    if sys.version_info >= (3, 14):
        return inspect.signature(function, annotation_format=annotationlib.Format.FORWARDREF)
    return inspect.signature(function)
