"""Expectations of the user's own, by import path. Importing runs the module's code, so only listed modules are imported."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from components.common.errors import InputError
from schemas.config import QualityConfig

_VARIABLE = "CALIG_EXPECTATION_MODULES"
_FORM = "module:Class, where Class is an Expectation of Great Expectations"
_AGAIN = "check the path; the module is looked for among the installed ones and beside the suite's file"


def listed_modules(config: QualityConfig) -> frozenset[str]:
    """The modules that the operator lists, in the settings or in the environment."""
    named = (name.strip() for name in os.environ.get(_VARIABLE, "").split(","))
    return frozenset([*config.expectation_modules, *(name for name in named if name)])


def import_expectation(path: str, folder: Path | None, modules: Collection[str], error: Callable[..., InputError]) -> Any:
    """The expectation class at `path` (`package.module:Class`); modules beside the suite, in `folder`, are found as well.

    Raises:
        InputError: made by `error(problem, **details)`: the module is not one of `modules`, cannot be imported, has no such
            class, the class is no concrete Expectation, or it takes the name of one that exists.
    """
    module_name, _, class_name = path.partition(":")
    if module_name not in modules:
        raise error(
            "its module is not listed, and a module's code is run when it is loaded",
            got=module_name,
            allowed=", ".join(sorted(modules)) or "no module is listed",
            next_step=f"if you trust it, list it: quality.expectation_modules: [{module_name}], or {_VARIABLE}={module_name}",
        )
    with _others_kept(), _also_from(folder):
        try:
            module = importlib.import_module(module_name)
        except (Exception, SystemExit) as problem:  # the module is the user's: anything can happen in it
            got = f"{path}: {type(problem).__name__}: {problem}"
            raise error("the expectation cannot be imported", got=got, allowed=_FORM, next_step=_AGAIN) from problem
    found = getattr(module, class_name, None)
    if found is None:
        raise error(f"the module {module_name} has no {class_name!r}", got=path, allowed=_FORM)
    _check_class(found, path, error)
    return found


def _check_class(found: Any, path: str, error: Callable[..., InputError]) -> None:
    from components.quality.suite.expectations import (
        Expectation,
        get_expectation_impl,
        list_registered_expectation_implementations,
    )

    if not (isinstance(found, type) and issubclass(found, Expectation)):
        raise error("it is no Expectation of Great Expectations", got=path, allowed=_FORM)
    if found.expectation_type not in list_registered_expectation_implementations():
        raise error("the Expectation is abstract: it says nothing of how to judge", got=path, allowed=_FORM)
    if get_expectation_impl(found.expectation_type) is not found:
        raise error("another expectation has this name", got=f"{path} ({found.expectation_type})", next_step="rename the class")


@contextmanager
def _also_from(folder: Path | None) -> Iterator[None]:
    """Modules in `folder` can be imported as well; after all installed ones, so that none of them is replaced."""
    place = [] if folder is None else [str(folder)]
    sys.path.extend(place)
    try:
        yield
    finally:
        for entry in place:
            sys.path.remove(entry)


@contextmanager
def _others_kept() -> Iterator[None]:
    """What is registered stays as it is: a class of the same name would otherwise judge the checks of the existing one."""
    from components.quality.suite.expectations import (
        get_expectation_impl,
        list_registered_expectation_implementations,
        register_expectation,
    )

    before = [get_expectation_impl(name) for name in list_registered_expectation_implementations()]
    try:
        yield
    finally:
        for known in before:
            if get_expectation_impl(known.expectation_type) is not known:
                register_expectation(known)
