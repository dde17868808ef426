"""What users' documents may say, as pydantic models: policies, plans and configuration.

Only checks, and the source of the JSON Schemas for editors; the engine works on the plain data.
Tags of unions stand in angle brackets, so that no error's path takes one for a key of the document.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Discriminator, Field, Tag, model_validator

from infra_audit.engine.conditions import COMPARISONS
from infra_audit.engine.policies import SubjectKind
from infra_audit.finding import CIS_BENCHMARK
from infra_audit.suppress import is_date
from infra_audit.units import parse_bytes, parse_duration

__all__ = ["MODELS", "ConfigDocument", "PlanDocument", "PolicyDocument", "Strict", "schema"]


class Strict(BaseModel):
    """No unknown keys, no silent conversions."""

    # Each model is built when it is first used: a run reads one kind of document.
    model_config = ConfigDict(extra="forbid", strict=True, populate_by_name=False, defer_build=True)


def _checked(parse: Callable[[str], object], what: str) -> Callable[[Any], Any]:
    def check(value: Any) -> Any:
        if isinstance(value, str) and parse(value) is None:
            raise ValueError(f"{value!r} is no {what}")
        return value

    return check


Severity = Literal["error", "warning", "info"]
Id = Annotated[str, Field(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$", description="Lower case words with hyphens.")]
Text = Annotated[str, Field(min_length=1)]
Texts = Text | list[Text]
Recommendation = Annotated[str, Field(pattern=r"^[1-7]\.[0-9]{1,2}$")]
Size = Annotated[int | str, AfterValidator(_checked(parse_bytes, "size such as 512MiB or 2GiB"))]
Duration = Annotated[str, AfterValidator(_checked(parse_duration, "duration such as 30s or 1m30s"))]


# -- policies -----------------------------------------------------------------------------------


class _AllOf(Strict):
    all: Annotated[list[Condition], Field(min_length=1)]


class _AnyOf(Strict):
    any: Annotated[list[Condition], Field(min_length=1)]


class _NotOf(Strict):
    not_: Condition = Field(alias="not")


class _PlanOf(Strict):
    plan: Text


class _FactOf(Strict):
    fact: Text


class _ParameterOf(Strict):
    parameter: Text


def _operand_kind(value: Any) -> str:
    if not isinstance(value, dict):
        return "<list>" if isinstance(value, list) else "<literal>"
    return next((f"<{kind}>" for kind in ("plan", "fact", "parameter") if kind in value), "<plan>")


Literally = str | int | float | bool | None
Single = Annotated[
    Annotated[_PlanOf, Tag("<plan>")]
    | Annotated[_FactOf, Tag("<fact>")]
    | Annotated[_ParameterOf, Tag("<parameter>")]
    | Annotated[Literally, Tag("<literal>")],
    Discriminator(_operand_kind),
]
Operand = Annotated[
    Annotated[_PlanOf, Tag("<plan>")]
    | Annotated[_FactOf, Tag("<fact>")]
    | Annotated[_ParameterOf, Tag("<parameter>")]
    | Annotated[list[Single], Tag("<list>")]
    | Annotated[Literally, Tag("<literal>")],
    Discriminator(_operand_kind),
]


class _LeafOf(Strict):
    """A fact and exactly one comparison."""

    model_config = ConfigDict(json_schema_extra={"minProperties": 2, "maxProperties": 2})

    fact: Text
    is_: Operand = Field(None, alias="is")
    is_not: Operand = None
    in_: Operand = Field(None, alias="in")
    not_in: Operand = None
    at_least: Operand = None
    at_most: Operand = None
    above: Operand = None
    below: Operand = None
    between: Annotated[list[Single], Field(min_length=2, max_length=2)] = []
    matches: Operand = None
    exists: bool = True
    contains: Operand = None
    subset_of: Operand = None
    empty: bool = True

    @model_validator(mode="after")
    def _one_comparison(self) -> _LeafOf:
        used = self.model_fields_set - {"fact"}
        if len(used) != 1:
            raise ValueError(f"a fact is compared by exactly one of {', '.join(COMPARISONS)}")
        return self


def _condition_kind(value: Any) -> str | None:
    if not isinstance(value, dict):
        return None
    return next((f"<{kind}>" for kind in ("fact", "all", "any", "not") if kind in value), None)


Condition = Annotated[
    Annotated[_LeafOf, Tag("<fact>")]
    | Annotated[_AllOf, Tag("<all>")]
    | Annotated[_AnyOf, Tag("<any>")]
    | Annotated[_NotOf, Tag("<not>")],
    Discriminator(
        _condition_kind,
        custom_error_type="condition",
        custom_error_message="a condition is a mapping with `fact`, `all`, `any` or `not`",
    ),
]


def _files_and_findings(value: Any) -> Any:
    for name, content in value.items():
        if isinstance(content, list) is not (name == "findings"):
            raise ValueError("a file is a text; only `findings` is a list")
    return value


ExampleFiles = Annotated[
    dict[str, str | list[str]],
    Field(
        min_length=1,
        description="File name → text; under `findings` the places (file:line) in files that take no marks.",
    ),
    AfterValidator(_files_and_findings),
]


class _Examples(Strict):
    bad: Annotated[list[ExampleFiles], Field(min_length=1)]
    good: Annotated[list[ExampleFiles], Field(min_length=1)]


class _Edit(Strict):
    """What `infra-audit fix` does at a finding's place: exactly one of set, remove and add."""

    set: Text | None = Field(None, description="The scalar there becomes this.")
    remove: Text | None = Field(None, description="The entry of this key goes.")
    add: Annotated[dict[str, Any], Field(min_length=1)] | None = Field(None, description="The mapping gets these keys.")
    safe: bool = Field(False, description="It does what is documented, or changes nothing that runs.")

    @model_validator(mode="after")
    def _one_kind(self) -> _Edit:
        if len(self.model_fields_set - {"safe"}) != 1:
            raise ValueError("an edit is exactly one of set, remove and add")
        return self


