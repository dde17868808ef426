"""``.infra-audit.yaml`` and users' documents: where they are found, what they change, and what is refused where."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from infra_audit.engine import schemas
from infra_audit.engine.conditions import COMPARISONS
from infra_audit.engine.config import Config, apply_rules, find_config, read_config
from infra_audit.engine.documents import read_plan, read_policies, read_valid
from infra_audit.errors import ConfigError, InfraAuditError
from infra_audit.facts.registry import Known
from infra_audit.finding import Severity
from infra_audit.readers.yaml import read_yaml
from infra_audit.source import Source
from tests.trees import fact_set, policy, seen

WHOLE = """\
plan: ./plan.yaml
policies: [./policies]
deployments:
  production:
    files: [docker-compose.yml, deploy/prod.yml]
    env_files: [.env.production]
    profiles: []
    plan: reference
    rules:
      cpu-limit: {severity: info, reason: one host}
  staging:
    files: [docker-compose.yml]
rules:
  sample: {severity: warning, parameters: {share: 0.9}, reason: measured}
  other: {enabled: false, reason: "no use here"}
ignore:
  - {policy: sample, subject: "node-*", deployment: production, reason: reads the host}
"""


@pytest.fixture(autouse=True)
def facts() -> Iterator[None]:
    with fact_set({"service.image": lambda service: seen(service, "image"), "t.share": lambda _: Known(0.5)}):
        yield


def written(folder: Path, text: str) -> Config:
    path = folder / ".infra-audit.yaml"
    path.write_text(text, encoding="utf-8")
    return read_config(str(path))


def test_a_configuration_says_it_all(tmp_path: Path) -> None:
    config = written(tmp_path, WHOLE)
    assert config.plan == str(tmp_path / "plan.yaml")
    assert config.policies == (str(tmp_path / "policies"),)
    production = config.deployment("production")
    staging = config.deployment("staging")
    assert production is not None
    assert staging is not None
    assert production.files == (str(tmp_path / "docker-compose.yml"), str(tmp_path / "deploy" / "prod.yml"))
    assert production.env_files == (str(tmp_path / ".env.production"),)
    assert (production.plan, production.profiles) == ("reference", ())
    assert [(rule.policy, rule.severity) for rule in production.rules] == [("cpu-limit", Severity.info)]
    assert (staging.plan, staging.profiles, staging.rules) == (None, None, ())
    assert [(rule.policy, rule.enabled, rule.reason) for rule in config.rules] == [
        ("sample", None, "measured"),
        ("other", False, "no use here"),
    ]
    [ignore] = config.ignores
    assert (ignore.policy, ignore.subject, ignore.deployment, ignore.reason) == (
        "sample",
        "node-*",
        "production",
        "reads the host",
    )


@pytest.mark.parametrize("text", ["", "# nothing\n", "---\n", "{}"])
def test_an_empty_configuration_changes_nothing(tmp_path: Path, text: str) -> None:
    config = written(tmp_path, text)
    assert (config.plan, config.policies, config.deployments, config.rules, config.ignores) == (None, (), (), (), ())


@pytest.mark.parametrize(
    ("text", "place", "message"),
    [
        ("rules:\n  a: {enabled: false}", "2:3", "`reason` is missing in `a`"),
        ("rules:\n  a: {enabled: false, reason: ''}", "2:23", "`reason` must be a text that is not empty"),
        ("rules:\n  a: {severity: fatal, reason: x}", "2:7", "`severity` must be 'error', 'warning' or 'info'"),
        ("ignore:\n  - {policy: a}", "2:5", "`reason` is missing"),
        ("plans: reference", "1:1", "unknown key `plans`; did you mean `plan`?"),
        ("deployments:\n  a:\n    file: [x]", "3:5", "unknown key `file`; did you mean `files`?"),
        ("deployments:\n  a: {files: []}", "2:7", "`files`"),
        ("policies: ./policies", "1:1", "`policies` must be a list"),
        ("ignore: [1]", "1:10", "must be a mapping"),
        ("[]", "1:1", "must be a mapping"),
        ("rules:\n  A b: {enabled: false, reason: x}", "2:3", "A b"),
    ],
)
def test_a_wrong_configuration_is_refused_at_its_place(tmp_path: Path, text: str, place: str, message: str) -> None:
    with pytest.raises(ConfigError) as error:
        written(tmp_path, text)
    assert f".infra-audit.yaml:{place}: " in str(error.value)
    assert message in error.value.message


def test_the_nearest_configuration_upwards_counts(tmp_path: Path) -> None:
    inner = tmp_path / "repo" / "deploy" / "prod"
    inner.mkdir(parents=True)
    (tmp_path / ".infra-audit.yaml").touch()
    compose = inner / "compose.yaml"
    compose.touch()
    assert find_config(str(compose)) == str(tmp_path / ".infra-audit.yaml")
    (tmp_path / "repo" / ".infra-audit.yml").touch()
    assert find_config(str(compose)) == str(tmp_path / "repo" / ".infra-audit.yml")
    (inner / ".infra-audit.yaml").touch()
    assert find_config(str(inner)) == str(inner / ".infra-audit.yaml")


def test_a_configuration_outside_of_the_repository_does_not_count(tmp_path: Path) -> None:
    (tmp_path / ".infra-audit.yaml").touch()
    (tmp_path / "repo" / ".git").mkdir(parents=True)
    assert find_config(str(tmp_path / "repo")) is None


# -- rules --------------------------------------------------------------------------------------

SAMPLE = """
require: {fact: t.share, at_most: {parameter: share}}
parameters: {share: 0.8}
also:
  - {severity: warning, require: {fact: t.share, at_most: 0.7}}
