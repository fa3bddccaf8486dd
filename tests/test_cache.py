"""The cache of compiled code: built once, whole or not at all, and nobody else's."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import signal
import stat
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from limen.codegen import why_not
from limen.errors import Code, ConfigurationError
from limen.settings import cache_directory
from limen.toolchain._cache import MOST_ENTRIES, NativeCache, read_manifest

KEY = hashlib.sha256(b"a program").hexdigest()
NAME = "limen_native_a.so"
WHOLE = bytes(range(256)) * 64
WITH_NATIVE = pytest.mark.skipif(why_not() is not None, reason=str(why_not()))

# What another process runs: it says when it builds, and may be told how long that takes.
BUILDER = f"""
import sys, time
from pathlib import Path
from limen.toolchain._cache import NativeCache

def build(where):
    with open(sys.argv[2], "a") as log:
        log.write("built\\n")
    half = len(whole) // 2
    with open(where / name, "wb") as file:
        file.write(whole[:half])
        file.flush()
        print("half", flush=True)
        time.sleep(float(sys.argv[3]))
        file.write(whole[half:])

key, name, whole = {KEY!r}, {NAME!r}, bytes(range(256)) * 64
print("ready", flush=True)
sys.stdin.readline()
print(NativeCache(Path(sys.argv[1])).obtain(key, name, build).read_bytes() == whole, flush=True)
"""


class Builder:
    """Builds in this process, and counts how often."""

    def __init__(self, content: bytes = WHOLE) -> None:
        self.content = content
        self.count = 0

    def __call__(self, where: Path) -> None:
        self.count += 1
        (where / NAME).write_bytes(self.content)


def started(cache: Path, log: Path, takes_s: float) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", BUILDER, str(cache), str(log), str(takes_s)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        encoding="utf-8",
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


def mode(path: Path) -> int:
    return stat.S_IMODE(path.lstat().st_mode)


def entries(cache: Path) -> list[str]:
    return sorted(path.name for path in cache.iterdir() if not path.name.startswith("."))


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "somewhere" / "native"


# What is kept.


def test_what_was_built_is_not_built_again(cache: Path) -> None:
    build = Builder()
    first = NativeCache(cache).obtain(KEY, NAME, build)
    second = NativeCache(cache).obtain(KEY, NAME, build)
    assert first == second == cache / KEY / NAME
    assert first.read_bytes() == WHOLE
    assert build.count == 1


def test_another_key_is_built_for_itself(cache: Path) -> None:
    build, other = Builder(), Builder(b"other")
    NativeCache(cache).obtain(KEY, NAME, build)
    assert NativeCache(cache).obtain(KEY[::-1], NAME, other).read_bytes() == b"other"
    assert entries(cache) == sorted([KEY, KEY[::-1]])


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o077])
def test_directories_are_open_to_nobody_else_whatever_the_umask(cache: Path, umask: int) -> None:
    before = os.umask(umask)
    try:
        NativeCache(cache).obtain(KEY, NAME, Builder())
    finally:
        os.umask(before)
    assert mode(cache) == 0o700
    assert mode(cache / KEY) == 0o700
    assert all(mode(path) == 0o600 for path in cache.glob(".*.lock"))


def test_an_entry_says_what_it_is_and_nothing_else_is_left(cache: Path) -> None:
    NativeCache(cache).obtain(KEY, NAME, Builder())
    facts = read_manifest(cache / KEY)
    assert facts == {"key": KEY, "file": NAME, "sha256": hashlib.sha256(WHOLE).hexdigest()}
    assert sorted(path.name for path in (cache / KEY).iterdir()) == [NAME, "manifest.json"]
    assert list(cache.glob(".new-*")) == []


def test_a_build_that_fails_leaves_nothing_and_is_tried_again(cache: Path) -> None:
    def fails(where: Path) -> None:
        (where / NAME).write_bytes(b"half")
        raise ConfigurationError("no space")

    with pytest.raises(ConfigurationError, match="no space"):
        NativeCache(cache).obtain(KEY, NAME, fails)
    assert entries(cache) == list(cache.glob(".new-*")) == []
    assert NativeCache(cache).obtain(KEY, NAME, Builder()).read_bytes() == WHOLE


def test_the_entries_that_were_used_longest_ago_go_first(cache: Path) -> None:
    keys = [hashlib.sha256(bytes([number])).hexdigest() for number in range(MOST_ENTRIES + 3)]
    for age, key in enumerate(keys[:MOST_ENTRIES]):
        NativeCache(cache).obtain(key, NAME, Builder())
        os.utime(cache / key, (age, age))
    # The oldest is used now, so that the three behind it go.
    NativeCache(cache).obtain(keys[0], NAME, Builder())
    for key in keys[MOST_ENTRIES:]:
        NativeCache(cache).obtain(key, NAME, Builder())
    assert entries(cache) == sorted([keys[0], *keys[4:]])
    assert len(entries(cache)) == MOST_ENTRIES


def test_clearing_removes_every_entry(cache: Path) -> None:
    build = Builder()
    NativeCache(cache).obtain(KEY, NAME, build)
    NativeCache(cache).clear()
    assert list(cache.iterdir()) == []
    NativeCache(cache).obtain(KEY, NAME, build)
    assert build.count == 2


# Several at once, and one that dies.


def test_of_several_processes_one_builds_and_all_get_it_whole(cache: Path, tmp_path: Path) -> None:
    log = tmp_path / "log"
    processes = [started(cache, log, 0.2) for _ in range(5)]
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    said = [process.communicate(timeout=120)[0].split() for process in processes]
    assert [words[-1] for words in said] == ["True"] * 5
    assert [process.returncode for process in processes] == [0] * 5
    assert log.read_text() == "built\n"
    assert entries(cache) == [KEY]
    assert list(cache.glob(".new-*")) == []


def test_of_several_threads_one_builds_as_well(cache: Path) -> None:
    build, gate, got = Builder(), threading.Barrier(6), list[Path]()

    def obtain() -> None:
        gate.wait(60)
        got.append(NativeCache(cache).obtain(KEY, NAME, build))

    threads = [threading.Thread(target=obtain) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert got == [cache / KEY / NAME] * 6
    assert build.count == 1


@pytest.mark.parametrize("is_there", [False, True], ids=["empty", "with a damaged entry"])
def test_a_builder_that_is_killed_is_followed_by_the_next(
    cache: Path, tmp_path: Path, is_there: bool
) -> None:
    if is_there:
        NativeCache(cache).obtain(KEY, NAME, Builder()).write_bytes(b"damaged")
    process = started(cache, tmp_path / "log", 600)
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write("go\n")
    process.stdin.flush()
    assert process.stdout.readline() == "half\n"
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=60)
    build = Builder()
    assert NativeCache(cache).obtain(KEY, NAME, build).read_bytes() == WHOLE
    assert build.count == 1
    assert list(cache.glob(".new-*")) == [], "what it left half done is gone"


def test_who_waits_for_a_builder_that_is_killed_builds(cache: Path, tmp_path: Path) -> None:
    log = tmp_path / "log"
    first, second = started(cache, log, 600), started(cache, log, 0)
    for process in (first, second):
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write("go\n")
        process.stdin.flush()
        if process is first:
            assert process.stdout.readline() == "half\n"
    first.send_signal(signal.SIGKILL)
    first.communicate(timeout=60)
    said, _ = second.communicate(timeout=60)
    assert said == "half\nTrue\n"
    assert log.read_text() == "built\nbuilt\n"


# What is damaged, or somebody else's.


def truncated(entry: Path) -> None:
    (entry / NAME).write_bytes(WHOLE[:100])


def flipped(entry: Path) -> None:
    (entry / NAME).write_bytes(b"\1" + WHOLE[1:])


def emptied(entry: Path) -> None:
    (entry / NAME).write_bytes(b"")


def without_extension(entry: Path) -> None:
    (entry / NAME).unlink()


def extension_is_a_directory(entry: Path) -> None:
    (entry / NAME).unlink()
    (entry / NAME).mkdir()


def without_manifest(entry: Path) -> None:
    (entry / "manifest.json").unlink()


def manifest(text: bytes) -> Callable[[Path], None]:
    def damage(entry: Path) -> None:
        (entry / "manifest.json").write_bytes(text)

    return damage


def of_another_key(entry: Path) -> None:
    facts = read_manifest(entry)
    assert facts is not None
    (entry / "manifest.json").write_text(json.dumps({**facts, "key": KEY[::-1]}))


def extension_is_a_link(entry: Path) -> None:
    (entry / NAME).rename(entry.parent.parent / "elsewhere")
    (entry / NAME).symlink_to(entry.parent.parent / "elsewhere")


def entry_is_a_link(entry: Path) -> None:
    entry.rename(entry.parent.parent / "elsewhere")
    entry.symlink_to(entry.parent.parent / "elsewhere")


def entry_is_a_file(entry: Path) -> None:
    for path in entry.iterdir():
        path.unlink()
    entry.rmdir()
    entry.write_bytes(WHOLE)


def entry_is_open_to_others(entry: Path) -> None:
    entry.chmod(0o770)


DAMAGES = [
    *(truncated, flipped, emptied, without_extension, extension_is_a_directory, without_manifest),
    *(manifest(b""), manifest(b"{"), manifest(b"[]"), manifest(b"{}"), manifest(b"\xff\xfe")),
    manifest(b"[" * 100_000),
    manifest(b'{"file": 1, "key": 2, "sha256": 3}'),
    *(of_another_key, extension_is_a_link, entry_is_a_link, entry_is_a_file),
    entry_is_open_to_others,
]


@pytest.mark.parametrize("damage", DAMAGES, ids=lambda damage: damage.__name__)
def test_what_is_damaged_is_built_anew_with_a_warning(
    cache: Path, damage: Callable[[Path], None], caplog: pytest.LogCaptureFixture
) -> None:
    build = Builder()
    entry = NativeCache(cache).obtain(KEY, NAME, build).parent
    damage(entry)
    path = NativeCache(cache).obtain(KEY, NAME, build)
    assert build.count == 2
    assert path.read_bytes() == WHOLE
    assert not path.is_symlink()
    assert not entry.is_symlink()
    assert mode(entry) == 0o700
    assert "is damaged or not your own: it is built anew" in caplog.text
    assert str(entry) in caplog.text
    caplog.clear()
    NativeCache(cache).obtain(KEY, NAME, build)
    assert (build.count, caplog.text) == (2, "")


@pytest.mark.skipif(os.getuid() != 0, reason="only root can give a directory away")
def test_a_directory_of_another_user_is_refused(cache: Path) -> None:
    NativeCache(cache)
    os.chown(cache, 12_345, 12_345)
    with pytest.raises(ConfigurationError, match="it belongs to another user"):
        NativeCache(cache)


@pytest.mark.skipif(os.getuid() != 0, reason="only root can give a directory away")
def test_an_entry_of_another_user_is_not_loaded(
    cache: Path, caplog: pytest.LogCaptureFixture
) -> None:
    build = Builder()
    entry = NativeCache(cache).obtain(KEY, NAME, build).parent
    os.chown(entry, 12_345, 12_345)
    NativeCache(cache).obtain(KEY, NAME, build)
    assert build.count == 2
    assert entry.stat().st_uid == os.getuid()
    assert "not your own" in caplog.text


@pytest.mark.parametrize("open_to", [0o701, 0o710, 0o750, 0o755, 0o777, 0o1777])
def test_a_directory_that_is_open_to_others_is_refused(cache: Path, open_to: int) -> None:
    NativeCache(cache)
    cache.chmod(open_to)
    with pytest.raises(ConfigurationError, match=f"its mode is {open_to:o}"):
        NativeCache(cache)


def a_link(cache: Path) -> None:
    (cache.parent / "elsewhere").mkdir(mode=0o700)
    cache.symlink_to(cache.parent / "elsewhere")


def a_broken_link(cache: Path) -> None:
    cache.symlink_to(cache.parent / "nowhere")


def a_file(cache: Path) -> None:
    cache.write_text("")


@pytest.mark.parametrize("make", [a_link, a_broken_link, a_file], ids=lambda make: make.__name__)
def test_what_is_no_directory_is_refused(cache: Path, make: Callable[[Path], None]) -> None:
    cache.parent.mkdir()
    make(cache)
    with pytest.raises(ConfigurationError, match="native code cannot be kept in") as refused:
        NativeCache(cache)
    assert str(cache) in str(refused.value)
    assert "mode 0700, or name another in LIMEN_CACHE_DIR" in str(refused.value)
    assert refused.value.code is Code.RESOURCE_UNAVAILABLE


def test_a_lock_that_is_a_link_is_not_followed(cache: Path, tmp_path: Path) -> None:
    NativeCache(cache)
    target = tmp_path / "precious"
    (cache / f".{KEY[:16]}.lock").symlink_to(target)
    with pytest.raises(ConfigurationError, match="native code cannot be kept in"):
        NativeCache(cache).obtain(KEY, NAME, Builder())
    assert not target.exists()


def test_a_full_disk_is_said_to_be_what_it_is(cache: Path) -> None:
    def fill(where: Path) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(ConfigurationError, match=r"cannot be kept in .*No space left on device"):
        NativeCache(cache).obtain(KEY, NAME, fill)
    assert entries(cache) == []


@pytest.mark.skipif(os.getuid() == 0, reason="root may write everywhere")
def test_a_directory_that_cannot_be_written_is_refused(cache: Path) -> None:
    NativeCache(cache)
    cache.chmod(0o500)
    try:
        with pytest.raises(ConfigurationError, match="native code cannot be kept in"):
            NativeCache(cache).obtain(KEY, NAME, Builder())
    finally:
        cache.chmod(0o700)


# Where it lies.


def test_the_environment_says_where_it_lies(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.delenv("LIMEN_CACHE_DIR", raising=False)
    assert cache_directory() == tmp_path / "home" / ".cache" / "limen"
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert cache_directory() == tmp_path / "xdg" / "limen"
    monkeypatch.setenv("LIMEN_CACHE_DIR", str(tmp_path / "own"))
    assert cache_directory() == tmp_path / "own"
    monkeypatch.setenv("LIMEN_CACHE_DIR", "")
    assert cache_directory() == tmp_path / "xdg" / "limen"
    monkeypatch.setenv("XDG_CACHE_HOME", "")
    assert cache_directory() == tmp_path / "home" / ".cache" / "limen"
