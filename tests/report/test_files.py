import errno
from pathlib import Path

import pytest

from vestige.report import render, write_json
from vestige.report.files import write_whole


def stop_half_way(monkeypatch, error):
    """All writes of text stop after half of it, as on a full disk or at Ctrl-C."""
    whole = Path.write_text

    def half(self, text, *args, **more):
        whole(self, text[: len(text) // 2], *args, **more)
        raise error

    monkeypatch.setattr(Path, "write_text", half)


ENDS = [OSError(errno.ENOSPC, "No space left on device"), KeyboardInterrupt()]


@pytest.mark.parametrize("error", ENDS, ids=["full disk", "interrupt"])
@pytest.mark.parametrize("write", [render, write_json], ids=["html", "json"])
def test_a_write_that_fails_leaves_the_old_file_whole(report, tmp_path, monkeypatch, write, error):
    path = write(report, tmp_path / "report")
    before = path.read_bytes()
    stop_half_way(monkeypatch, error)
    with pytest.raises(type(error)):
        write(report, path)
    assert path.read_bytes() == before and list(tmp_path.iterdir()) == [path]


def test_a_first_write_that_fails_leaves_nothing(tmp_path, monkeypatch):
    stop_half_way(monkeypatch, ENDS[0])
    with pytest.raises(OSError, match="No space"):
        write_whole(tmp_path / "folder" / "a.txt", "text")
    assert list((tmp_path / "folder").iterdir()) == []


def test_links_are_followed_and_kept(tmp_path):
    target, link = tmp_path / "a.txt", tmp_path / "b.txt"
    target.write_text("old")
    link.symlink_to(target)
    assert write_whole(link, "naïve") == link
    assert link.is_symlink() and target.read_text(encoding="utf-8") == "naïve"


def test_what_is_no_regular_file_is_written_to_and_not_replaced():
    write_whole("/dev/null", "text")
    assert Path("/dev/null").is_char_device()
