"""Who may import whom. Each file imports only from files named before it, so that data has one way to go."""

from __future__ import annotations

import ast
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import ghl_voice_async

if TYPE_CHECKING:
    from collections.abc import Iterator

PACKAGE = Path(ghl_voice_async.__file__).parent

# In the order of dependence: each module with those of ours that it may import.
MAY_IMPORT: dict[str, set[str]] = {
    "version": set(),
    "printable": set(),
    "redaction": set(),
    "errors": {"printable"},
    "tracebacks": {"errors"},
    "validation": {"errors"},
    "models": set(),
    "structure_hooks": set(),
    "json_body": set(),
    "decoder": {"errors", "json_body", "models", "structure_hooks"},
    "request": {"errors", "version"},
    "response": {"errors", "json_body", "printable"},
    "hooks": {"errors"},
    "tls": {"errors"},
    "decompression": {"errors"},
    "unsendable": {"errors"},
    "retry": {"errors", "validation"},
    "daily": {"response"},
    "shared_budget": set(),
    "window": {"daily", "response", "retry", "shared_budget"},
    "semaphore": set(),
    "rate_limit": {"daily", "errors", "response", "semaphore", "validation", "window"},
    "auth": {"errors", "redaction"},
    "scope": set(),
    "lifecycle": {"errors", "scope"},
    "connector": set(),
    "transport": {
        "request",
        "response",
        "errors",
        "auth",
        "scope",
        "semaphore",
        "connector",
        "decompression",
        "tls",
        "unsendable",
    },
    "call": {"request", "response", "errors", "hooks", "retry", "rate_limit", "scope"},
    "session": {
        "request",
        "response",
        "errors",
        "auth",
        "hooks",
        "retry",
        "rate_limit",
        "scope",
        "lifecycle",
        "transport",
        "call",
        "tracebacks",
    },
    "result": {"models"},
    "ranking": set(),
    "sharing": {"ranking"},
    "schedule": {"result", "sharing"},
    "bulk_input": {"errors", "result"},
    "bulk": {
        "bulk_input",
        "errors",
        "models",
        "rate_limit",
        "result",
        "schedule",
        "scope",
        "semaphore",
    },
    "client": {
        "bulk",
        "call",
        "result",
        "models",
        "decoder",
        "errors",
        "hooks",
        "request",
        "retry",
        "rate_limit",
        "auth",
        "session",
        "transport",
        "validation",
    },
    "__init__": {"version", "errors", "models", "decoder", "hooks", "rate_limit", "retry", "auth", "result", "client"},
    "testing": {"models", "decoder", "testing"},
    "pytest_plugin": {"testing"},
    "cli": {"", "auth", "models", "printable", "semaphore", "testing", "cli"},
}
# What everything may import is not here: the standard library and attrs.
THIRD_PARTY: dict[str, set[str]] = {
    "aiohttp": {"connector", "transport", "testing"},
    "yarl": {"request", "transport", "unsendable"},
    "multidict": {"request", "response", "transport"},
    "cattrs": {"decoder"},
    "orjson": {"json_body"},
    "tenacity": {"retry"},
    "hypothesis": {"testing"},
    "pytest": {"pytest_plugin"},
    "click": {"cli"},
    "rich": {"cli"},
}
IMPORTED_FOR_TYPES_ALONE = {("client", "aiohttp")}


def modules() -> list[tuple[str, Path]]:
    """Return every file with the name of its row: its own, or that of its folder."""
    return [(path.relative_to(PACKAGE).parts[0].removesuffix(".py"), path) for path in sorted(PACKAGE.rglob("*.py"))]


