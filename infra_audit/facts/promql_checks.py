"""Facts about expressions: what an expression asks that its data can never answer, or answers in another way."""

from __future__ import annotations

from infra_audit.deployment import Subject
from infra_audit.facts.expressions import Query, query_of
from infra_audit.facts.metric_sources import Sources, sources_of
from infra_audit.facts.registry import Evidence, Fact, Item, Known, evaluate, fact
from infra_audit.facts.scrapes import scrapes_of
from infra_audit.facts.selector_checks import fits
from infra_audit.facts.services import image_of
from infra_audit.monitoring.durations import written
from infra_audit.monitoring.grafana_macros import is_variable
from infra_audit.monitoring.prometheus_config import Job
from infra_audit.monitoring.promql import (
    Aggregation,
    Binary,
    Call,
    Number,
    Selector,
    Subquery,
    Tree,
    selectors,
    walk,
)
from infra_audit.monitoring.promql_labels import is_scalar, never_match

__all__: list[str] = []

_RATES = frozenset(("rate", "irate", "increase"))
_RISING = ("_total", "time_seconds", "_timestamp_seconds", "uptime_seconds", "uptime_in_seconds")
"""Endings of gauges that only rise: clocks, and counters whose exporter calls them gauges."""
_NEED_TWO = _RATES | {"delta", "idelta", "deriv"}
_COMPARISONS = frozenset(("==", "!=", "<", ">", "<=", ">="))


# -- types --------------------------------------------------------------------------------------


@fact("promql.gauge_rates", on="expression")
def gauge_rates(expression: Subject) -> Fact[list[Item]]:
    """Gauges under ``rate``, ``irate`` or ``increase``, which take every fall of the value for a restart."""
    query = query_of(expression)
    sources = sources_of(expression.deployment)
    items = []
    for part, _ in query.parts:
        if isinstance(part, Call) and part.function in _RATES and part.arguments:
            argument = part.arguments[0]
            metric = argument.inner if isinstance(argument, Subquery) else argument
            if not isinstance(metric, Selector) or metric.metric.endswith(_RISING):
                continue
            if sources.type_of(metric.metric) == "gauge":
                text = f"{part.function}() of {metric.metric}, which is a gauge"
                items.append(Item(text, (Evidence(query.place(metric)),), expected="delta() or deriv()"))
    return Known(items, query.place())


_CHANGES_NOTHING = frozenset(("abs", "ceil", "floor", "round", "sort", "sort_desc", "clamp_min", "clamp_max", "clamp"))
_SUMS = frozenset(("sum", "avg", "max", "min"))


@fact("promql.raw_counters", on="expression")
def raw_counters(expression: Subject) -> Fact[list[Item]]:
    """Counters of which an alert compares the sum since the start with a number."""
    query = query_of(expression)
    sources = sources_of(expression.deployment)
    items = []
    if expression.ref.kind == "alert" and query.parsed is not None:
        for part, above in query.parts:
            if not isinstance(part, Selector) or part.range is not None or sources.type_of(part.metric) != "counter":
                continue
            if _compared_raw((*above, part)):
                text = f"{part.metric} counts up since the start of its program, and is compared as it is"
                items.append(Item(text, (Evidence(query.place(part)),), expected=f"rate({part.metric}[5m])"))
    return Known(items, query.place())


def _compared_raw(way: tuple[Tree, ...]) -> bool:
    """True where nothing on the way from a selector outwards turns a counter into a change, up to a comparison."""
    for outer, inner in zip(reversed(way[:-1]), reversed(way[1:]), strict=True):
        match outer:
            case Aggregation() if outer.operation in _SUMS and inner is outer.inner:
                continue
            case Call() if outer.function in _CHANGES_NOTHING:
                continue
            case Binary() if outer.operator in _COMPARISONS:
                return inner is outer.left and _is_large(outer.operator, outer.right)
            case Binary() if outer.operator in ("*", "/") and is_scalar(outer.right) and inner is outer.left:
                continue
            case _:
                return False
    return False


def _is_large(operator: str, right: Tree) -> bool:
    """Above 0 asks whether something ever happened, which a counter does tell."""
    return isinstance(right, Number) and operator in (">", ">=") and right.value > 1


# -- matching -----------------------------------------------------------------------------------


@fact("promql.mismatches", on="expression")
def mismatches(expression: Subject) -> Fact[list[Item]]:
    """Operators whose two sides have labels that can never be the same."""
    query = query_of(expression)
    sources = sources_of(expression.deployment)
    items = []
    for part, _ in query.parts:
        if isinstance(part, Binary):
            why = never_match(part, sources.labels_of)
            if why and not any(is_variable(label) for label in why.split()):
                first = next(iter(selectors(part)), None)
                items.append(Item(f"{part.operator}: {why}", (Evidence(query.place(first)),)))
    return Known(items, query.place())


