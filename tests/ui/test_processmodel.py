"""How a process is written in its row."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ebtop.model.processes import ProcessQuery, Sought
from ebtop.ui.processmodel import ProcessModel
from tests.unit.processticks import MS, TOOL, gone, process, snapshot, tick


def model(*rows, argv=None, **wanted) -> ProcessModel:
    given = snapshot(tick(0, *rows))
    given = replace(given, names={"argv": argv or {}})
    sought = Sought(**wanted)
    return ProcessModel(TOOL, ProcessQuery(TOOL).run(given, sought), sought, 10)


def texts(shown: ProcessModel, row: int, *keys: str) -> list[str]:
    return [cell.text for cell in shown.cells(row, keys)]


@pytest.mark.parametrize(
    ("argv", "text"),
    [
        ("/usr/bin/python3\0render.py\0--out\0/tmp/a b", "python3 render.py --out /tmp/a b"),
        ("nginx: master process /usr/sbin/nginx -g daemon on;", "nginx: master process /usr/sbin/nginx -g daemon on;"),
        ("/opt/chrome/chrome --type=renderer /x", "chrome --type=renderer /x"),
        ("./burn\0-x", "burn -x"),
        ("sshd: me@pts/0", "sshd: me@pts/0"),
        ("/\0a", "/ a"),
        ("\x1b[2J\0\u202eexe\0\0x", "\\x1b[2J \\u202eexe x"),
        ("a" * 9000, "a" * 1000),
    ],
)
def test_a_command_is_its_arguments_and_safe_to_draw(argv: str, text: str) -> None:
    assert texts(model(process(5), argv={5000: argv}), 0, "argv") == [text]


def test_a_kernel_thread_goes_by_its_name_in_brackets() -> None:
    shown = model(process(5, comm=b"kswapd0", kind=1))
    assert shown.cells(0, ["argv"]) == [("[kswapd0]", "dim")]


@pytest.mark.parametrize(("code", "said"), [(0, "p5 (ended)"), (3, "p5 (ended, 3)"), (137, "p5 (ended by signal 9)")])
def test_who_ended_says_how(code: int, said: str) -> None:
    ended = process(5, state=b"X", exits=1, exit_code=code)
    assert texts(model(ended), 0, "argv", "rss", "threads") == [said, "-", "-"]


def test_who_has_gone_is_one_row_and_says_whose_children_they_were() -> None:
    rows = [
        process(5), gone(90, 5, b"sh", 40, failed_exits=2, cpu_ns=9), gone(91, 5, b"sed", 5), gone(92, 5, b"cut", 4),
        gone(93, 5, b"tr", 1),
    ]  # fmt: skip
    flat = model(*rows, argv={5000: "/bin/bash\0deploy.sh\0--all"})
    assert texts(flat, 0, "pid", "argv") == [
        "gone", "50 gone ← bash deploy.sh 5, 5.0 ms each: sh, sed, cut …, 2 failed"
    ]  # fmt: skip
    tree = model(*rows, tree=True)
    assert texts(tree, 1, "argv") == ["└ 50 gone, 5.0 ms each: sh, sed, cut …, 2 failed"]
    alone = model(process(5), gone(90, 5, b"a\x1b", 1, cpu_ns=9))
    assert texts(alone, 0, "pid", "argv") == ["90", r"1 gone ← p5 5, 5.0 ms: a\x1b"]


def test_trouble_is_warm_and_nothing_is_dim() -> None:
    rows = (process(5, cpu_ns=MS, wait={16: 9}, state=b"D"), process(6, state=b"Z"), process(7, state=b"R"))
    shown = model(*rows, sort="pid", descending=False)
    keys = ["state", "cpu_ns", "wait_p99_ns", "opens", "exit_code"]
    tones = [[cell.tone for cell in shown.cells(row, keys)] for row in range(3)]
    assert tones[0] == ["warn", "", "warn", "dim", "dim"]
    assert tones[1][:3] == ["warn", "dim", "dim"]
    assert tones[2][0] == ""


def test_a_hidden_column_is_shown_when_it_is_asked_for_or_sorts() -> None:
    def keys(**wanted):
        return {heading.key for heading in model(process(5), **wanted).headings}

    assert "ppid" not in keys()
    assert "ppid" in keys(turned=frozenset({"ppid"}))
    assert "opens" not in keys(turned=frozenset({"opens"}))
    assert "minor_faults" in keys(sort="minor_faults")
    assert "pid" in keys(sort="pid", turned=frozenset({"pid"}))


def test_totals_are_sums_where_sums_mean_something() -> None:
    shown = model(
        process(5, cpu_ns=500 * MS, opens=3, rss=1000, threads=2, ios=1, io_ns=4 * MS),
        process(6, cpu_ns=700 * MS, rss=2000, threads=3, ios=3, io_ns=4 * MS),
    )
    found = dict(zip(keys := [c.key for c in TOOL.columns], [cell.text for cell in shown.totals(keys)], strict=True))
    assert (found["cpu_ns"], found["opens"], found["rss"], found["threads"]) == ("120 %", "3", "3.0 kB", "5")
    assert (found["io_latency_ns"], found["wait_p99_ns"]) == ("2.0 ms", "-")
    assert [found[key] for key in ("age_ns", "ppid", "uid", "state", "start", "exit_code")] == [""] * 6
    assert (found["pid"], found["argv"]) == ("all", "2 processes")
