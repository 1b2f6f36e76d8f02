from __future__ import annotations

import os
import socket
import stat
from pathlib import Path
from typing import TYPE_CHECKING

import click
import pytest

from ghl_voice_async.cli.private_file import (
    WatchedFile,
    create_private,
    open_beside,
    open_output,
    open_to_read,
    remove_created,
)
from ghl_voice_async.cli.refusal import OutputError

if TYPE_CHECKING:
    from collections.abc import Iterator

Capture = pytest.CaptureFixture[str]


def mode(path: Path) -> int:
    return stat.S_IMODE(path.lstat().st_mode)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "calls.jsonl"


@pytest.fixture
def watched(path: Path) -> Iterator[WatchedFile]:
    file = create_private(path)
    yield WatchedFile(path, file)
    os.close(file)


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o077, 0o177, 0o777])
def test_guarantee_63_a_new_file_is_its_owners_whatever_the_umask(path: Path, umask: int) -> None:
    before = os.umask(umask)
    try:
        os.close(create_private(path))
    finally:
        os.umask(before)

    assert mode(path) == 0o600


def test_guarantee_63_a_new_file_is_never_open_to_others(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not even between its creation and a later change of its mode."""
    modes = []
    opened = os.open

    def noted(*arguments: object) -> int:
        file = opened(*arguments)  # type: ignore[arg-type]  # passed on
        modes.append(mode(path))
        return file

    monkeypatch.setattr(os, "open", noted)
    before = os.umask(0)
    try:
        os.close(create_private(path))
    finally:
        os.umask(before)

    assert modes == [0o600]


def test_a_file_system_without_modes_is_no_error(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: object) -> None:
        raise PermissionError

    monkeypatch.setattr(os, "fchmod", refused)
    before = os.umask(0o777)
    try:
        os.close(create_private(path))
    finally:
        os.umask(before)

    assert path.exists()


@pytest.mark.parametrize(("given", "warnings"), [(0o600, 0), (0o640, 1), (0o604, 1), (0o644, 1), (0o611, 0)])
def test_an_output_keeps_its_mode_with_a_warning_if_others_read_it(
    path: Path, given: int, warnings: int, capsys: Capture
) -> None:
    path.touch()
    path.chmod(given)

    file, is_new = open_output(path)

    os.close(file)
    assert (mode(path), is_new) == (given, False)
    assert capsys.readouterr().err.count(f"warning: other users can read {path}") == warnings


@pytest.mark.parametrize("kind", ["fifo", "socket", "folder", "device"])
def test_an_output_that_is_no_regular_file_is_refused_at_once(tmp_path: Path, kind: str) -> None:
    path = Path(os.path.relpath(tmp_path / "x.db"))
    match kind:
        case "fifo":
            os.mkfifo(path)
        case "socket":
            with socket.socket(socket.AF_UNIX) as server:
                server.bind(str(path))
        case "folder":
            path.mkdir()
        case _:
            path.symlink_to("/dev/null")

    for opened in (open_output, open_to_read):
        with pytest.raises(click.UsageError, match="is not a regular file; give another --output"):
            opened(path)


def test_a_link_to_an_output_is_followed_and_its_target_created(tmp_path: Path, path: Path) -> None:
    target = tmp_path / "elsewhere.jsonl"
    path.symlink_to(target)

    file, is_new = open_output(path)

    os.close(file)
    assert (is_new, mode(target), path.is_symlink()) == (True, 0o600, True)


def test_only_the_target_of_a_link_is_removed(tmp_path: Path, path: Path) -> None:
    path.symlink_to(tmp_path / "elsewhere.jsonl")
    file, _ = open_output(path)

    remove_created(path, file)

    os.close(file)
    assert [*tmp_path.iterdir()] == [path]


def test_a_file_that_somebody_put_there_is_not_removed(path: Path) -> None:
    file, _ = open_output(path)
    path.unlink()
    path.touch()

    remove_created(path, file)

    os.close(file)
    assert path.exists()


def test_a_link_that_leads_in_a_circle_is_an_error(tmp_path: Path, path: Path) -> None:
    other = tmp_path / "other.jsonl"
    path.symlink_to(other)
    other.symlink_to(path)

    with pytest.raises(OSError, match="symbolic links"):
        open_output(path)


@pytest.mark.parametrize(
    ("kind", "problem"),
    [
        ("link", "is a symbolic link"),
        ("link to nothing", "is a symbolic link"),
        ("hard link", "has another name, as a hard link"),
        ("fifo", "is not a regular file"),
        ("folder", "is not a regular file"),
    ],
)
def test_a_file_beside_the_output_is_never_opened_through_a_link(tmp_path: Path, kind: str, problem: str) -> None:
    path, target = tmp_path / "beside", tmp_path / "target"
    target.write_text("precious")
    match kind:
        case "link":
            path.symlink_to(target)
        case "link to nothing":
            path.symlink_to(tmp_path / "nothing")
        case "hard link":
            path.hardlink_to(target)
        case "fifo":
            os.mkfifo(path)
        case _:
            path.mkdir()

    with pytest.raises(click.UsageError, match=f"{path} {problem}; give another --output"):
        open_beside(path)

    assert target.read_text() == "precious"


def test_a_file_that_is_replaced_just_now_counts_as_missing(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path.touch()
    opened = os.open

    def replaced(*arguments: object) -> int:
        path.rename(f"{path}.old")
        os.close(opened(path, os.O_CREAT))
        return opened(*arguments)  # type: ignore[arg-type]  # passed on

    monkeypatch.setattr(os, "open", replaced)
    with pytest.raises(FileNotFoundError):
        open_beside(path)


def test_a_file_that_nobody_touches_passes_the_check(path: Path, watched: WatchedFile) -> None:
    path.write_text("more")

    assert watched.check().st_size == 4


def delete(path: Path) -> None:
    path.unlink()


def rename(path: Path) -> None:
    path.rename(f"{path}.old")


def replace(path: Path) -> None:
    delete(path)
    path.touch()


def replace_by_link(path: Path) -> None:
    path.rename(f"{path}.old")
    path.symlink_to(f"{path}.old")


def make_unreadable(path: Path) -> None:
    path.chmod(0)


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (delete, "was removed, renamed or moved"),
        (rename, "was removed, renamed or moved"),
        (replace, "was replaced by another file"),
        (replace_by_link, "was replaced by another file"),
        (make_unreadable, "was made unreadable or unwritable for its owner"),
    ],
)
def test_guarantee_63_a_file_that_somebody_changed_fails_the_check(
    path: Path, watched: WatchedFile, change: object, problem: str
) -> None:
    assert callable(change)
    change(path)

    with pytest.raises(OutputError, match=f"{path} {problem} while this run wrote to it. Check it, then run"):
        watched.check()


def test_a_folder_that_is_moved_fails_the_check(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    monkeypatch.chdir(folder)
    path = Path("calls.jsonl")
    file = create_private(path)
    watched = WatchedFile(path, file)

    folder.rename(tmp_path / "moved")

    with pytest.raises(OutputError, match=r"^calls\.jsonl was removed"):
        watched.check()
    os.close(file)


def test_a_link_that_gets_another_target_fails_the_check(tmp_path: Path, path: Path) -> None:
    path.symlink_to(tmp_path / "elsewhere.jsonl")
    file, _ = open_output(path)
    watched = WatchedFile(path, file)
    assert watched.check().st_size == 0

    path.unlink()
    path.symlink_to(Path(__file__))

    with pytest.raises(OutputError, match="replaced"):
        watched.check()
    os.close(file)


def test_a_mode_that_keeps_others_out_passes_the_check(path: Path) -> None:
    path.touch()
    path.chmod(0o644)
    file, _ = open_output(path)
    watched = WatchedFile(path, file)

    path.chmod(0o600)

    assert watched.check()
    os.close(file)
