"""The first screen: warnings, the verdict with its reasons, what changed, and the key figures."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from components.report.choice import Briefs
from components.report.drawing import formats
from components.report.sections import Material, Section
from schemas.drift import Statistic
from schemas.governance import GovernanceReport
from schemas.quality import Control


@dataclass(frozen=True, slots=True)
class Alert:
    """A warning above the verdict. `grave`: it puts the explanations themselves in doubt."""

    title: str
    lines: tuple[str, ...]
    grave: bool = False


@dataclass(frozen=True, slots=True)
class Tile:
    """A key figure with its label and a note that puts it into proportion."""

    label: str
    value: str
    note: str


def alerts(record: GovernanceReport, briefs: Briefs) -> list[Alert]:
    """Grave warnings first."""
    found = [*_grave_alerts(record), *_run_alerts(record, briefs)]
    return sorted(found, key=lambda alert: not alert.grave)


def tiles(material: Material) -> list[Tile]:
    """Key figures of the release, in a fixed order; what does not apply is left out."""
    return [*_model_tiles(material.record), *_explanation_tiles(material.record, material.briefs), *_drift_tiles(material)]


def _grave_alerts(record: GovernanceReport) -> Iterator[Alert]:
    losses = [control for control in record.quality.controls if control.beats_ca_lig]
    if losses:
        lines = [_margin_line(control) for control in losses]
        lines.append(
            "On these rows they find the decisive parts of the input better. Do not rely on the maps before this is understood."
        )
        yield Alert("A simpler explanation beats CA-LIG on this model", tuple(lines), grave=True)
    # what is announced above, or by the note on the scorer, is not announced twice
    known = [control.name for control in losses] + [record.quality.scorer.fallback_reason or ""]
    rest = [warning for warning in record.quality.warnings if not any(name and name in warning for name in known)]
    if rest:
        yield Alert("Know this before reading on", tuple(rest), grave=True)


def _margin_line(control: Control) -> str:
    interval = formats.interval(control.margin_interval)
    return f"{formats.readable(control.name)}: margin {formats.signed(control.margin)} ({interval})"


def _run_alerts(record: GovernanceReport, briefs: Briefs) -> Iterator[Alert]:
    data, scorer = record.data, record.quality.scorer
    unconverged = briefs.n_unconverged
    if unconverged:
        share = f"{formats.count(unconverged)} of {formats.rows(len(briefs))}"
        yield _note("Some integrals did not converge", f"{share}; they are kept, marked, and counted by the quality checks.")
    if data.n_skipped:
        yield _note(
            "Not every row could be explained", f"{formats.rows(data.n_skipped)} skipped; the reasons are listed under Data."
        )
    if data.n_truncated:
        text = f"{formats.rows(data.n_truncated)} cut at the model's limit; what lies beyond has no attribution."
        yield _note("Some texts were longer than the model reads", text)
    if data.n_windowed:
        text = f"{formats.rows(data.n_windowed)}; explained is the mean of their windows' logits, see Method."
        yield _note("Some texts were longer than the model reads, and were explained in windows", text)
    if scorer.fallback_reason:
        yield _note("Perturbed inputs were scored by torch, not ONNX Runtime", scorer.fallback_reason)
    if not record.results.n_labelled and record.model.is_regression:
        yield _note("No gold numbers", "The error of the predictions is not measured.")
    elif not record.results.n_labelled:
        yield _note("No gold labels", "Accuracy is not measured, and wrong predictions cannot be marked.")


def _note(title: str, text: str) -> Alert:
    return Alert(title, (text,))


def _model_tiles(record: GovernanceReport) -> Iterator[Tile]:
    if record.model.is_regression:
        yield _error_tile(record)
        return
    results, change = record.results, record.drift.accuracy_change
    note = f"on {formats.count(results.n_labelled)} labelled rows" if results.n_labelled else "the data set has no gold labels"
    if change is not None and record.drift.reference:
        note = f"{_points(change)} against version {record.drift.reference.version}"
    yield Tile("Model accuracy", formats.percent(results.accuracy), note)


def _error_tile(record: GovernanceReport) -> Tile:
    found, change = record.results.regression, record.drift.prediction_change
    if found is None:
        return Tile("Mean absolute error", formats.plain(None), "the data set has no gold numbers")
    note = f"R² {formats.plain(found.r_squared)} on {formats.count(found.n)} rows"
    if change is not None and change.error_change is not None and record.drift.reference:
        note = f"{formats.signed(change.error_change)} against version {record.drift.reference.version}"
    return Tile("Mean absolute error", formats.plain(found.mean_absolute_error), note)


def _explanation_tiles(record: GovernanceReport, briefs: Briefs) -> Iterator[Tile]:
    rest = f"{formats.count(record.data.n_skipped)} skipped" if record.data.n_skipped else "none skipped"
    note = f"{rest}, {formats.count(briefs.n_unconverged)} not converged"
    yield Tile("Rows explained", formats.count(record.data.n_explained), note)
    random = _random_control(record.quality.controls)
    if random:
        note = f"{random.margin_interval.level * 100:g} % interval {formats.interval(random.margin_interval)}"
        yield Tile("Margin over random", formats.signed(random.margin), note)


def _drift_tiles(material: Material) -> Iterator[Tile]:
    if not material.compared:
        return
    drift, units = material.record.drift, material.units[1]
    share = formats.percent(drift.flipped / drift.n_paired)
    title = "Answers changed" if drift.prediction_change is None else "Predictions moved"
    yield Tile(title, formats.count(drift.flipped), f"{share} of {formats.count(drift.n_paired)} compared rows")
    tested = f"of {formats.count(drift.words_tested)} {units} tested"
    yield Tile(f"{units.capitalize()} with a new role", formats.count(len(material.firing)), tested)


def _random_control(controls: tuple[Control, ...]) -> Control | None:
    """The control that orders tokens at random (not the one that randomises the model's weights)."""
    return next((c for c in controls if c.name == "random"), None)


def _points(change: float) -> str:
    return "unchanged" if abs(change) < 5e-4 else f"{formats.signed_points(change)} percentage points"


def _firing_slices(statistics: Iterable[Statistic]) -> dict[str, list[str]]:
    """For each statistic beyond its limit somewhere: the slices where it is."""
    slices: dict[str, list[str]] = {}
    for statistic in statistics:
        if statistic.fires:
            slices.setdefault(statistic.name, []).append(statistic.slice)
    return slices


def _context(material: Material) -> dict[str, Any]:
    record = material.record
    return {
        "alerts": alerts(record, material.briefs),
        "tiles": tiles(material),
        "compared": material.compared,
        "firing": material.firing,
        "warning": [shift for shift in record.drift.word_shifts if shift.warns],
        "diffuse": _firing_slices(record.drift.statistics),
        "probed_beyond": [word for word in record.probe.words if word.severity is not None] if record.probe else [],
    }


SECTION = Section(10, "summary", "Decision", "summary.html.j2", _context)
