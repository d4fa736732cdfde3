"""Files are written whole or not at all."""

import errno
import os
import stat

import pytest
from hypothesis import given
from hypothesis import strategies as st

from expansion.errors import InputError
from expansion.writing import write_whole


@given(content=st.binary(max_size=200))
def test_the_whole_content_arrives(tmp_path_factory, content):
    folder = tmp_path_factory.mktemp("written")
    path = write_whole(folder / "file", content)
    assert path.read_bytes() == content
    assert os.listdir(folder) == ["file"]


def test_an_existing_file_is_replaced(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"old, and longer than the new one")
    assert write_whole(str(path), b"new") == path
    assert path.read_bytes() == b"new"


def test_rights_follow_the_umask(tmp_path):
    before = os.umask(0o027)
    try:
        path = write_whole(tmp_path / "file", b"x")
        assert os.umask(0o027) == 0o027  # left as it was
    finally:
        os.umask(before)
    assert stat.S_IMODE(path.stat().st_mode) == 0o640


def test_a_name_in_this_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_whole("file", b"x")
    assert os.listdir(tmp_path) == ["file"]


def fails(*_, **__):
    raise OSError(errno.ENOSPC, "No space left on device")


@pytest.mark.parametrize("step", ["replace", "fsync", "chmod"])
@pytest.mark.parametrize("existing", [True, False])
def test_a_failure_leaves_nothing_half_written(tmp_path, monkeypatch, step, existing):
    path = tmp_path / "file"
    if existing:
        path.write_bytes(b"old")
    monkeypatch.setattr(os, step, fails)
    with pytest.raises(
        InputError, match=r"a file that can be written; got .*; check the folder"
    ) as e:
        write_whole(path, b"new")
    monkeypatch.undo()
    assert "No space left on device" in str(e.value)
    assert "\n" not in str(e.value)
    assert os.listdir(tmp_path) == (["file"] if existing else [])
    if existing:
        assert path.read_bytes() == b"old"


@pytest.mark.parametrize("step", ["replace", "fsync"])
def test_an_interruption_leaves_nothing_half_written(tmp_path, monkeypatch, step):
    # Ctrl-C while the disk is slow: the old file stays and no part is left behind.
    def interrupted(*_, **__):
        raise KeyboardInterrupt

    path = tmp_path / "file"
    path.write_bytes(b"old")
    monkeypatch.setattr(os, step, interrupted)
    with pytest.raises(KeyboardInterrupt):
        write_whole(path, b"new")
    monkeypatch.undo()
    assert os.listdir(tmp_path) == ["file"]
    assert path.read_bytes() == b"old"


def test_the_simulated_failure_is_the_step_that_is_used(tmp_path, monkeypatch):
    # The control of the two tests above: without the step there is no file.
    seen = []
    replace = os.replace
    monkeypatch.setattr(os, "replace", lambda a, b: (seen.append((a, b)), replace(a, b))[1])
    write_whole(tmp_path / "file", b"x")
    ((part, target),) = seen
    assert os.path.dirname(part) == str(tmp_path)
    assert str(part).endswith(".part")
    assert str(target) == str(tmp_path / "file")


@pytest.mark.parametrize("name", ["missing/file", "folder", "file/below"])
def test_places_that_cannot_be_written(tmp_path, name):
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").write_bytes(b"old")
    with pytest.raises(InputError, match=r"a file that can be written") as caught:
        write_whole(tmp_path / name, b"new")
    assert name in str(caught.value)
    assert sorted(os.listdir(tmp_path)) == ["file", "folder"]
    assert os.listdir(tmp_path / "folder") == []
    assert (tmp_path / "file").read_bytes() == b"old"
