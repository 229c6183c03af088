"""What a check found, as text for a terminal and as HTML for a notebook."""

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass, field


class Outcome(ABC):
    """What a check found: a verdict in one line, and rows of cells below it; text in a terminal, HTML in a notebook."""

    __slots__ = ()

    @property
    @abstractmethod
    def ok(self) -> bool:
        """Whether everything is right."""

    @property
    @abstractmethod
    def title(self) -> str:
        """The verdict in one line."""

    @abstractmethod
    def rows(self) -> list[tuple[str, ...]]:
        """What is below the title."""

    def __str__(self) -> str:
        rows = self.rows()
        widths = [max(map(len, column)) for column in zip(*(row[:-1] for row in rows), strict=True)]
        lines = ["".join(f"  {cell:<{w}}" for cell, w in zip(row, [*widths, 0], strict=True)) for row in rows]
        return "\n".join([self.title, *(line.rstrip() for line in lines)])

    __repr__ = __str__

    def _repr_html_(self) -> str:
        import html

        rows = "".join(
            "<tr>"
            + "".join(f"<td style='text-align:left;padding-right:1em'>{html.escape(cell)}</td>" for cell in row)
            + "</tr>"
            for row in self.rows()
        )
        # Okabe-Ito's bluish green and vermilion: told apart by the colour-blind, and the title says it in words.
        colour = "#009E73" if self.ok else "#D55E00"
        return (
            f"<div style='border-left:4px solid {colour};padding-left:0.8em'><strong>{html.escape(self.title)}</strong>"
            f"<table>{rows}</table></div>"
        )


@dataclass(slots=True)
class Entry:
    """One entry of a gradient: what each method gives, and the verdict."""

    name: str
    """The argument and the index, such as ``W[2, 0]``; with several outputs also which one."""
    source: str
    """Which gradient is judged here: ``backward`` or ``hand``."""
    verdict: str
    """``right``, ``wrong``, ``kink``, ``discontinuity`` or ``unsettled``."""
    values: dict[str, float]
    """The derivative by each method that gave one."""
    uncertainty: float
    """The finite difference's own estimate of its error."""
    note: str = ""

    @property
    def returned(self) -> float:
        """The value that is judged."""
        return self.values[self.source]

    @property
    def reference(self) -> float:
        """The value that it is held against."""
        return self.values.get("complex step", self.values.get("finite differences", float("nan")))

    @property
    def absolute(self) -> float:
        """The absolute difference."""
        return abs(self.returned - self.reference)

    @property
    def relative(self) -> float:
        """The difference as a share of the larger of the two."""
        size = max(abs(self.returned), abs(self.reference))
        return self.absolute / size if size else 0.0

    def rows(self) -> list[tuple[str, ...]]:
        """The entry as labels and texts."""
        out: list[tuple[str, ...]] = []
        for label, value in self.values.items():
            doubt = f" ± {self.uncertainty:.1g}" if label == "finite differences" and self.uncertainty else ""
            out.append((label, f"{value:.10g}{doubt}"))
        if math.isfinite(self.absolute):
            out.append(("absolute difference", f"{self.absolute:.3g}"))
            out.append(("relative difference", f"{self.relative:.3g}"))
        if self.note:
            out.append(("verdict", self.note))
        return out


@dataclass(slots=True, repr=False)
class Report(Outcome):
    """The outcome of `microgradnp.check.gradients`; prints as text, and as a table in a notebook."""

    function: str
    arguments: tuple[str, ...]
    compared: tuple[str, ...] = ()
    """The methods that were held against each other."""
    order: int = 1
    entries: int = 0
    """How many derivatives were compared."""
    wrong: int = 0
    """How many of them are not right."""
    worst: Entry | None = None
    """The entry with the largest difference, in units of what is allowed."""
    failures: list[Entry] = field(default_factory=list)
    kinks: list[Entry] = field(default_factory=list)
    """Entries at a kink whose gradient lies between the slopes on either side."""
    faults: list[str] = field(default_factory=list)
    """What is wrong besides the values: dtypes, shapes, aliasing, a result that changes."""
    notes: list[str] = field(default_factory=list)
    hint: str = ""
    """What the mistake might be."""
    draws: int = 0
    """How many inputs a strategy drew, 0 without one."""

    def note(self, text: str) -> None:
        """Add a note, once."""
        if text not in self.notes:
            self.notes.append(text)

    @property
    def ok(self) -> bool:
        """Whether everything is right."""
        return not self.wrong and not self.faults

    @property
    def title(self) -> str:
        """The verdict in one line."""
        order = {1: "", 2: " of order 1 and 2"}.get(self.order, f" of order 1 to {self.order}")
        names = ", ".join(self.arguments)
        if self.ok:
            draws = f", for {self.draws} drawn inputs" if self.draws else ""
            kinks = f", {len(self.kinks)} at a kink" if self.kinks else ""
            return f"right: the gradients{order} of {self.function} by {names} ({self.entries} entries{kinks}{draws})"
        if self.wrong:
            wrong = [entry.name for entry in self.failures]
            named = [n for n in self.arguments if any(w == n or w.startswith((f"{n}[", f"{n} of ")) for w in wrong)]
            by = ", ".join(named or self.arguments)
            return f"wrong: the gradient{order} of {self.function} by {by}, in {self.wrong} of {self.entries} entries"
        return f"wrong: the gradient{order} of {self.function}: {self.faults[0]}"

    def rows(self) -> list[tuple[str, ...]]:
        """The report below its title, as labels and texts."""
        out: list[tuple[str, ...]] = (
            [("compared", " = ".join(self.compared) if self.ok else ", ".join(self.compared))] if self.compared else []
        )
        if self.worst is not None:
            out.append(("worst entry", self.worst.name))
            out += self.worst.rows()
        if self.hint:
            out.append(("perhaps", self.hint))
        out += [("fault", fault) for fault in self.faults]
        kinks = {entry.note: entry for entry in self.kinks}
        out += [("kink", note) for note in list(kinks)[:_MOST]]
        if len(kinks) > _MOST:
            out.append(("kink", f"and {len(kinks) - _MOST} more"))
        out += [("note", note) for note in self.notes]
        return out


_MOST = 8
"""How many notes of a kind a report prints."""