"""


def test_rules_change_policies(tmp_path: Path) -> None:
    other = policy("id: other\nrequire: {fact: t.share, is: 1}")
    config = written(tmp_path, WHOLE)
    sample, other = apply_rules([policy(SAMPLE), other], config.rules)
    assert sample.parameters == {"share": 0.9}
    assert {check.severity for check in sample.checks} == {Severity.warning}
    assert (sample.enabled, other.enabled) == (True, False)


@pytest.mark.parametrize(
    ("rules", "place", "message"),
    [
        ("sampel: {enabled: false, reason: x}", "1:9", "no policy is called sampel; did you mean sample?"),
        ("sample: {parameters: {shar: 1}, reason: x}", "1:9", "sample has no parameter shar; it has share"),
    ],
)
def test_a_rule_for_what_does_not_exist_is_refused(tmp_path: Path, rules: str, place: str, message: str) -> None:
    config = written(tmp_path, f"rules: {{{rules}}}")
    with pytest.raises(ConfigError) as error:
        apply_rules([policy(SAMPLE)], config.rules)
    assert (f"{error.value.line}:{error.value.column}", error.value.message) == (place, message)


# -- policies -----------------------------------------------------------------------------------

OWN = """\
id: own-image
title: Images come from our registry
severity: error
subject: service
require: {fact: service.image, matches: "registry.example/*"}
message: "{subject}: {value} is not from our registry"
"""


def own(folder: Path, text: str) -> list[Any]:
    path = folder / "policies" / "images" / "own-image.yaml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return list(read_policies(str(folder / "policies")))


def test_a_policy_of_the_users_own(tmp_path: Path) -> None:
    [made] = own(tmp_path, OWN)
    assert (made.id, made.pack, made.family) == ("own-image", "local", "images")


@pytest.mark.parametrize(
    ("old", "new", "place", "message"),
    [
        ("service.image,", "service.imag,", "1:1", "no fact is called service.imag; did you mean service.image?"),
        ("matches:", "matchs:", "5:32", "unknown key `matchs`; did you mean `matches`?"),
        ('matches: "', 'is: x, matches: "', "5:1", "exactly one of"),
        ("require:", "requires:", "5:1", "unknown key `requires`; did you mean `require`?"),
        ("subject: service", "subject: pod", "4:1", "`subject` must be"),
        ("own-image", "Own Image", "1:1", "`id`"),
        ('matches: "registry.example/*"', "at_most: {parameter: x}", "1:1", "the parameter x has no value"),
        ('matches: "registry.example/*"', "at_most: {plam: x}", "5:42", "unknown key `plam`; did you mean `plan`?"),
        ("{value}", "{value:meters}", "6:1", "'meters' is no format"),
        ("title:", "title: [", "2:1", ""),
        ("{fact: service.image", "{facts: service.image", "5:1", "a condition is a mapping"),
        ("message:", "parameters: {limit: 3}\nmessage:", "6:14", "the parameter limit is used nowhere"),
    ],
)
def test_a_wrong_policy_is_refused_at_its_place(tmp_path: Path, old: str, new: str, place: str, message: str) -> None:
    with pytest.raises(InfraAuditError) as error:
        own(tmp_path, OWN.replace(old, new))
    assert error.value.file.endswith("own-image.yaml")
    assert message in error.value.message
    if message:
        assert f"{error.value.line}:{error.value.column}" == place


def test_a_folder_of_policies_that_is_not_there(tmp_path: Path) -> None:
    config = written(tmp_path, "policies: [./nowhere]")
    with pytest.raises(ConfigError) as error:
        list(read_policies(config.policies[0], config.spans[config.policies[0]]))
    assert (error.value.line, error.value.column) == (1, 12)


# -- plans --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "place", "message"),
    [
        ("roles: {}", "1:1", "`plan` is missing"),
        ("plan: p\nroles:\n  redis: {memory: 2Gi}", "3:11", "'2Gi' is no size"),
        ("plan: p\nroles:\n  redis: {memory: {exactly: 2Gi}}", "3:20", "'2Gi' is no size"),
        ("plan: p\nroles:\n  redis: {cpu: 2}", "3:11", "unknown key `cpu`; did you mean `cpus`?"),
        ("plan: p\nroles:\n  redis: {health: {timeout: 30}}", "3:20", "`timeout`"),
        ("plan: p\nroles:\n  redis: {match: {products: x}}", "3:19", "did you mean `product`?"),
        ("plan: p\nroles: {a: {}}\nroles: {b: {}}", "3:1", "roles"),
    ],
)
def test_a_wrong_plan_is_refused_at_its_place(tmp_path: Path, text: str, place: str, message: str) -> None:
    path = tmp_path / "plan.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(InfraAuditError) as error:
        read_plan(str(path))
    assert f"{error.value.line}:{error.value.column}" == place
    assert message in error.value.message


def test_a_plan_keeps_its_places(tmp_path: Path) -> None:
    path = tmp_path / "plan.yaml"
    path.write_text("plan: p\nroles:\n  redis:\n    memory: 2GiB\n", encoding="utf-8")
    plan = read_plan(str(path))
    assert plan.node is not None
    assert plan.roles["redis"].memory == 2 * 1024**3
    assert os.path.basename(plan.file) == "plan.yaml"


# -- schemas ------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["policy", "plan", "config"])
def test_a_schema_is_one(kind: str) -> None:
    made = schemas.schema(kind)
    jsonschema.Draft202012Validator.check_schema(made)
    assert made["additionalProperties"] is False


@pytest.mark.parametrize(("kind", "text"), [("config", WHOLE), ("policy", OWN), ("policy", OWN + "live: true\n")])
def test_the_schema_accepts_what_we_accept(kind: str, text: str) -> None:
    data = read_yaml(Source("x", text))[0].data()
    jsonschema.validate(data, schemas.schema(kind))
    read_valid(kind, Source("x", text))


def test_the_schema_refuses_two_comparisons() -> None:
    text = OWN.replace('matches: "', 'is: x, matches: "')
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(read_yaml(Source("x", text))[0].data(), schemas.schema("policy"))


def test_the_schema_knows_every_comparison() -> None:
    leaf = schemas.schema("policy")["$defs"]["_LeafOf"]["properties"]
    assert set(leaf) - {"fact"} == set(COMPARISONS)
