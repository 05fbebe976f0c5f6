"""A value held against a JSON Schema that nobody vouches for: both come out of traces.

The schema may refer to the network, to itself without end, name patterns that take years, or
multiply its own work by two at every level. So nothing is fetched, patterns are RE2's (which take
linear time; one that RE2 does not know, such as a look-ahead, is not checked), and the work is
counted.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import Any

import orjson

#: Larger answers are not held against a schema: the reasons of its failures repeat them.
LARGEST = 200_000
_MISTAKES_SHOWN = 3
_MOST_STEPS = 50_000
_work = threading.local()


class UnusableError(Exception):
    """The schema says nothing of the value: it is none, refers elsewhere, or takes too long."""


def broken(value: Any, schema: Any, size: int = 0) -> str:
    """Which keywords of the schema fail and where, without the values; '' when none does. `size` is
    that of the value as text.

    Raises UnusableError when the schema cannot be applied.
    """
    from referencing.exceptions import Unresolvable

    if size > LARGEST:
        raise UnusableError("the answer is too long to be held against its schema")
    _work.steps, _work.per_error = 0, 1 + size // 500
    found = []
    try:
        for error in _validator(orjson.dumps(schema, option=orjson.OPT_SORT_KEYS)).iter_errors(
            value
        ):
            where = "/".join(str(part) for part in error.absolute_schema_path)
            found.append(f"{error.validator} at {where}"[:120])
            if len(found) == _MISTAKES_SHOWN:
                break
    except Unresolvable as error:
        raise UnusableError("the schema refers to what is not in it") from error
    except (RecursionError, orjson.JSONEncodeError, ArithmeticError, TypeError) as error:
        raise UnusableError("the schema cannot be applied") from error
    return ", ".join(found)


@lru_cache(maxsize=256)
def _validator(schema: bytes) -> Any:
    from jsonschema import Draft202012Validator, FormatChecker
    from jsonschema.exceptions import SchemaError
    from jsonschema.validators import validator_for
    from jsonschema_specifications import REGISTRY

    if b'"patternProperties"' in schema and b'"unevaluatedProperties"' in schema:
        raise UnusableError("the schema is beyond what is checked")  # by the library's own engine
    try:
        loaded = orjson.loads(schema)
        kind = validator_for(loaded, default=Draft202012Validator)
        # Without formats: Python's engine does not know every pattern that JSON Schema does.
        kind.check_schema(loaded, format_checker=FormatChecker(formats=()))
    except (SchemaError, RecursionError, orjson.JSONDecodeError, TypeError) as error:
        raise UnusableError("the schema itself is not valid") from error
    return _guarded(kind)(loaded, registry=REGISTRY)


@lru_cache(maxsize=16)
def _guarded(kind: Any) -> Any:
    """A validator whose keywords count their work, with our own where a keyword may take long."""
    from jsonschema.validators import extend

    own = {
        "pattern": _pattern,
        "patternProperties": _pattern_properties,
        "additionalProperties": _additional_properties,
        "uniqueItems": _unique_items,
    }
    known = kind.VALIDATORS
    rules = {**known, **{name: rule for name, rule in own.items() if name in known}}
    return extend(kind, {name: _counted(rule) for name, rule in rules.items()})


def _counted(rule: Callable[..., Iterator[Any] | None]) -> Callable[..., Iterator[Any]]:
    def apply(validator: Any, argument: Any, instance: Any, schema: Any) -> Iterator[Any]:
        _step(1 + (len(argument) // 20 if isinstance(argument, (list, dict)) else 0))
        for error in rule(validator, argument, instance, schema) or ():
            _step(_work.per_error)
            yield error

    return apply


def _step(size: int) -> None:
    _work.steps += size
    if _work.steps > _MOST_STEPS:
        raise UnusableError("the schema takes too long to apply")


def _matches(pattern: str, text: str) -> bool | None:
    """Whether RE2 finds the pattern; None for one that it does not know."""
    import pyarrow as pa
    import pyarrow.compute as pc

    try:
        return bool(pc.match_substring_regex(pa.scalar(text, pa.string()), pattern).as_py())
    except (pa.ArrowInvalid, UnicodeEncodeError):
        return None


def _pattern(validator: Any, pattern: Any, instance: Any, schema: Any) -> Iterator[Any]:
    from jsonschema.exceptions import ValidationError

    if validator.is_type(instance, "string") and _matches(pattern, instance) is False:
        yield ValidationError("another form")


def _pattern_properties(validator: Any, patterns: Any, instance: Any, schema: Any) -> Iterator[Any]:
    if not validator.is_type(instance, "object"):
        return
    for pattern, subschema in patterns.items():
        for name, value in instance.items():
            _step(1)
            if _matches(pattern, name):
                yield from validator.descend(value, subschema, path=name, schema_path=pattern)


def _additional_properties(validator: Any, rule: Any, instance: Any, schema: Any) -> Iterator[Any]:
    from jsonschema.exceptions import ValidationError

    if not validator.is_type(instance, "object"):
        return
    patterns = schema.get("patternProperties", {})
    for name in instance.keys() - schema.get("properties", {}).keys():
        # A pattern that is not known may be meant for any name.
        if any(_matches(pattern, name) is not False for pattern in patterns):
            continue
        if validator.is_type(rule, "object"):
            yield from validator.descend(instance[name], rule, path=name)
        elif not rule:
            yield ValidationError("a property too many")


def _unique_items(validator: Any, wanted: Any, instance: Any, schema: Any) -> Iterator[Any]:
    from jsonschema.exceptions import ValidationError

    if wanted and validator.is_type(instance, "array"):
        seen = {orjson.dumps(each, option=orjson.OPT_SORT_KEYS) for each in instance}
        if len(seen) < len(instance):
            yield ValidationError("an item twice")
