"""The kinds of places a drive can be in, and how often each turns up."""

from dataclasses import dataclass, field

from training.data.road import Plan


@dataclass(frozen=True)
class Style:
    """Ranges are (low, high), lengths in metres, speeds in m/s, rates per 100 m of one roadside.

    left, right: distance from the car's line to the edges of the carriageway; frontage: what stands beyond
    the pavement (or verge) and how likely; setback: how far beyond.
    """

    plan: Plan
    cruise: tuple[float, float]
    left: tuple[float, float]
    right: tuple[float, float]
    frontage: dict[str, float]
    setback: tuple[float, float]
    pavement: tuple[float, float] | None = None
    storeys: tuple[int, int] = (2, 4)
    parked: float = 0.0
    trees: float = 1.0
    poles: float = 3.0
    people: float = 0.0
    side_roads: float = 0.6
    lead: float = 0.45
    oncoming: float = 1.0
    lanes: tuple[float, ...] = field(default=())  # lateral offsets of lanes in our direction
    stops: float = 0.4
    zebras: float = 0.8


STYLES = {
    "city": Style(
        Plan((40, 150), 0.4, 0.3, (25, 200), 0.04, roundabout=0.06), (7, 13), (4.5, 8), (2.2, 5),
        {"facades": 7, "houses": 1, "wall": 0.7, "trees": 0.7, "open": 0.6}, (0, 2.5), (1.8, 4.5), (3, 6),
        parked=9, trees=2, poles=6, people=3, side_roads=1.0, oncoming=1.6, stops=0.8,
    ),
    "residential": Style(
        Plan((40, 140), 0.5, 0.3, (20, 150), 0.08), (6, 11), (3, 5.5), (1.5, 3.2),
        {"houses": 5, "hedge": 3, "fence": 2, "wall": 1.5, "facades": 1.5, "trees": 1}, (0.3, 6), (1, 2.4),
        (1, 3), parked=8, trees=3, poles=4, people=1.2, side_roads=1.2, oncoming=0.7,
    ),
    "suburb": Style(
        Plan((60, 200), 0.3, 0.45, (30, 300), 0.1, roundabout=0.08), (8, 15), (4, 7), (1.8, 3.5),
        {"houses": 3, "hedge": 2, "fence": 1, "trees": 2, "open": 2, "wall": 0.6, "facades": 0.6}, (1, 9),
        (1, 3), (1, 3), parked=2.5, trees=3, poles=4, people=0.6,
    ),
    "industrial": Style(
        Plan((60, 200), 0.35, 0.3, (25, 200), 0.03, roundabout=0.1), (7, 14), (4, 8), (2, 5),
        {"open": 3, "fence": 3, "halls": 4, "wall": 1, "trees": 1}, (3, 18), (1, 3), (2, 4),
        parked=4, trees=1, poles=5,
    ),
    "country": Style(
        Plan((60, 250), 0.08, 0.7, (35, 400), 0.1, camber=0.05), (11, 22), (3.5, 5.5), (1.6, 2.8),
        {"open": 6, "trees": 2, "forest": 2, "hedge": 1, "rail": 0.8, "bank": 1, "houses": 0.4}, (1, 6), None,
        (1, 2), trees=1.2, poles=2.5, side_roads=0.3, lead=0.35, stops=0.1, zebras=0.2,
    ),
    "forest": Style(
        Plan((50, 160), 0.08, 0.7, (30, 250), 0.1, camber=0.05), (9, 18), (3, 5), (1.5, 2.5),
        {"forest": 7, "bank": 1.5, "open": 0.7, "rail": 0.5, "hedge": 0.5}, (0.8, 4), None, trees=3,
        poles=1.5, side_roads=0.2, lead=0.3, stops=0.1, zebras=0.1,
    ),
    "highway": Style(
        Plan((150, 500), 0.0, 0.8, (300, 2500), 0.05, ease_m=30, bank=0.05), (19, 31), (5.5, 9.5), (2.5, 9.5),
        {"open": 3, "rail": 3, "barrier": 2, "forest": 2, "bank": 2}, (1.5, 7), None, trees=0.4, poles=1.5,
        side_roads=0.0, lead=0.6, oncoming=2.5, lanes=(-3.6, 3.6), stops=0.0, zebras=0.0,
    ),
    "ramp": Style(
        Plan((10, 60), 0.0, 1.0, (28, 110), 0.07, bend_deg=(30, 120), ease_m=20, bank=0.07), (10, 19),
        (3, 5.5), (2, 3),
        {"open": 4, "rail": 3, "bank": 2, "forest": 1, "trees": 1}, (1.5, 5), None, trees=0.6, poles=1.5,
        side_roads=0.0, lead=0.5, oncoming=0.5, stops=0.1, zebras=0.0,
    ),
}  # fmt: skip

FREQUENCY = {
    "city": 0.23, "residential": 0.3, "suburb": 0.16, "industrial": 0.07, "country": 0.11, "forest": 0.05,
    "highway": 0.05, "ramp": 0.03,
}  # fmt: skip
