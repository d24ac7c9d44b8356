"""What a handler takes: what a worker injects, and what its messages carry."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import FunctionType, SimpleNamespace
from typing import Any, Literal, TypeAlias, get_args, get_origin, get_type_hints

from penstock.api import place
from penstock.api.context import Context
from penstock.api.inject import Provider
from penstock.api.transaction import Transaction
from penstock.errors import ConfigurationError

if sys.version_info >= (3, 14):
    import annotationlib

Injected: TypeAlias = Literal["ctx", "tx"]

_REFUSED: Mapping[object, str] = {
    inspect.Parameter.VAR_POSITIONAL: "*{} cannot be stored by name: give each argument a parameter of its own",
    inspect.Parameter.VAR_KEYWORD: "**{} cannot be stored by name: give each argument a parameter of its own",
    inspect.Parameter.POSITIONAL_ONLY: "{} is positional-only, and arguments are stored by name: remove the /",
}


@dataclass(frozen=True)
class Names:
    """What annotations may name: the handler's module, and where it was defined."""

    module: dict[str, Any]
    local: Mapping[str, Any]

    def resolve(self, annotation: object) -> Any:
        """The type that an annotation means."""
        holder = SimpleNamespace(__annotations__={"it": annotation})
        return get_type_hints(holder, self.module, dict(self.local), include_extras=True)["it"]


@dataclass(frozen=True)
class Signature:
    """A handler as its task sees it. Annotations are resolved late: they may name what is defined later."""

    task: str
    name: str
    """Of the function."""
    function: Callable[..., Any]
    asynchronous: bool
    place: str
    context: object | None
    """The annotation of `ctx`; None: not asked for."""
    transactional: bool
    parameters: tuple[inspect.Parameter, ...]
    """What messages carry."""
    providers: Mapping[str, Provider]
    returned: object
    """The annotation of what it returns."""
    names: Names

    @property
    def returns(self) -> Any:
        """Any without an annotation."""
        return self.hint("return", self.returned)

    @property
    def state(self) -> Any:
        """`Resources` of `Context[Resources]`; None under a bare `Context` or none at all."""
        if self.context is None:
            return None
        hint = self.hint("ctx", self.context)
        return get_args(hint)[0] if get_origin(hint) is Context else None

    def hint(self, name: str, annotation: object) -> Any:
        if annotation is inspect.Parameter.empty:
            return Any
        try:
            return self.names.resolve(annotation)
        except Exception as error:
            raise ConfigurationError(
                f"{self.place}: task {self.task!r}: the type of {name!r} cannot be resolved: {error}; "
                f"workers need it at run time (not only under TYPE_CHECKING)"
            ) from error


def read(function: Callable[..., Any], task: str, local: Mapping[str, Any]) -> Signature:
    """Raises ConfigurationError, naming file and line, for what cannot be a handler."""
    where = place.of(function)
    if not isinstance(function, FunctionType):
        raise ConfigurationError(f"{where}: task {task!r}: {function!r} is not a function; wrap it in a def")
    if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
        raise ConfigurationError(f"{where}: task {task!r} yields; a handler returns once")
    names = Names(_module(function), local)
    signature = _signature(function)
    parameters = list(signature.parameters.values())
    try:
        injected = _take_injected(parameters, names)
        for parameter in parameters:
            _check(parameter, names)
    except ValueError as error:
        raise ConfigurationError(f"{where}: task {task!r}: {error}") from None
    return Signature(
        task=task,
        name=function.__name__,
        function=function,
        asynchronous=inspect.iscoroutinefunction(function),
        place=where,
        context=injected.get("ctx"),
        transactional="tx" in injected,
        parameters=_carried(parameters),
        providers={p.name: p.default for p in parameters if isinstance(p.default, Provider)},
        returned=signature.return_annotation,
        names=names,
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


def _take_injected(parameters: list[inspect.Parameter], names: Names) -> dict[Injected, object]:
    taken: dict[Injected, object] = {}
    for kind in _IN_ORDER:
        if parameters and parameters[0].kind in _BY_POSITION and _injected(parameters[0], names) == kind:
            taken[kind] = parameters.pop(0).annotation
    return taken


_IN_ORDER: tuple[Injected, ...] = ("ctx", "tx")
_BY_POSITION = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)


def _check(parameter: inspect.Parameter, names: Names) -> None:
    if parameter.kind in _REFUSED:
        raise ValueError(_REFUSED[parameter.kind].format(parameter.name))
    if _injected(parameter, names) is not None:
        raise ValueError(f"{parameter.name!r} is injected, and injected parameters come first, in the order ctx, tx")


def _injected(parameter: inspect.Parameter, names: Names) -> Injected | None:
    """By type; by the type's name where that is imported under TYPE_CHECKING only."""
    annotation: object = _text_or_type(parameter.annotation)
    if isinstance(annotation, str):
        name = annotation.split("[", 1)[0].strip("'\" ")
        try:
            annotation = names.resolve(name)
        except Exception:  # not importable yet: its name has to do
            return _BY_NAME.get(name.rpartition(".")[2])
    kind = get_origin(annotation) or annotation
    if kind is Context:
        return "ctx"
    return "tx" if kind is Transaction else None


_BY_NAME: Mapping[str, Injected] = {"Context": "ctx", "Transaction": "tx"}


def _text_or_type(annotation: object) -> object:
    if sys.version_info >= (3, 14) and isinstance(annotation, annotationlib.ForwardRef):
        return annotation.__forward_arg__
    return annotation


def _module(function: FunctionType) -> dict[str, Any]:
    innermost = inspect.unwrap(function)
    return innermost.__globals__ if isinstance(innermost, FunctionType) else function.__globals__


def _signature(function: FunctionType) -> inspect.Signature:
    if sys.version_info >= (3, 14):
        return inspect.signature(function, annotation_format=annotationlib.Format.FORWARDREF)
    else:  # noqa: RET505  (a type checker looks at one branch)
        return inspect.signature(function)
