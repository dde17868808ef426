"""``typing.NamedTuple`` and ``dataclasses.dataclass``, made in a tenth of the time.

Python's own compile functions for every class. A run makes more than a hundred such classes, which
would be a tenth of a small audit; here only those get one of which it makes many objects. Type checkers
see the originals.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

__all__ = ["NamedTuple", "field", "record"]

if TYPE_CHECKING:
    from dataclasses import dataclass as record
    from dataclasses import field
    from typing import NamedTuple
else:
    from _collections import _tuplegetter

    _MANY = 500
    """So many objects are worth a constructor that is compiled for their class."""

    def _compiled(fields, defaults, body, **known):
        """A function of fields; ``body`` is its text, which may use what is ``known``."""
        written = (f"{name}=_defaults[{name!r}]" if name in defaults else name for name in fields)
        names = {"_defaults": defaults, **known}
        exec(f"def made(_self, {', '.join(written)}):\n{body}", names)
        return names["made"]

    class _Named(tuple):
        """What all named tuples have in common."""

        __slots__ = ()

        def __getnewargs__(self):
            return tuple(self)

        def __repr__(self):
            return f"{type(self).__name__}({', '.join(f'{key}={value!r}' for key, value in self._asdict().items())})"

        def _asdict(self):
            return dict(zip(self._fields, self, strict=True))

        _make = classmethod(tuple.__new__)

        def _replace(self, **changes):
            changed = tuple.__new__(type(self), map(changes.pop, self._fields, self))
            if changes:
                raise TypeError(f"{type(self).__name__} has no field {', '.join(changes)}")
            return changed

        @classmethod
        def _complete(cls, values, named):
            """The value of every field, in order, from those that were given by place and by name."""
            given = dict(zip(cls._fields, values, strict=False))
            complete = cls._field_defaults | given | named
            if len(complete) != len(cls._fields) or len(given) < len(values) or given.keys() & named:
                takes = ", ".join(cls._fields)
                raise TypeError(f"{cls.__name__} takes {takes}, not {len(values)} values and {list(named)}")
            return map(complete.__getitem__, cls._fields)

    def _constructor(fields, defaults):
        make = tuple.__new__
        ready = tuple(defaults.values())
        made = 0

        def new(cls, *values, **named):
            nonlocal made
            made += 1
            if made == _MANY:
                body = f" return _make(_self, ({', '.join(fields)},))"
                cls.__new__ = staticmethod(_compiled(fields, defaults, body, _make=make))
            missing = len(fields) - len(values)
            if named or not 0 <= missing <= len(ready):
                values = cls._complete(values, named)
            elif missing:
                values += ready[-missing:]
            return make(cls, values)

        return new

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
                "__new__": _constructor(fields, defaults),
                "_fields": fields,
                "_field_defaults": defaults,
            }
            return type(name, (_Named,), body)

    def _getter(index):
        return _tuplegetter(index, None)

    class NamedTuple(metaclass=_Maker):
        """The base that gives way to ``tuple``."""

    class field:  # noqa: N801 - it stands for a function
        """The default of a field, made anew for each object."""

        def __init__(self, *, default_factory):
            self.make = default_factory

    def _initialiser(fields, ready, made, check):
        body = "".join(
            f" _self.{name} = _made[{name!r}]() if {name} is _made else {name}\n"
            if name in made
            else f" _self.{name} = {name}\n"
            for name in fields
        )
        defaults = ready | dict.fromkeys(made, made)
        return _compiled(fields, defaults, body + (" _check(_self)\n" if check else ""), _made=made, _check=check)

    def record(cls):
        """Gives a class with annotations an ``__init__`` that takes its fields, by place or by name."""
        fields = tuple(cls.__annotations__)
        defaults = {name: getattr(cls, name) for name in fields if hasattr(cls, name)}
        made = {name: default.make for name, default in defaults.items() if isinstance(default, field)}
        for name in made:
            delattr(cls, name)
        ready = {name: default for name, default in defaults.items() if name not in made}
        check = getattr(cls, "__post_init__", None)
        objects = 0

        def initialise(self, *values, **named):
            nonlocal objects
            objects += 1
            if objects == _MANY:
                cls.__init__ = _initialiser(fields, ready, made, check)
            state = self.__dict__
            state.update(ready)
            state.update(zip(fields, values, strict=False))
            state.update(named)
            for name, make in made.items():
                if name not in state:
                    state[name] = make()
            if len(state) != len(fields) or len(values) > len(fields):
                raise TypeError(f"{cls.__name__} takes {', '.join(fields)}, not {len(values)} values and {list(named)}")
            if check is not None:
                check(self)

        cls.__init__ = initialise
        return cls
