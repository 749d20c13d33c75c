"""Writes a gate's result as Markdown, the form in which CI systems show the summary of a job.

What a model or a data set says is shown as text: no markup of theirs acts, no link of theirs leads anywhere.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from components.common.plain_text import defused, markdown_text
from components.gate.files import write_whole
from schemas.base import CheckVerdict, Verdict
from schemas.drift import DriftExample, WordShift
from schemas.gate import GateCheck, GateResult
from schemas.governance import GovernanceReport

_MARKS = {Verdict.PASS: "✅", Verdict.FAIL: "❌", Verdict.INCONCLUSIVE: "❔"}
_N_WORDS, _N_EXAMPLES, _N_WORDS_OF_EXAMPLE = 5, 3, 3
_LONGEST = 240  # characters of an example

#: Addresses that a link may lead to as they are: nothing in them ends the link or begins another.
_ADDRESS = re.compile(r"https?://[\w.:/#?&=%@+~-]+")


def write_summary(result: GateResult, record: GovernanceReport, path: Path) -> None:
    """Write the verdict, what did not pass, which reasons changed and the evidence's address to `path`, whole or not at all.

    Raises:
        CouldNotRunError: the file cannot be written.
    """
    write_whole(summary(result, record).encode(), path, option="--summary")


def summary(result: GateResult, record: GovernanceReport) -> str:
    """The same as a text."""
    return "\n\n".join(_parts(result, record)) + "\n"


def _parts(result: GateResult, record: GovernanceReport) -> Iterator[str]:
    verdict = f"{_MARKS[result.verdict]} {result.verdict.value}"
    yield f"## {verdict}: {_plain(result.model)} version {_plain(result.version)}"
    yield "\n".join(f"- {_plain(reason)}" for reason in result.reasons)
    yield f"**Next:** {_plain(result.next_step)}"
    rows = [(c.group, c.name, f"{c.verdict.value} ({c.severity.value})", c.text) for c in _open_checks(result)]
    yield _table("What did not pass", ("part", "check", "verdict", "seen"), rows)
    yield from _change(record)
    yield _evidence(result)


def _open_checks(result: GateResult) -> list[GateCheck]:
    """What failed or could not be judged, without the lines that only say what the reasons above have said."""
    undecided = {CheckVerdict.FAIL, CheckVerdict.INCONCLUSIVE}
    said = "\n".join(result.reasons)
    return [check for check in result.checks if check.verdict in undecided and check.text not in said]


def _change(record: GovernanceReport) -> Iterator[str]:
    """The words that became reasons, and examples with the same answer for other reasons."""
    drift = record.drift
    if drift.reference is None:
        yield "Compared with nothing: this is a first release, or its reference is named above."
        return
    if drift.verdict is CheckVerdict.INCONCLUSIVE and not drift.word_shifts:
        yield f"**Reasons** were not compared: {_plain(drift.reason)}"
        return
    fired = [*(s for s in drift.word_shifts if s.fires), *(s for s in drift.phrase_shifts if s.fires)]
    heading = f"Words and phrases that became reasons since version {_plain(drift.reference.version)}"
    yield _table(heading, ("word", "toward", "before", "now", "z", "rows"), [_shift(one) for one in fired[:_N_WORDS]])
    if drift.verdict is CheckVerdict.FAIL and drift.worst:
        yield "### Same answer, other reasons"
        yield from (_example(example) for example in drift.worst[:_N_EXAMPLES])


def _shift(shift: WordShift) -> tuple[str, ...]:
    before, now = f"{shift.reference_share:+.0%}", f"{shift.candidate_share:+.0%}"
    return shift.word, shift.toward, before, now, f"{shift.z:.1f}", str(shift.n)


def _example(example: DriftExample) -> str:
    """The text with what its most changed words counted for before and now, as shares of the row's attribution."""
    words = sorted(example.words, key=lambda word: -abs(word.candidate - word.reference))[:_N_WORDS_OF_EXAMPLE]
    moved = "; ".join(f"**{_plain(word.text)}** {word.reference:+.0%} → {word.candidate:+.0%}" for word in words)
    text = example.text if len(example.text) <= _LONGEST else f"{example.text[:_LONGEST]} …"
    other = example.toward not in {"", example.candidate_prediction}
    toward = f", shares toward {_plain(example.toward)}" if other else ""
    answer = f"{_plain(example.id)}, answered {_plain(example.candidate_prediction)}{toward}"
    return f"> {_plain(text)}\n>\n> {answer}: {moved}" if text else f"> {answer}: {moved}"


def _evidence(result: GateResult) -> str:
    explained = f"explained {result.explained_at:%Y-%m-%d}, fingerprint `{result.fingerprint[:12]}`"
    address = result.run_url or ""
    link = f", [evidence]({address})" if _ADDRESS.fullmatch(address) else ""
    promoted = f"<br>{_plain(result.promoted)}" if result.promoted else ""
    return f"{_plain(result.signature)}; {explained}{link}{promoted}"


def _table(title: str, headings: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    if not rows:
        return f"**{title}:** nothing"
    lines = [headings, ["---"] * len(headings), *([_plain(cell) for cell in row] for row in rows)]
    return f"### {title}\n\n" + "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _plain(text: str) -> str:
    """`text` literally: CI systems also turn addresses into links and names after @ into mentions."""
    return markdown_text(defused(text))
