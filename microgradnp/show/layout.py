"""Where the boxes of a drawing stand: in layers, from the inputs down to the result.

The layers are those of Sugiyama, Tagawa and Toda: every node below its inputs, crossings reduced by moving each node to
the middle of its neighbours.
"""

from __future__ import annotations

from itertools import pairwise

from microgradnp.show.boxes import Box

GAP = 0.25
"""Between the boxes of a row."""


def layered(boxes: list[Box]) -> tuple[list[list[Box]], dict[tuple[Box, Box], list[Box]]]:
    """The boxes by rows, and for every edge the bends where it passes through rows between."""
    users: dict[Box, list[Box]] = {box: [] for box in boxes}
    for box in boxes:
        box.layer = max((x.layer for x in box.inputs), default=-1) + 1
        for x in box.inputs:
            users[x].append(box)
    for box in reversed(boxes):
        if not box.inputs and users[box]:  # a leaf stands right above what uses it first
            box.layer = min(u.layer for u in users[box]) - 1
    lowest = min(box.layer for box in boxes)
    rows: list[list[Box]] = [[] for _ in range(max(box.layer for box in boxes) - lowest + 1)]
    for box in boxes:
        box.layer -= lowest
        rows[box.layer].append(box)
    bends: dict[tuple[Box, Box], list[Box]] = {}
    for box in boxes:
        for x in box.inputs:
            bends[x, box] = [Box("bend", [""], layer=k) for k in range(x.layer + 1, box.layer)]
            for bend in bends[x, box]:
                rows[bend.layer].append(bend)
    return rows, bends


def place(rows: list[list[Box]], bends: dict[tuple[Box, Box], list[Box]]) -> None:
    """Order each row by the middle of its neighbours, and give every box its place."""
    neighbours = _neighbours(bends)
    for row in rows:
        _spread(row, [float(k) for k in range(len(row))])
    for sweep in range(60):
        for row in rows if sweep % 2 == 0 else rows[::-1]:
            wanted = {box: _middle(box, neighbours.get(box, [])) for box in row}
            row.sort(key=wanted.__getitem__)
            _spread(row, [wanted[box] for box in row])
    top = 0.0
    for row in rows:
        for box in row:
            box.y = top
        top += max(box.height for box in row) + 0.38


def _middle(box: Box, near: list[Box]) -> float:
    """Where a box wants to be: amid its neighbours, those with no inputs aside."""
    firm = [n for n in near if n.inputs or n.kind == "bend"] or near
    return sum(n.x for n in firm) / len(firm) if firm else box.x


def _neighbours(bends: dict[tuple[Box, Box], list[Box]]) -> dict[Box, list[Box]]:
    near: dict[Box, list[Box]] = {}
    for (start, end), between in bends.items():
        for a, b in pairwise((start, *between, end)):
            near.setdefault(a, []).append(b)
            near.setdefault(b, []).append(a)
    return near


def _spread(row: list[Box], wanted: list[float]) -> None:
    """Place a row's boxes, in their order, as near as they fit to where they want to be.

    Less the room that those before it take, no box may stand left of the one before: the nearest such places, in the
    mean of squares, come from pooling neighbours that want to pass each other. What has no inputs gives way.
    """
    room = [0.0]
    for a, b in pairwise(row):
        room.append(room[-1] + (a.width + b.width) / 2 + GAP)
    pools: list[tuple[float, float, int]] = []  # place, weight, how many boxes
    for box, x, before in zip(row, wanted, room, strict=True):
        pool = (x - before, 1.0 if box.inputs or box.kind == "bend" else 0.01, 1)
        while pools and pools[-1][0] > pool[0]:
            place, weight, n = pools.pop()
            total = weight + pool[1]
            pool = ((place * weight + pool[0] * pool[1]) / total, total, n + pool[2])
        pools.append(pool)
    places = [place for place, _, n in pools for _ in range(n)]
    for box, place, before in zip(row, places, room, strict=True):
        box.x = place + before
