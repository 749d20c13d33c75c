"""What the first screen says: the warnings a reader must see first, and the key figures."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from components.report.drawing import numbers
from components.report.rows import Brief
from schemas.base import CheckVerdict
from schemas.drift import DriftReport
from schemas.governance import GovernanceReport
from schemas.quality import Control

_NAMES = {
    "ca_lig": "CA-LIG",
    "plain_ig": "plain IG (layer 0)",
    "layer_ig_mean": "mean of the layer IGs",
    "input_x_gradient": "input × gradient",
}


@dataclass(frozen=True, slots=True)
class Alert:
    """Something to know before reading on. `grave` ones put the explanations themselves in doubt."""

    title: str
    lines: tuple[str, ...]
    grave: bool = False


@dataclass(frozen=True, slots=True)
class Tile:
    """A key figure, what it is, and what puts it into proportion."""

    label: str
    value: str
    note: str


def alerts(record: GovernanceReport, briefs: list[Brief]) -> list[Alert]:
    """Grave warnings first."""
    found = [*_grave_alerts(record), *_run_alerts(record, briefs)]
    return sorted(found, key=lambda alert: not alert.grave)


def tiles(record: GovernanceReport, briefs: list[Brief]) -> list[Tile]:
    """Key figures of the release, in a fixed order; what does not apply is left out."""
    return [*_model_tiles(record), *_explanation_tiles(record, briefs), *_drift_tiles(record)]


def was_compared(drift: DriftReport) -> bool:
    """Whether the two versions were compared; else counts in the report are defaults, not findings."""
    return drift.verdict in {CheckVerdict.PASS, CheckVerdict.FAIL} or drift.power is not None


def readable(name: str) -> str:
    """A machine name as words: `input_x_gradient` becomes `input × gradient`."""
    return _NAMES.get(name) or name.replace("_", " ")


def removal(kind: str, baseline: str) -> str:
    """In words how a perturbation of `kind` removes content; `baseline` as the attribution run recorded it."""
    return {
        "replace": f"by the tokens of the attribution baseline: {baseline}",
        "delete": "removed tokens keep their place and no position may attend to them",
        "zero": "removed patches are black",
        "blur": "removed patches are blurred",
    }[kind]


def _grave_alerts(record: GovernanceReport) -> Iterator[Alert]:
    losses = [control for control in record.quality.controls if control.beats_ca_lig]
    if losses:
        lines = [f"{readable(c.name)}: margin {numbers.signed(c.margin)} ({numbers.interval(c.margin_interval)})" for c in losses]
        lines.append(
            "On these rows they find the decisive parts of the input better. Do not rely on the maps before this is understood."
        )
        yield Alert("A simpler explanation beats CA-LIG on this model", tuple(lines), grave=True)
    # what is announced above, or by the note on the scorer, is not announced twice
    known = [control.name for control in losses] + [record.quality.scorer.fallback_reason or ""]
    rest = [warning for warning in record.quality.warnings if not any(name and name in warning for name in known)]
    if rest:
        yield Alert("Know this before reading on", tuple(rest), grave=True)


def _run_alerts(record: GovernanceReport, briefs: list[Brief]) -> Iterator[Alert]:
    data, scorer = record.data, record.quality.scorer
    unconverged = sum(not brief.converged for brief in briefs)
    if unconverged:
        share = f"{numbers.count(unconverged)} of {numbers.rows(len(briefs))}"
        yield _note("Some integrals did not converge", f"{share}; they are kept, marked, and counted by the quality checks.")
    if data.n_skipped:
        yield _note(
            "Not every row could be explained", f"{numbers.rows(data.n_skipped)} skipped; the reasons are listed under Data."
        )
    if data.n_truncated:
        text = f"{numbers.rows(data.n_truncated)} cut at the model's limit; what lies beyond has no attribution."
        yield _note("Some texts were longer than the model reads", text)
    if scorer.fallback_reason:
        yield _note("Perturbed inputs were scored by torch, not ONNX Runtime", scorer.fallback_reason)
    if not record.results.n_labelled:
        yield _note("No gold labels", "Accuracy is not measured, and wrong predictions cannot be marked.")


def _note(title: str, text: str) -> Alert:
    return Alert(title, (text,))


def _model_tiles(record: GovernanceReport) -> Iterator[Tile]:
    results, change = record.results, record.drift.accuracy_change
    note = f"on {numbers.count(results.n_labelled)} labelled rows" if results.n_labelled else "the data set has no gold labels"
    if change is not None and record.drift.reference:
        note = f"{_points(change)} against version {record.drift.reference.version}"
    yield Tile("Model accuracy", numbers.percent(results.accuracy), note)


def _explanation_tiles(record: GovernanceReport, briefs: list[Brief]) -> Iterator[Tile]:
    rest = f"{numbers.count(record.data.n_skipped)} skipped" if record.data.n_skipped else "none skipped"
    unconverged = sum(not brief.converged for brief in briefs)
    yield Tile("Rows explained", numbers.count(record.data.n_explained), f"{rest}, {numbers.count(unconverged)} not converged")
    random = _random_control(record.quality.controls)
    if random:
        note = f"{random.margin_interval.level * 100:g} % interval {numbers.interval(random.margin_interval)}"
        yield Tile("Margin over random", numbers.signed(random.margin), note)


def _drift_tiles(record: GovernanceReport) -> Iterator[Tile]:
    drift = record.drift
    if not was_compared(drift):
        return
    share = numbers.percent(drift.flipped / drift.n_paired)
    yield Tile("Answers changed", numbers.count(drift.flipped), f"{share} of {numbers.count(drift.n_paired)} compared rows")
    firing = [shift for shift in drift.word_shifts if shift.fires]
    units = "words" if record.model.modality == "text" else "patches"
    yield Tile(
        f"{units.capitalize()} with a new role",
        numbers.count(len(firing)),
        f"of {numbers.count(drift.words_tested)} {units} tested",
    )


def _random_control(controls: tuple[Control, ...]) -> Control | None:
    """The control that orders tokens at random (not the one that randomises the model's weights)."""
    return next((c for c in controls if c.name == "random"), None)


def signed_points(change: float) -> str:
    """A change of a share in percentage points, one decimal: −0.6."""
    return f"{change * 100:+.1f}".replace("-", "\N{MINUS SIGN}")


def _points(change: float) -> str:
    return "unchanged" if abs(change) < 5e-4 else f"{signed_points(change)} percentage points"
