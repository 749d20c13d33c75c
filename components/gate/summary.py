"""The gate's result as files that a CI system reads: a summary in Markdown, and JUnit XML."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from xml.etree import ElementTree as ET  # only written here, never parsed

from components.common.errors import CouldNotRunError
from components.common.plain_text import cut, defused, markdown_text, printable
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
    text = cut(example.text, _LONGEST)
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


#: What XML 1.0 cannot hold, not even escaped.
_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def write_junit(result: GateResult, path: Path) -> None:
    """Write `result` to `path`, whole or not at all.

    One suite per group; a failed critical check is a failure, an undecided one an error, a warning or what does not apply is
    skipped, with what was seen as output.

    Raises:
        CouldNotRunError: the file cannot be written.
    """
    root = ET.Element("testsuites", name=f"calig gate {_text(result.model)} {_text(result.version)}")
    groups = dict.fromkeys(check.group for check in result.checks)
    for suite in (_suite(result, group) for group in groups):
        root.append(suite)
    for count in ("tests", "failures", "errors", "skipped"):
        root.set(count, str(sum(int(suite.get(count, "0")) for suite in root)))
    root.set("time", "0")
    ET.indent(root)
    write_whole(ET.tostring(root, encoding="utf-8", xml_declaration=True), path, option="--junit")


def _suite(result: GateResult, group: str) -> ET.Element:
    suite = ET.Element("testsuite", name=f"calig.{group}", time="0", timestamp=result.explained_at.isoformat(timespec="seconds"))
    properties = ET.SubElement(suite, "properties")
    for name in ("model", "version", "verdict", "fingerprint", "signature", "run_id", "run_url"):
        ET.SubElement(properties, "property", name=f"calig.{name}", value=_text(str(getattr(result, name) or "")))
    for check in (check for check in result.checks if check.group == group):
        suite.append(_case(check, result))
    kinds = {"failures": "failure", "errors": "error", "skipped": "skipped"}
    suite.set("tests", str(len(suite.findall("testcase"))))
    for count, kind in kinds.items():
        suite.set(count, str(len(suite.findall(f"testcase/{kind}"))))
    return suite


def _case(check: GateCheck, result: GateResult) -> ET.Element:
    case = ET.Element("testcase", classname=f"calig.{check.group}.{_text(result.model)}", name=_text(check.name), time="0")
    text = _text(check.text)
    if check.blocks:
        kind = "failure" if check.verdict is CheckVerdict.FAIL else "error"
        ET.SubElement(case, kind, message=text, type=check.verdict.value).text = text
    elif check.verdict is CheckVerdict.NOT_APPLICABLE:
        ET.SubElement(case, "skipped", message=f"does not apply: {text}")
    elif check.verdict is not CheckVerdict.PASS:
        ET.SubElement(case, "skipped", message=f"{check.severity.value}, does not fail the version: {text}")
    ET.SubElement(case, "system-out").text = text
    return case


def _text(text: str) -> str:
    """What XML cannot hold is marked; what would act on a terminal that shows the file, or turn its direction, is dropped."""
    return printable(_NOT_XML.sub("\N{REPLACEMENT CHARACTER}", text), keep="\t\n")


def write_whole(content: bytes, path: Path, *, option: str) -> None:
    """Write a file that a CI system reads, whole or not at all; `option` is the one that named it.

    Raises:
        CouldNotRunError: the file cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=path.parent, suffix=".part", delete=False) as file:
            file.write(content)
        Path(file.name).replace(path)
        path.chmod(0o644)
    except OSError as error:
        raise CouldNotRunError(
            f"the file of {option} cannot be written", got=f"{path}: {error}", next_step=f"check {option}"
        ) from error
