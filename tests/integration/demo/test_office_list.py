import csv
from decimal import Decimal

import pytest

from strongroom.config.errors import CallError, FailedError
from strongroom.platform.tenants.slugs import check_name, check_slug
from strongroom.provisioning.demo.offices import named, write_offices
from strongroom.provisioning.demo.source import SHIPPED, read_all_offices


def rows(path):
    with path.open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_each_office_gets_a_file_that_adds_up_to_what_it_spent(tmp_path):
    count, expenses = write_offices(SHIPPED, tmp_path, 540)
    listed = rows(tmp_path / "offices.csv")
    spent = read_all_offices(SHIPPED / "disbursements")
    assert count == len(listed) == len(spent)
    files = [rows(tmp_path / row["expenses"]) for row in listed]
    assert sum(map(len, files)) == expenses
    totals = sorted(sum(Decimal(line["amount"]) for line in file) for file in files)
    assert totals == sorted(sum(amounts.values()) for amounts in spent.values())
    assert {row["currency"] for row in listed} == {"USD"}


def test_only_the_biggest_are_taken_and_the_same_each_time(tmp_path):
    for folder in ("one", "two"):
        assert write_offices(SHIPPED, tmp_path / folder, 1)[0] == 1
    files = [sorted(path.relative_to(tmp_path / folder) for path in (tmp_path / folder).rglob("*.csv"))
             for folder in ("one", "two")]  # fmt: skip
    assert files[0] == files[1]


def test_names_of_the_source_become_addresses_that_may_be_and_differ():
    found = named(["HON. ANN LEE", "ANN LEE", "HON. 3RD DISTRICT OF NEW YORK", "STATUS", "X" * 60, "X" * 61, "US"])
    slugs = [slug for slug, _ in found.values()]
    assert len(set(slugs)) == len(slugs)
    for slug, name in found.values():
        check_slug(slug)
        check_name(name)
    assert found["HON. ANN LEE"] == ("ann-lee", "Hon. Ann Lee")
    assert found["HON. 3RD DISTRICT OF NEW YORK"][1] == "Hon. 3rd District of New York"


def test_data_that_are_not_there_are_named(tmp_path):
    with pytest.raises(FailedError, match="cannot be read"):
        write_offices(tmp_path, tmp_path / "out", 10)
    (tmp_path / "disbursements").mkdir()
    for quarter in range(1, 5):
        (tmp_path / "disbursements" / f"2024Q{quarter}-summary.csv").write_text("organization,description,qtd_amount\n")
    with pytest.raises(CallError, match="no offices"):
        write_offices(tmp_path, tmp_path / "out", 10)
