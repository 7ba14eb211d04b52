# SPDX-License-Identifier: GPL-2.0-or-later
"""The comparison with other file systems (tests/bench/compare): does it measure what it
says, say what it cannot measure, and leave nothing behind? Nothing here looks at a time.
"""
import json
import os
import re
import signal
import subprocess
import time
import xml.etree.ElementTree

import pytest

from conftest import BUILD, TOP, counted, image, missing, mountinfo, run, servers

COMPARE = TOP / "tests/bench/compare"
ROWS = ("bare-stale", "canonfs-stacked", "canonfs-passthrough", "canonfs-mutable", "overlayfs",
        "bindfs", "prefix-cold")
COLUMNS = ("start", "import", "walk-2")


@pytest.fixture
def environment(folder):
    """Of a run whose temporary files can be found."""
    for name in ("debian", "ostree"):
        image(name)
    return os.environ | {"TMPDIR": str(folder), "CANONFS_BUILDDIR": str(BUILD)}


@pytest.fixture
def compared(folder, environment):
    """(the result, what was printed, the chart); and nothing of the run is left."""
    before, running = mountinfo(), servers()
    results = folder / "results"
    results.mkdir()
    done = run(COMPARE, "--quick", "--only", ",".join(ROWS), "--json", results / "json",
               "--chart", results / "svg", env=environment)
    assert done.stderr == "", "progress is for terminals"
    assert mountinfo() == before
    assert servers() == running
    assert os.listdir(folder) == ["results"]
    return json.loads((results / "json").read_text()), done.stdout, results / "svg"


def test_a_quick_comparison(compared, folder, environment):
    result, printed, chart = compared
    check_result(result)
    check_requests(result, folder, environment)
    check_shown(result, printed, chart)
    again = run(COMPARE, "--from", folder / "results/json", env=environment)
    assert again.stdout == printed


def test_readme_tells_what_was_measured():
    schema = pytest.importorskip("jsonschema")
    result = TOP / "tests/bench/comparison.json"
    schema.validate(json.loads(result.read_text()),
                    json.loads((TOP / "tests/bench/result.schema.json").read_text()))
    shown = run(COMPARE, "--from", result, "--summary").stdout
    assert len(shown.splitlines()) > 2 + len(ROWS)
    assert shown in (TOP / "README").read_text()


def test_chart_shows_what_was_measured(folder):
    result = TOP / "tests/bench/comparison.json"
    run(COMPARE, "--from", result, "--chart", folder / "svg")
    assert (folder / "svg").read_text() == (TOP / "tests/bench/comparison.svg").read_text()


def check_result(result):
    schema = pytest.importorskip("jsonschema")
    schema.validate(result, json.loads((TOP / "tests/bench/result.schema.json").read_text()))

    rows = {row["name"]: row for row in result["rows"]}
    assert rows.keys() == {"bare-fresh", *ROWS}
    shown = {name for name, row in rows.items() if not row["skipped"]}
    assert shown >= {"bare-fresh", "bare-stale", "canonfs-passthrough", "canonfs-mutable",
                     "prefix-cold"}

    # What is called stale must be stale, or all the rest says nothing.
    assert rows["bare-fresh"]["compiled"] == rows["canonfs-passthrough"]["compiled"] == 0
    modules = rows["bare-fresh"]["from_bytecode"]
    assert modules > 300
    assert rows["canonfs-passthrough"]["from_bytecode"] == modules
    assert rows["canonfs-mutable"]["from_bytecode"] == modules
    assert rows["bare-stale"]["compiled"] == rows["prefix-cold"]["compiled"] == modules

    for condition in ("warm", "fresh"):
        times = result["conditions"][condition]["times"]
        assert set(COLUMNS) <= times.keys()
        for column in COLUMNS:
            expected = shown - ({"prefix-cold"} if column == "walk-2" else set())
            assert times[column].keys() == expected
            assert all(len(cell["samples_ms"]) == 1 for cell in times[column].values())
        served = result["conditions"][condition]["requests"]["import"]
        assert served.keys() == shown & {"canonfs-stacked", "canonfs-passthrough",
                                         "canonfs-mutable", "bindfs"}
    assert "mount" in result["conditions"]["fresh"]["times"]
    if "canonfs-stacked" in shown:
        assert rows["canonfs-stacked"]["type"] == "overlay"
        assert rows["canonfs-stacked"]["from_bytecode"] == modules


