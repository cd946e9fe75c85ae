"""What the Dockerfile and compose.yaml promise, as far as their text shows it; no engine is needed."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
COMPOSE = (ROOT / "compose.yaml").read_text(encoding="utf-8")
SERVICES: dict[str, dict[str, Any]] = yaml.safe_load(COMPOSE)["services"]
DOCKERFILE = (ROOT / "Dockerfile").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", SERVICES)
def test_every_container_runs_without_privileges_on_a_read_only_root(name: str) -> None:
    service = SERVICES[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert "cap_add" not in service
    assert service["security_opt"] == ["no-new-privileges:true"]


def test_only_the_api_is_published_and_on_loopback_alone() -> None:
    published = {name: service["ports"] for name, service in SERVICES.items() if "ports" in service}
    assert published == {"api": ["127.0.0.1:${KASPARRO_PORT:-8000}:8000"]}


def test_no_secret_has_a_default() -> None:
    references = re.findall(r"\$\{(\w*(?:PASSWORD|KEY|SECRET|TOKEN)(?!_REQUIRED)\w*)([^}]*)\}", COMPOSE)
    assert {name for name, _ in references} == {"POSTGRES_PASSWORD", "API_KEY"}
    assert {rest.partition("?")[0] for _, rest in references} == {":"}


@pytest.mark.parametrize(
    ("service", "names"),
    [
        ("api", "READ_KEY_REQUIRED ALLOWED_HOSTS CORS_ORIGINS TRUSTED_PROXIES API_CONNECTIONS REQUESTS_PER_MINUTE"),
        ("scheduler", "BATCH_RECORDS CONTACT STOP_GRACE_SECONDS RUN_DEADLINE_SECONDS"),
    ],
)
def test_what_is_set_in_the_environment_file_reaches_the_containers(service: str, names: str) -> None:
    environment = SERVICES[service]["environment"]
    for name in [f"KASPARRO_{name}" for name in names.split()] + ["LOG_LEVEL"]:
        assert environment[name].startswith(f"${{{name}:-"), name
    assert SERVICES["scheduler"]["environment"]["ETL_INTERVAL_MINUTES"] == "${ETL_INTERVAL_MINUTES:-5}"


def test_web_pages_cannot_read_the_published_port_by_a_name_of_their_own() -> None:
    """DNS rebinding: reading is open there, so the names are listed under which it may be asked."""
    environment = SERVICES["api"]["environment"]
    assert environment["KASPARRO_READ_KEY_REQUIRED"] == "${KASPARRO_READ_KEY_REQUIRED:-false}"
    assert environment["KASPARRO_ALLOWED_HOSTS"] == "${KASPARRO_ALLOWED_HOSTS:-localhost,127.0.0.1,[::1],api}"


def test_only_those_that_need_the_database_can_reach_it() -> None:
    within = {name for name, service in SERVICES.items() if "database" in service["networks"]}
    assert within == {"postgres", "migrate", "api", "scheduler"}
    assert yaml.safe_load(COMPOSE)["networks"]["database"] == {"internal": True}


def test_every_lasting_service_is_started_again_and_can_tell_whether_it_is_well() -> None:
    lasting = {name for name, service in SERVICES.items() if service.get("restart") == "unless-stopped"}
    assert lasting == {"postgres", "api", "scheduler", "demo"}
    assert {name for name in lasting if "test" in SERVICES[name].get("healthcheck", {})} == lasting - {"api"}
    assert 'CMD ["python", "-m", "kasparro.cli.probe"]' in DOCKERFILE


def test_the_image_runs_as_a_numbered_user_and_holds_pinned_packages_only() -> None:
    stages = re.split(r"^FROM .* AS (\w+)$", DOCKERFILE, flags=re.MULTILINE)
    users = [
        (name, re.findall(r"^USER (.*)$", text, re.MULTILINE))
        for name, text in zip(stages[1::2], stages[2::2], strict=True)
    ]
    assert [(name, user) for name, user in users if user] == [("test", ["10001:10001"]), ("runtime", ["10001:10001"])]
    assert stages[-2] == "runtime"
    for line in re.findall(r"pip .*(?<!un)install.*", DOCKERFILE):
        assert "--require-hashes" in line or "--no-index" in line, line


def test_nothing_enters_the_image_unless_it_is_named() -> None:
    lines = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    rules = [line for line in lines if line and not line.startswith("#")]
    assert rules[0] == "*"
    assert not {"!.env", "!.git", "!.kasparro", "!.venv"} & set(rules)
    assert "**/.env" in rules
