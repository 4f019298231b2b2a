"""What the text of a flag means, by the annotation of its setting."""

from __future__ import annotations

import types
from typing import Annotated, Any, Literal, Union, get_args, get_origin


def plain_value(text: Any, annotation: Any) -> Any:
    """What YAML would have given for the text of a flag; anything but text is returned as it is.

    "none" is None where the setting may be None, "1,2" is a list where it is a tuple, and "3" is 3 where it
    is a choice of numbers.

    Args:
        text: a text or a list of texts, one for each time that the flag was given.
        annotation: of the field of the settings.
    """
    texts = text if isinstance(text, list) else [text]
    if not all(isinstance(item, str) for item in texts):
        return text
    if _is_optional(annotation) and [item.lower() for item in texts] == ["none"]:
        return None
    for choice in alternatives(annotation):
        if get_origin(choice) is tuple:
            own = get_args(choice)[0]
            return [plain_value(part.strip(), own) for item in texts for part in item.split(",")]
    for choice in alternatives(annotation):
        if get_origin(choice) is Literal:
            return next((option for option in get_args(choice) if str(option) == text), text)
    return text


def alternatives(annotation: Any) -> tuple[Any, ...]:
    """The members of a union without None, or the annotation itself."""
    if get_origin(annotation) is Annotated:
        return alternatives(get_args(annotation)[0])
    if get_origin(annotation) in (Union, types.UnionType):
        members = [item for item in get_args(annotation) if item is not types.NoneType]
        return tuple(plain for item in members for plain in alternatives(item))
    return (annotation,)


def is_tuple(annotation: Any) -> bool:
    """Whether a setting holds several values."""
    return any(get_origin(item) is tuple for item in alternatives(annotation))


def _is_optional(annotation: Any) -> bool:
    return types.NoneType in get_args(annotation)