def requests_of(result, condition, row):
    """The opcodes of an import; None where the kernel cannot count, or the row is not shown."""
    return result["conditions"][condition]["requests"]["import"].get(row, {}).get("opcodes")


def check_requests(result, folder, environment):
    """The counts are of each mount's own requests. The FUSE mount of the stacked one is not the
    one that programs see; it is counted all the same."""
    if requests_of(result, "warm", "canonfs-passthrough") is None:
        missing("the tracepoint fuse:fuse_request_send is not there")
    warm = counted_warm(result, folder, environment)
    assert warm["canonfs-passthrough"].keys() <= {"IOCTL", "GETXATTR"}
    assert requests_of(result, "fresh", "canonfs-passthrough").keys() >= {"LOOKUP", "READ"}
    if "canonfs-stacked" in warm:
        assert warm["canonfs-stacked"] == {}
        assert "READ" in requests_of(result, "fresh", "canonfs-stacked")


def counted_warm(result, folder, environment):
    """Those of a warm mount, by row."""
    rows = [row for row in ("canonfs-passthrough", "canonfs-stacked")
            if requests_of(result, "warm", row) is not None]
    results = iter([result])

    def count():
        found = next(results, None) or only_warm(rows, folder, environment)
        return {row: requests_of(found, "warm", row) for row in rows}

    return counted(count, lambda found: set().union(*found.values()) <= {"IOCTL", "GETXATTR"} and
                   not found.get("canonfs-stacked"))


def only_warm(rows, folder, environment):
    run(COMPARE, "--quick", "--only", ",".join(rows), "--columns", "import", "--conditions", "warm",
        "--json", folder / "results/again", env=environment)
    return json.loads((folder / "results/again").read_text())


def check_shown(result, printed, chart):
    rows = {row["name"]: row for row in result["rows"]}
    shown = [name for name, row in rows.items() if not row["skipped"]]
    for row in shown:
        assert re.search(rf"^  {re.escape(rows[row]['title'])} ", printed, re.M)
    assert re.search(r"^ +start +import$", printed, re.M)
    drawn = xml.etree.ElementTree.parse(chart).getroot()
    texts = [element.text for element in drawn.iter("{http://www.w3.org/2000/svg}text")]
    assert {rows[name]["title"] for name in shown} <= set(texts)


def test_a_row_that_cannot_be_mounted_is_skipped_with_the_reason(folder, environment):
    """Also where there is no other row to show."""
    programs = folder / "programs"
    programs.mkdir()
    (programs / "bindfs").write_text("#!/bin/sh\necho no luck today >&2\nexit 3\n")
    (programs / "bindfs").chmod(0o755)
    done = run(COMPARE, "--quick", "--only", "bindfs", "--columns", "start", "--conditions",
               "warm", env=environment | {"PATH": f"{programs}:{environment['PATH']}"})
    assert re.search(r"^  bindfs: skipped: .*bindfs failed with 3: no luck today$", done.stdout,
                     re.M)


@pytest.mark.parametrize("words, complaint", [
    (("--only", "nosuch"), "no row 'nosuch'; there are: bare-fresh"),
    (("--columns", "start,nosuch"), "no column 'nosuch'; there are: start"),
    (("--conditions", "hot"), "no condition 'hot'; there are: warm, fresh, cold"),
])
def test_a_name_that_is_not_there(environment, words, complaint):
    done = run(COMPARE, *words, check=False, env=environment)
    assert done.returncode == 1
    assert complaint in done.stderr
    assert done.stderr.count("\n") == 1


def test_an_interrupted_run_leaves_nothing(folder, environment):
    before, running = mountinfo(), servers()
    process = subprocess.Popen([COMPARE, "--only", "canonfs-passthrough", "--columns", "import"],
                               env=environment, stdout=subprocess.DEVNULL,
                               stderr=subprocess.PIPE, text=True)
    while servers() == running:
        assert process.poll() is None, process.stderr.read()
        time.sleep(0.01)
    process.send_signal(signal.SIGTERM)
    process.communicate()
    assert process.returncode == 128 + signal.SIGTERM
    assert mountinfo() == before
    assert servers() == running
    assert os.listdir(folder) == []
