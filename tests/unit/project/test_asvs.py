"""The table of the OWASP ASVS names every requirement once, and only tests that exist."""

import re
from collections import Counter
from pathlib import Path

import strongroom

ROOT = Path(strongroom.__file__).parent
TABLE = (ROOT / "docs" / "asvs.md").read_text(encoding="utf-8")
ROW = re.compile(r"^\| ([0-9]+\.[0-9]+\.[0-9]+) \| (.+) \| (\S.*\S) \| (.+) \| (.+) \|$", re.MULTILINE)
NAMED = re.compile(r"`(test_\w+\.py)(?:::(test_\w+))?`")
# Of each section of ASVS 5.0.0 the numbers of the requirements of levels 1 and 2; those of level 3 are left out.
SECTIONS = {
    "1.1": (1, 2), "1.2": (1, 9), "1.3": (1, 11), "1.4": (1, 3), "1.5": (1, 2),
    "2.1": (1, 3), "2.2": (1, 3), "2.3": (1, 4), "2.4": (1, 1),
    "3.2": (1, 2), "3.3": (1, 4), "3.4": (1, 6), "3.5": (1, 5), "3.7": (1, 2),
    "4.1": (1, 3), "4.2": (1, 1), "4.3": (1, 2), "4.4": (1, 4),
    "5.1": (1, 1), "5.2": (1, 3), "5.3": (1, 2), "5.4": (1, 3),
    "6.1": (1, 3), "6.2": (1, 12), "6.3": (1, 4), "6.4": (1, 4), "6.5": (1, 5), "6.6": (1, 3), "6.8": (1, 4),
    "7.1": (1, 3), "7.2": (1, 4), "7.3": (1, 2), "7.4": (1, 5), "7.5": (1, 2), "7.6": (1, 2),
    "8.1": (1, 2), "8.2": (1, 3), "8.3": (1, 1), "8.4": (1, 1),
    "9.1": (1, 3), "9.2": (1, 4),
    "10.1": (1, 2), "10.2": (1, 2), "10.3": (1, 4), "10.4": (1, 11), "10.5": (1, 5), "10.6": (1, 2), "10.7": (1, 3),
    "11.1": (1, 2), "11.2": (1, 3), "11.3": (1, 3), "11.4": (1, 4), "11.5": (1, 1), "11.6": (1, 1),
    "12.1": (1, 3), "12.2": (1, 2), "12.3": (1, 4),
    "13.1": (1, 1), "13.2": (1, 5), "13.3": (1, 2), "13.4": (1, 5),
    "14.1": (1, 2), "14.2": (1, 4), "14.3": (1, 3),
    "15.1": (1, 3), "15.2": (1, 3), "15.3": (1, 7),
    "16.1": (1, 1), "16.2": (1, 5), "16.3": (1, 4), "16.4": (1, 3), "16.5": (1, 3),
}  # fmt: skip


def rows() -> list[tuple[str, str, str]]:
    """Id, verdict and tests of each line."""
    return [(row[0], row[2], row[4]) for row in ROW.findall(TABLE)]


def test_every_requirement_of_levels_1_and_2_is_there_once() -> None:
    wanted = [f"{name}.{n}" for name, (first, last) in SECTIONS.items() for n in range(first, last + 1)]
    found = Counter(row[0] for row in rows())
    assert [one for one in wanted if found[one] != 1] == []
    assert sorted(found - Counter(wanted)) == []


def test_every_verdict_is_one_of_three_and_what_is_met_names_a_test() -> None:
    assert {verdict for _, verdict, _ in rows()} == {"met", "**not met**", "not applicable"}
    assert [row for row, verdict, tests in rows() if verdict == "met" and not NAMED.search(tests)] == []


def test_every_test_that_is_named_exists() -> None:
    files: dict[str, str] = {}
    for path in (ROOT / "tests").rglob("test_*.py"):
        files[path.name] = files.get(path.name, "") + path.read_text(encoding="utf-8")
    named = {(file, name) for _, _, tests in rows() for file, name in NAMED.findall(tests)}
    missing = [
        one for one in sorted(named) if one[0] not in files or (one[1] and f"def {one[1]}(" not in files[one[0]])
    ]
    assert missing == []


def test_the_count_in_the_introduction_is_that_of_the_table() -> None:
    count = Counter(verdict for _, verdict, _ in rows())
    wanted = f"Of {count.total()} requirements {count['met']} are met, **{count['**not met**']} are not met**"
    assert wanted in TABLE
