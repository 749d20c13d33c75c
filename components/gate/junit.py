"""Writes a gate's result as JUnit XML, the form in which CI systems show test results."""

from __future__ import annotations

import re
from pathlib import Path
from xml.etree import ElementTree as ET  # only written here, never parsed

from components.common.plain_text import printable
from components.gate.files import write_whole
from schemas.base import CheckVerdict
from schemas.gate import GateCheck, GateResult

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