@fact("promql.self_ratios", on="expression")
def self_ratios(expression: Subject) -> Fact[list[Item]]:
    """Series divided by themselves: one side only has more matchers, and nothing is aggregated."""
    query = query_of(expression)
    items = []
    for part, _ in query.parts:
        if isinstance(part, Binary) and part.operator == "/" and part.on is None and part.ignoring is None:
            left, right = _bare(part.left), _bare(part.right)
            if left is None or right is None or left[0] != right[0]:
                continue
            one, other = left[1], right[1]
            same = (one.metric, one.range, one.offset) == (other.metric, other.range, other.offset)
            if set(other.matchers) == set(one.matchers) and one.range is None:
                continue  # `x / x` is a way to write 1 with the labels of x
            if same and one.metric and set(other.matchers) <= set(one.matchers):
                text = f"{one.metric} is divided by itself series by series, which gives 1"
                items.append(Item(text, (Evidence(query.place(one)),)))
    return Known(items, query.place())


def _bare(tree: Tree) -> tuple[tuple[str, ...], Selector] | None:
    """The functions around a selector and the selector, where nothing else is there."""
    functions: list[str] = []
    while isinstance(tree, Call) and len(tree.arguments) == 1:
        functions.append(tree.function)
        tree = tree.arguments[0]
    return (tuple(functions), tree) if isinstance(tree, Selector) else None


_LIMITS = {
    "container_spec_memory_limit_bytes": "a container without a memory limit",
    "container_spec_memory_swap_limit_bytes": "a container without a swap limit",
    "container_spec_memory_reservation_limit_bytes": "a container without a reservation",
    "container_spec_cpu_quota": "a container without a CPU limit",
    "redis_memory_max_bytes": "a Redis without maxmemory",
    "redis_config_maxmemory": "a Redis without maxmemory",
}


@fact("promql.limit_divisions", on="expression")
def limit_divisions(expression: Subject) -> Fact[list[Item]]:
    """Divisions by a limit that is 0 where none is set, so that the result is infinite."""
    query = query_of(expression)
    items = []
    for part, _ in query.parts:
        if isinstance(part, Binary) and part.operator == "/":
            for selector in selectors(part.right):
                whose = _LIMITS.get(selector.metric)
                if whose and not _is_guarded(query, selector.metric) and not _has_limit(expression, selector):
                    text = f"{selector.metric} is 0 for {whose}, and the division gives +Inf"
                    items.append(Item(text, (Evidence(query.place(selector)),), expected=f"{selector.metric} > 0"))
    return Known(items, query.place())


def _is_guarded(query: Query, metric: str) -> bool:
    """True where the limit is compared with a number, or the ratio with infinity."""
    for part, _ in query.parts:
        if isinstance(part, Binary) and part.operator in ("!=", ">", "<", ">=") and isinstance(part.right, Number):
            divides = any(isinstance(one, Binary) and one.operator == "/" for one, _ in walk(part.left))
            if part.right.value == float("inf"):
                return True
            if not divides and any(one.metric == metric for one in selectors(part.left)):
                return True
    return False


def _has_limit(expression: Subject, selector: Selector) -> bool:
    """True where every container of the deployment has a limit and the selector asks for containers only."""
    services = expression.deployment.subjects("service")
    if selector.metric.startswith("redis_"):
        products = [one for one in services if "redis" in (image.name if (image := image_of(one)) else "")]
        known = [evaluate(one, "redis.maxmemory") for one in products]
        return bool(known) and all(isinstance(one, Known) and one.value for one in known)
    if not any(one.label == "name" and one.value for one in selector.matchers) or not services:
        return False
    name = "service.cpu_limit" if "cpu" in selector.metric else "service.memory_limit"
    limits = [evaluate(one, name) for one in services]
    return all(isinstance(one, Known) and one.value for one in limits)


# -- ranges -------------------------------------------------------------------------------------


@fact("promql.short_ranges", on="expression")
def short_ranges(expression: Subject) -> Fact[list[Item]]:
    """Ranges of ``rate`` and its kin that are shorter than two scrapes of the metric."""
    query = query_of(expression)
    sources = sources_of(expression.deployment)
    items = []
    for part, _ in query.parts:
        if not isinstance(part, Call) or part.function not in _NEED_TWO or not part.arguments:
            continue
        selector = part.arguments[0]
        if not isinstance(selector, Selector) or not selector.range:
            continue
        job = _shortest(expression, selector, sources)
        if job is not None and job.interval is not None and selector.range < 2 * job.interval:
            text = f"{part.function} over {written(selector.range)}, and job {job.name} is scraped every "
            places = (
                Evidence(query.place(selector)),
                Evidence(job.interval_place, f"job {job.name} is scraped every {written(job.interval)}"),
            )
            items.append(Item(text + written(job.interval), places, expected=written(4 * job.interval)))
    return Known(items, query.place())


def _shortest(expression: Subject, selector: Selector, sources: Sources) -> Job | None:
    """The most often scraped of the jobs that may bring a metric; None for a recorded one and where none is known."""
    answer = sources.answer(selector.metric)
    if answer.rules or (answer.state == "there" and not answer.scrapes):
        return None
    jobs = [scrape.job for scrape in answer.scrapes or scrapes_of(expression.deployment)]
    wanted = [one for one in selector.matchers if one.label == "job"]
    jobs = [job for job in jobs if all(fits(one, job.name) for one in wanted)]
    return min((job for job in jobs if job.interval), key=lambda job: job.interval or 0, default=None)
