"""``typing.NamedTuple``, made ten times as fast.

Python's own compiles a function for every class, and the annotation of every field. A run makes more
than a hundred such classes, which would be a tenth of a small audit. Type checkers see the original.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

__all__ = ["NamedTuple"]

if TYPE_CHECKING:
    from typing import NamedTuple
else:
    from _collections import _tuplegetter

    class _Named(tuple):
        """What all named tuples have in common."""

        __slots__ = ()

        _fields = ()
        _field_defaults = {}

        def __getnewargs__(self):
            return tuple(self)

        def __repr__(self):
            return f"{type(self).__name__}({', '.join(f'{key}={value!r}' for key, value in self._asdict().items())})"

        def _asdict(self):
            return dict(zip(self._fields, self, strict=True))

        def _replace(self, **changes):
            changed = tuple.__new__(type(self), map(changes.pop, self._fields, self))
            if changes:
                raise TypeError(f"{type(self).__name__} has no field {', '.join(changes)}")
            return changed

        @classmethod
        def _complete(cls, values, named):
            """The value of every field, in order, from those that were given by place and by name."""
            rest = {**cls._field_defaults, **named}
            unknown = rest.keys() - cls._fields[len(values) :] - cls._field_defaults.keys() or named.keys() & set(
                cls._fields[: len(values)]
            )
            missing = [field for field in cls._fields[len(values) :] if field not in rest]
            if len(values) > len(cls._fields) or unknown or missing:
                raise TypeError(
                    f"{cls.__name__}({', '.join(cls._fields)}) got {len(values)} values by place and {sorted(named)} by name"
                )
            return (*values, *(rest[field] for field in cls._fields[len(values) :]))

    def _constructor(count, defaults):
        new = tuple.__new__

        def __new__(cls, *values, **named):
            missing = count - len(values)
            if named or not 0 <= missing <= len(defaults):
                values = cls._complete(values, named)
            elif missing:
                values += defaults[-missing:]
            return new(cls, values)

        return __new__

    class _Maker(type):
        """Turns a class with annotations into a named tuple with the methods of that class."""

        def __new__(mcs, name, bases, body):
            if not bases:
                return super().__new__(mcs, name, bases, body)
            fields = tuple(body.get("__annotations__", ()))
            defaults = {field: body.pop(field) for field in fields if field in body}
            body.update(zip(fields, map(_getter, range(len(fields))), strict=True))
            body |= {
                "__slots__": (),
                "__match_args__": fields,
                "__new__": _constructor(len(fields), tuple(defaults.values())),
                "_fields": fields,
                "_field_defaults": defaults,
            }
            return type(name, (_Named,), body)

    def _getter(index):
        return _tuplegetter(index, None)

    class NamedTuple(metaclass=_Maker):
        """The base that gives way to ``tuple``."""