def imports(path: Path) -> Iterator[tuple[str, str | None]]:
    """Find every import of a file, wherever in it: the module, and the name taken from it, if any."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from ((alias.name, None) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} imports relatively"
            yield from ((str(node.module), alias.name) for alias in node.names)


def imported(path: Path) -> set[str]:
    return {module for module, _ in imports(path)}


def ours(path: Path) -> set[str]:
    names = {name for name in imported(path) if name.split(".")[0] == "ghl_voice_async"}
    return {".".join(name.split(".")[1:2]) for name in names}


each_module = pytest.mark.parametrize(
    ("module", "path"), modules(), ids=[str(path.relative_to(PACKAGE)) for _, path in modules()]
)


def test_every_module_has_its_row() -> None:
    assert {name for name, _ in modules()} == set(MAY_IMPORT)


@each_module
def test_a_module_imports_only_what_its_row_allows(module: str, path: Path) -> None:
    assert ours(path) <= MAY_IMPORT[module]


@pytest.mark.parametrize("row", MAY_IMPORT)
def test_a_row_allows_nothing_that_is_not_imported(row: str) -> None:
    """A permission that nobody uses is an import that nobody would notice."""
    assert set[str]().union(*(ours(path) for module, path in modules() if module == row)) == MAY_IMPORT[row]


@each_module
def test_a_module_takes_from_another_only_what_that_one_offers(module: str, path: Path) -> None:
    """So `cli`, which may use the public API, gets at nothing else by way of the package itself."""
    for source, name in imports(path):
        if source.split(".")[0] == "ghl_voice_async" and source != "ghl_voice_async.version":
            assert name in import_module(source).__all__, f"{name} of {source}"


@each_module
def test_a_module_offers_what_is_in_it_and_nothing_of_others(module: str, path: Path) -> None:
    if path.name == "__init__.py" or module == "version":  # the front doors offer what is elsewhere
        return
    loaded = import_module(".".join(["ghl_voice_async", *path.relative_to(PACKAGE).with_suffix("").parts]))
    assert {name for name in loaded.__all__ if not hasattr(loaded, name)} == set()
    assert {name for _, name in imports(path)} & set(loaded.__all__) == set()


def test_the_rows_have_one_direction() -> None:
    order = list(MAY_IMPORT)
    for place, (module, allowed) in enumerate(MAY_IMPORT.items()):
        assert {name for name in allowed if name} <= {*order[:place], module}


def test_a_third_party_library_is_imported_where_it_belongs_and_nowhere_else() -> None:
    found = {
        (module, name.split(".")[0])
        for module, path in modules()
        for name in imported(path)
        if name.split(".")[0] in THIRD_PARTY
    }
    assert found - IMPORTED_FOR_TYPES_ALONE == {(module, name) for name, all_ in THIRD_PARTY.items() for module in all_}


def test_no_other_library_is_imported() -> None:
    found = {name.split(".")[0] for _, path in modules() for name in imported(path)}
    assert found - sys.stdlib_module_names == {*THIRD_PARTY, "attrs", "ghl_voice_async"}


def test_only_the_package_itself_imports_by_name() -> None:
    """Such an import is none that these tests see."""
    assert {module for module, path in modules() if "importlib" in imported(path)} == {"__init__"}
    assert all("__import__" not in path.read_text() for _, path in modules())


@pytest.mark.parametrize(
    ("statement", "not_loaded"),
    [
        ("import ghl_voice_async", {"aiohttp", "cattrs", "orjson", "tenacity"}),
        ("import ghl_voice_async.decoder", {"aiohttp", "tenacity"}),
        ("from ghl_voice_async import decode_call_log", {"aiohttp", "tenacity"}),
        ("from ghl_voice_async import VoiceAIClient", {"aiohttp.web", "click", "rich", "hypothesis", "pytest"}),
        ("import ghl_voice_async.testing", {"hypothesis", "pytest"}),
    ],
)
def test_an_import_loads_no_more_than_it_needs(statement: str, not_loaded: set[str]) -> None:
    program = f"{statement}; import sys; print(*({not_loaded!r} & set(sys.modules)))"
    answer = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True, text=True)
    assert answer.stdout.split() == []


def test_no_file_outgrows_its_one_subject() -> None:
    for _, path in modules():
        assert len(path.read_text().splitlines()) <= 450, path