class _Check(Strict):
    where: Condition | None = None
    require: Condition | None = None
    severity: Severity | None = None
    message: Text | None = None
    fix: Text | None = None
    edit: _Edit | None = None


class PolicyDocument(Strict):
    """A policy: which subjects, what must hold for them, and what to say where it does not."""

    id: Id
    title: Text
    severity: Severity
    subject: SubjectKind
    where: Condition | None = None
    require: Condition
    parameters: dict[str, Literally | list[Literally]] = {}
    message: Text
    why: Text | None = None
    fix: Text | None = None
    edit: _Edit | None = None
    references: list[Text] = []
    cis: Recommendation | list[Recommendation] = Field([], description=f"Of the {CIS_BENCHMARK}.")
    fold: bool = False
    enabled: bool = True
    live: bool | None = Field(None, description="true: only what runs; false: only files. Default: both.")
    unless: list[Id] = []
    also: list[_Check] = []
    examples: _Examples | None = None


# -- plans --------------------------------------------------------------------------------------


class _ExactNumber(Strict):
    exactly: float | int


class _ExactSize(Strict):
    exactly: Size


def _written_as_mapping(value: Any) -> str:
    return "<exactly>" if isinstance(value, dict) else "<at_least>"


Number = Annotated[
    Annotated[_ExactNumber, Tag("<exactly>")] | Annotated[float | int, Tag("<at_least>")],
    Discriminator(_written_as_mapping),
]
Memory = Annotated[
    Annotated[_ExactSize, Tag("<exactly>")] | Annotated[Size, Tag("<at_least>")], Discriminator(_written_as_mapping)
]


class _Match(Strict):
    """Any of these makes a service fill the role; names and images are globs."""

    label: str | list[str] | dict[str, str | None] | None = None
    service: Texts | None = None
    image: Texts | None = None
    product: Texts | None = None


class _Health(Strict):
    interval: Duration | dict[Literal["exactly"], Duration] | None = None
    timeout: Duration | dict[Literal["exactly"], Duration] | None = None
    start_period: Duration | dict[Literal["exactly"], Duration] | None = None
    retries: Number | None = None
    path: Text | None = None


class _Stage(Strict):
    """A step of the pipeline: its place in the order, and what one replica gets done."""

    order: int
    rate: float | int


