"""The gate's summary in Markdown: what it says, by a parser of CommonMark with tables; and that no text of others acts in it."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
from markdown_it import MarkdownIt
from markdown_it.token import Token

from components.common.errors import CouldNotRunError
from components.gate import judge, summary, write_summary
from schemas.base import CheckVerdict
from schemas.config import GateConfig
from schemas.evidence import Evidence
from schemas.gate import GateResult
from schemas.governance import GovernanceReport
from tests.helpers import sample_records

HOSTILE = "<img src=x> [a](javascript:alert(1)) ![b](http://evil.example/p.png) | `c` **d** @team\n# e\n- f http://evil.example"


@pytest.fixture(scope="module")
def drifted(tmp_path_factory: pytest.TempPathFactory) -> GovernanceReport:
    return sample_records.drifted(tmp_path_factory.mktemp("drifted")).record.model_copy(update={"probe": None})


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> GovernanceReport:
    return sample_records.first_release(tmp_path_factory.mktemp("first")).record


def gated(record: GovernanceReport) -> GateResult:
    evidence = Evidence(record=record, run_id="r1", registered=record.model.registered)
    return judge(evidence, GateConfig(), now=record.created_at + timedelta(days=1))


def tokens(text: str) -> list[Token]:
    """All tokens, those inside of lines too."""
    parsed = MarkdownIt("commonmark").enable("table").parse(text)
    return [part for token in parsed for part in (token, *(token.children or ()))]


def shown(text: str) -> str:
    return "".join(token.content if token.type in {"text", "code_inline", "text_special"} else "\n" for token in tokens(text))


def test_a_failed_version_says_what_changed_and_shows_three_examples(drifted: GovernanceReport) -> None:
    text = summary(gated(drifted), drifted)
    said = shown(text)
    assert said.strip().startswith(f"❌ fail: {drifted.model.name} version {drifted.model.version}")
    fired = next(shift for shift in drifted.drift.word_shifts if shift.fires)
    for part in (fired.word, f"{fired.reference_share:+.0%}", f"{fired.candidate_share:+.0%}", f"{fired.z:.1f}"):
        assert part in said
    examples = drifted.drift.worst[:3]
    assert len([token for token in tokens(text) if token.type == "blockquote_open"]) == len(examples) > 0
    assert all(example.id in said for example in examples)


def test_a_first_release_is_compared_with_nothing(first: GovernanceReport) -> None:
    said = shown(summary(gated(first), first))
    assert "Compared with nothing" in said
    assert "Same answer, other reasons" not in said


def test_text_of_models_and_data_stays_text(drifted: GovernanceReport) -> None:
    example = drifted.drift.worst[0]
    word = example.words[0].model_copy(update={"text": HOSTILE, "candidate": 9.0})
    worst = (example.model_copy(update={"id": HOSTILE, "text": HOSTILE, "toward": HOSTILE, "words": (word,)}),)
    shifts = tuple(shift.model_copy(update={"word": HOSTILE, "toward": HOSTILE}) for shift in drifted.drift.word_shifts)
    record = drifted.model_copy(update={"drift": drifted.drift.model_copy(update={"worst": worst, "word_shifts": shifts})})
    parts = {"model": HOSTILE, "reasons": (HOSTILE,), "next_step": HOSTILE, "signature": HOSTILE, "promoted": HOSTILE}
    plain, result = gated(drifted), gated(record).model_copy(update=parts | {"run_url": "javascript:alert(1)"})
    found, unharmed = tokens(summary(result, record)), tokens(summary(plain, drifted))
    assert not {token.type for token in found} & {"image", "link_open", "html_block", "fence", "code_block"}
    assert {token.content for token in found if token.type == "html_inline"} <= {"<br>"}
    for structure in ("heading_open", "tr_open", "td_open", "th_open"):
        assert len([t for t in found if t.type == structure]) == len([t for t in unharmed if t.type == structure])


def test_a_comparison_that_could_not_be_made_does_not_say_that_nothing_changed(drifted: GovernanceReport) -> None:
    update = {"verdict": CheckVerdict.INCONCLUSIVE, "reason": "too few rows", "word_shifts": (), "phrase_shifts": ()}
    record = drifted.model_copy(update={"drift": drifted.drift.model_copy(update=update)})
    said = shown(summary(gated(record), record))
    assert "were not compared: too few rows" in said
    assert "became reasons" not in said


def test_the_evidence_is_one_click_away(first: GovernanceReport) -> None:
    address = "https://mlflow.example:5000/#/experiments/1/runs/abc"
    result = gated(first).model_copy(update={"run_url": address})
    links = [token.attrGet("href") for token in tokens(summary(result, first)) if token.type == "link_open"]
    assert links == [address]


def test_a_place_that_cannot_be_written_is_an_error(first: GovernanceReport, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(CouldNotRunError, match="--summary"):
        write_summary(gated(first), first, tmp_path / "file" / "gate.md")
