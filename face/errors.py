"""The package's own errors.

ExpclipError
├── DataError       a file, folder or corpus is not what it should be
├── ParseError      a text (an LLM's reply, an AU notation) cannot be read
├── ModelError      a model or a server does not do what was asked
└── MissingExtra    an optional dependency is not installed

A caller's wrong argument is a plain ``ValueError``.
"""


class ExpclipError(Exception):
    """Root of all errors raised on purpose; its message is one clear line."""


class DataError(ExpclipError):
    """A file, folder or corpus is not what it should be."""


class ParseError(ExpclipError):
    """A text cannot be read; ``reason`` is one word for counting."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class ModelError(ExpclipError):
    """A model or a server does not do what was asked of it."""


class MissingExtra(ExpclipError):
    """An optional dependency is not installed; the message gives the pip line."""

    def __init__(self, package: str, extra: str) -> None:
        super().__init__(f"{package} is not installed: pip install 'expclip[{extra}]'")
        self._asked = package, extra

    def __reduce__(self) -> tuple[type["MissingExtra"], tuple[str, str]]:
        return type(self), self._asked  # from one process to another
