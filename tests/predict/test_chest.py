"""Zones of the chest, as manifests spell them, and where a clinician looks for them."""

import pytest

from components.predict.chest import Chest


@pytest.mark.parametrize(
    ("zones", "rows"),
    [
        (["L1", "L2", "L3", "R1", "R2", "R3"], [(("R1",), ("L1",)), (("R2",), ("L2",)), (("R3",), ("L3",))]),
        (["L10", "L2", "R2"], [(("R2",), ("L2",)), ((), ("L10",))]),
        (["2R", "L-2", "right 2"], [(("2R", "right 2"), ("L-2",))]),
        (
            ["left anterior inferior", "Left anterior superior", "right_anterior_superior", "lateral, right"],
            [(("right_anterior_superior",), ("Left anterior superior",)), ((), ("left anterior inferior",)), (("lateral, right",), ())],
        ),
        (["right basal", "right apical", "LEFT"], [((), ("LEFT",)), (("right apical",), ()), (("right basal",), ())]),
    ],
)
def test_the_sides_stand_beside_each_other_from_top_to_bottom(
    zones: list[str], rows: list[tuple[tuple[str, ...], tuple[str, ...]]]
) -> None:
    assert Chest.of(zones) == Chest(tuple(rows), ())


def test_a_zone_that_names_no_side_is_not_put_on_one() -> None:
    assert Chest.of(["lateral", "PLAPS", "R1", "subcostal"]) == Chest(((("R1",), ()),), ("lateral", "PLAPS", "subcostal"))


def test_a_zone_is_there_once_and_no_zones_are_no_chest() -> None:
    assert Chest.of(["L1", "L1"]).rows == (((), ("L1",)),)
    assert Chest.of([]) == Chest((), ())
