"""The changelog and the version agree, so that a release is never without its notes nor under a number used before."""

from __future__ import annotations

import re
from datetime import date
from pathlib import Path

import pytest
from packaging.version import Version

from ghl_voice_async import __version__

CHANGELOG = (Path(__file__).parents[1] / "docs" / "changelog.md").read_text()
KINDS = ["Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"]


def problems(changelog: str, version: str) -> list[str]:
    """Return what is wrong with a changelog, as Keep a Changelog has it, for a package of this version."""
    found = []
    top, *entries = re.split(r"^## (.+)\n", changelog, flags=re.MULTILINE)[1:] or ["nothing"]
    headings, texts = [top, *entries[1::2]], entries[::2]
    released = headings[1:] if top == "Unreleased" else headings
    if not all(re.fullmatch(r"\d+\.\d+\.\d+ - \d{4}-\d\d-\d\d", heading) for heading in released):
        return [f"headings are `Unreleased`, on top, and `1.2.3 - 2026-01-31`, not {released}"]
    versions = [Version(heading.split(" - ")[0]) for heading in released]
    dates = [date.fromisoformat(heading.split(" - ")[1]) for heading in released]
    if sorted(set(versions), reverse=True) != versions or sorted(dates, reverse=True) != dates:
        found.append("the newest release comes first, and no version comes twice")
    if top != "Unreleased" and versions[0] != Version(version):
        found.append(f"the newest release is {versions[0]}, and the package is {version}")
    if top == "Unreleased" and versions and versions[0] >= Version(version):
        found.append(f"{versions[0]} is released; what is unreleased needs a version above it, not {version}")
    for heading, text in zip(headings, texts, strict=True):
        kinds = re.findall(r"^### (.+)$", text, re.MULTILINE)
        if not kinds or sorted(set(kinds) & {*KINDS}, key=KINDS.index) != kinds:
            found.append(f"{heading} has {kinds}, not some of {KINDS} in this order")
        lists = re.split(r"^### .+\n", text, flags=re.MULTILINE)[1:]
        if not all(re.match(r"\s*- \S", changes) for changes in lists):
            found.append(f"{heading} has a kind of change with no list of changes")
    return found


def test_the_changelog_and_the_version_agree() -> None:
    assert problems(CHANGELOG, __version__) == []


def test_the_version_is_three_numbers() -> None:
    assert re.fullmatch(r"\d+\.\d+\.\d+", __version__)


FIRST = "## 0.1.0 - 2026-01-31\n\n### Added\n\n- All of it.\n"
NEXT = "## Unreleased\n\n### Fixed\n\n- A fault.\n\n"


@pytest.mark.parametrize(("changelog", "version"), [(FIRST, "0.1.0"), (NEXT + FIRST, "0.1.1"), (NEXT, "0.1.0")])
def test_a_changelog_in_order_is_let_pass(changelog: str, version: str) -> None:
    assert problems(changelog, version) == []


@pytest.mark.parametrize(
    ("changelog", "version", "why"),
    [
        ("# Changelog\n", "0.1.0", "headings are"),
        (FIRST, "0.2.0", "the newest release is 0.1.0, and the package is 0.2.0"),
        (NEXT + FIRST, "0.1.0", "0.1.0 is released"),
        (FIRST + NEXT, "0.1.0", "headings are"),
        (FIRST.replace(" - 2026-01-31", ""), "0.1.0", "headings are"),
        (FIRST + FIRST, "0.1.0", "no version comes twice"),
        (FIRST + FIRST.replace("0.1.0", "0.2.0"), "0.1.0", "the newest release comes first"),
        (FIRST.replace("Added", "New"), "0.1.0", "not some of"),
        (FIRST + "\n### Added\n\n- More.\n", "0.1.0", "not some of"),
        (FIRST + "\n### Fixed\n", "0.1.0", "no list of changes"),
        ("## Unreleased\n\n" + FIRST, "0.2.0", "not some of"),
    ],
)
def test_a_changelog_that_does_not_fit_is_told(changelog: str, version: str, why: str) -> None:
    assert why in "\n".join(problems(changelog, version))