class _Update(Strict):
    """How a rolling update goes, in the words of deploy.update_config."""

    order: Literal["start-first", "stop-first"] | None = None
    failure_action: Literal["rollback", "pause", "continue"] | None = None


class _Role(Strict):
    match: _Match | None = None
    description: str | None = None
    image: Texts | None = None
    images: Texts | None = None
    cpus: Number | None = None
    memory: Memory | None = None
    replicas: Number | None = None
    networks: list[Text] | None = None
    published: list[int] | None = Field(None, description="Ports of the host.")
    settings: dict[str, Any] | None = Field(None, description="Settings of the server, by its own names.")
    environment: dict[str, Any] | None = Field(None, description="Environment variables of the container.")
    health: _Health | None = None
    update: _Update | None = None
    stop_grace_period: Duration | dict[Literal["exactly"], Duration] | None = None
    stage: _Stage | None = None
    monitored: bool | None = Field(None, description="False for a role that nobody has to watch.")


class _PlanNetwork(Strict):
    description: str | None = None
    subnet: Text | None = None
    mtu: Number | None = None
    edge: bool | None = Field(None, description="True for the network that faces the outside.")


class _Budget(Strict):
    cpus: float | int | None = None
    memory: Size | None = None


class _Target(Strict):
    throughput: float | int
    unit: Text


class _Alerts(Strict):
    count: Annotated[int, Field(ge=0)] | None = None
    failures: dict[Text, Annotated[list[Text], Field(min_length=1)]] = {}


class _Monitoring(Strict):
    panels: Annotated[
        dict[Text, Texts | None],
        Field(description="Key panels: glob of the title → globs of metrics of which it asks at least one."),
    ] = {}
    alerts: _Alerts | None = None


class _Pools(Strict):
    """Environment variables of one's own that say how many connections a process keeps to its database."""

    size: list[Text] = []
    overflow: list[Text] = []


class PlanDocument(Strict):
    """A plan: the numbers that a team documented for one system."""

    plan: Text
    description: str | None = None
    target: _Target | None = None
    roles: dict[str, _Role | None] = {}
    networks: dict[str, _PlanNetwork | None] = {}
    budget: _Budget | None = None
    pools: _Pools | None = None
    monitoring: _Monitoring | None = None


# -- configuration ------------------------------------------------------------------------------


def _day(value: str) -> str:
    if not is_date(value):
        raise ValueError(f"{value!r} is no day; write one as 2027-01-31")
    return value


Day = Annotated[
    str, AfterValidator(_day), Field(description="The last day that it holds.", json_schema_extra={"format": "date"})
]


class _Rule(Strict):
    enabled: bool | None = None
    severity: Severity | None = None
    parameters: dict[str, Literally | list[Literally]] = {}
    reason: Text
    until: Day | None = None


class _Ignore(Strict):
    policy: Id
    subject: Text | None = None
    deployment: Text | None = None
    path: Text | None = Field(None, description="A glob of the files that it counts in.")
    reason: Text
    until: Day | None = None


class _PathConfig(Strict):
    """For the deployments whose first file a glob fits."""

    plan: Text | None = None
    rules: dict[Id, _Rule] = {}


class _DeploymentConfig(Strict):
    files: Annotated[list[Text], Field(min_length=1)]
    env_files: list[Text] = []
    profiles: list[Text] | None = None
    plan: Text | None = None
    rules: dict[Id, _Rule] = {}


class ConfigDocument(Strict):
    """``.infra-audit.yaml``."""

    plan: Text | None = None
    policies: list[Text] = []
    deployments: dict[str, _DeploymentConfig] = {}
    paths: dict[str, _PathConfig] = Field({}, description="By globs of paths, later ones over earlier ones.")
    rules: dict[Id, _Rule] = {}
    ignore: list[_Ignore] = []
    metrics: dict[Text, Annotated[list[Text], Field(min_length=1)]] = {}


MODELS: dict[str, type[BaseModel]] = {
    "policy": PolicyDocument,
    "plan": PlanDocument,
    "config": ConfigDocument,
}


def schema(kind: str) -> dict[str, Any]:
    """The JSON Schema (2020-12) of a "policy", a "plan" or the "config"."""
    made = MODELS[kind].model_json_schema(by_alias=True)
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **made}
