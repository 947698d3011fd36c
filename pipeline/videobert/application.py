"""What an application is, and which there are: every module or package of `videobert.applications`.

The module `NAME` holds the class of that name in capitals (`best_of` holds `BestOf`): a frozen dataclass whose fields
are the flags of `videobert NAME` and the arguments of `videobert.open(root).NAME(...)`.
"""

from __future__ import annotations

import importlib
import inspect
import json
import pkgutil
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar

from videobert import applications

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

    from videobert.api import Root

__all__ = ["Application", "application_method", "application_names", "class_name_of", "load_application"]

Record = TypeVar("Record", bound="DataclassInstance")


@dataclass(frozen=True, kw_only=True)
class Application(ABC, Generic[Record]):
    """One question to a root. Its answer is records, one after the other: dataclasses that JSON can hold."""

    root: str
    """Root of the pipeline."""
    model: str = "current"
    """Model spec; `current` is the promoted one."""
    json: bool = False
    """Print JSON lines."""

    as_it_goes: ClassVar[bool] = False
    """Whether records come over hours: Python gets an iterator then, in place of a list."""

    @abstractmethod
    def answer(self, root: Root) -> Iterator[Record]:
        """The records, best or first first. Raises InputError for a question that is none."""

    @abstractmethod
    def line(self, record: Record) -> str:
        """A record as a person reads it."""

    def execute(self) -> None:
        """Print the answer; the command line calls this."""
        import videobert

        for record in self.answer(videobert.open(self.root)):
            print(json.dumps(asdict(record)) if self.json else self.line(record))


def application_names() -> list[str]:
    """As commands are called: with `-` for `_`."""
    return sorted(module.name.replace("_", "-") for module in pkgutil.iter_modules(applications.__path__))


def class_name_of(name: str) -> str:
    """The class that a module of that name holds: `best-of` has `BestOf`."""
    return "".join(part.capitalize() for part in name.replace("-", "_").split("_"))


def load_application(name: str) -> type[Application[Any]]:
    """The class of an application; imports its module only."""
    module = importlib.import_module(f"{applications.__name__}.{name.replace('-', '_')}")
    found: type[Application[Any]] = getattr(module, class_name_of(name))
    return found


def application_method(root: Root, name: str) -> Callable[..., Any]:
    """`root.NAME(...)`: a function that takes the application's fields and returns its records."""
    application = load_application(name)

    def ask(**options: Any) -> list[Any] | Iterator[Any]:
        records = application(root=root.url, **options).answer(root)
        return records if application.as_it_goes else list(records)

    ask.__name__, ask.__doc__ = name, inspect.getdoc(application)
    own = [field for field in fields(application) if field.name not in ("root", "json")]
    ask.__signature__ = inspect.Signature(  # type: ignore[attr-defined]  # what `help` shows
        [inspect.Parameter(f.name, inspect.Parameter.KEYWORD_ONLY, default=f.default, annotation=f.type) for f in own]
    )
    return ask
