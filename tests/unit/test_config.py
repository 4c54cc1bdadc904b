"""The config file: read, or refused with one line."""

from __future__ import annotations

import pytest

from ebtop.config import HISTORY, Config, ConfigError, default_path, load


def written(tmp_path, text: str | bytes):
    path = tmp_path / "config.toml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def test_without_a_file_there_are_defaults(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    assert default_path() == tmp_path / "ebtop" / "config.toml"
    assert load() == Config()
    assert Config().history == HISTORY == 64 << 20


def test_a_file_is_read(tmp_path):
    path = written(
        tmp_path, '[keys]\n"app.quit" = "q,ctrl+q"\napp.pause = "p"\n[ui]\ntheme = "nord"\nhistory = "256 MB"\n'
    )
    found = load(path)
    assert found.keys == {"app.quit": "q,ctrl+q", "app.pause": "p"}
    assert (found.theme, found.history, found.path) == ("nord", 256_000_000, path)


@pytest.mark.parametrize(
    ("text", "size"), [("2000000", 2_000_000), ('"2M"', 2_000_000), ('"2 MiB"', 2 << 20), ('"1GB"', 10**9)]
)
def test_sizes(tmp_path, text, size):
    assert load(written(tmp_path, f"[ui]\nhistory = {text}\n")).history == size


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[keys", "at end of document"),
        ("[kyes]\n", "no section 'kyes'; did you mean keys"),
        ("[ui]\nthem = 'x'\n", "no setting in [ui] 'them'; did you mean theme"),
        ("[ui]\ntheme = 3\n", "ui.theme"),
        ("[ui]\nhistory = '3 parsec'\n", "ui.history"),
        ("[ui]\nhistory = 5\n", "at least 1 MiB"),
        ("[ui]\nhistory = true\n", "ui.history"),
        ("keys = 3\n", "[keys] must be a section"),
        ("[keys]\n'app.quit' = 3\n", "keys.app.quit must be keys in quotes"),
        ("[keys]\n'app.quit' = ''\n", "keys.app.quit"),
        (b"[ui]\ntheme = '\xff'\n", ""),
    ],
)
def test_a_bad_file_is_one_line_with_its_path(tmp_path, text, said):
    path = written(tmp_path, text)
    with pytest.raises(ConfigError) as caught:
        load(path)
    assert said in str(caught.value)
    assert str(path) in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1


def test_a_file_that_was_named_must_be_there(tmp_path):
    with pytest.raises(ConfigError, match="no such file"):
        load(tmp_path / "none.toml")
    with pytest.raises(ConfigError, match="directory"):
        load(tmp_path)
