"""The report page as a whole: it parses, says what the record says, escapes what users wrote, and loads nothing."""

from __future__ import annotations

import base64
import hashlib
import re
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from components.common.errors import CouldNotRunError
from components.probe import with_level
from components.report import build
from schemas.attribution import SCHEMA
from schemas.base import CheckVerdict
from schemas.config import PipelineConfig, ReportConfig
from schemas.drift import ChangedSlice, DriftExample, DriftWord, SetShift
from schemas.probe import ProbeLevel
from schemas.reference import ReferenceIdentity
from tests.helpers import sample_records, sample_tables
from tests.helpers.html_page import Page
from tests.helpers.sample_probe import TRIGGER
from tests.helpers.sample_records import Sample


def _page(sample: Sample, folder: Path) -> Page:
    path = folder / "out" / "report.html"
    build(sample.record, sample.tables, sample.reference_tables, path=path)
    return Page(path.read_text(encoding="utf-8"))


def _words(page: Page) -> str:
    text = re.sub(r"<(style|script)>.*?</\1>", " ", page.source, flags=re.S)
    return " ".join(re.sub(r"<[^>]+>", " ", text).replace("&#39;", "'").split())


@pytest.fixture(scope="module")
def drifted(tmp_path_factory: pytest.TempPathFactory) -> Sample:
    return sample_records.drifted(tmp_path_factory.mktemp("drifted"))


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> Sample:
    return sample_records.first_release(tmp_path_factory.mktemp("first"))


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Sample:
    return sample_records.pictures(tmp_path_factory.mktemp("pictures"))


@pytest.fixture(params=["drifted", "first", "pictures"])
def sample(request: pytest.FixtureRequest) -> Sample:
    result: Sample = request.getfixturevalue(request.param)
    return result


def test_the_first_screen_says_verdict_reasons_and_next_step(sample: Sample, tmp_path: Path) -> None:
    words = _words(_page(sample, tmp_path))
    first_screen = words[: words.index("Quality of the explanations")]
    decision = sample.record.decision
    assert decision.verdict.value.capitalize() in first_screen
    for text in (*decision.reasons, decision.next_step, sample.record.model.name, sample.record.data.dataset.name):
        assert text in first_screen


def test_nothing_is_loaded_and_nothing_is_styled_or_scripted_inline(sample: Sample, tmp_path: Path) -> None:
    page = _page(sample, tmp_path)
    addresses = [a for name in ("src", "href", "srcset", "action", "data", "poster", "xlink:href") for a in page.attributes(name)]
    assert addresses
    assert all(address.startswith(("data:image/", "#")) for address in addresses)
    assert not page.attributes("style")
    assert not [name for _, attributes in page.elements for name in attributes if name.startswith("on")]
    assert "url(" not in page.style
    assert "@import" not in page.style


def test_the_security_policy_admits_exactly_our_style_and_script(drifted: Sample, tmp_path: Path) -> None:
    page = _page(drifted, tmp_path)
    policy = next(a["content"] for tag, a in page.elements if tag == "meta" and a.get("http-equiv") == "Content-Security-Policy")
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    for source in (page.style, page.script):
        assert f"'sha256-{base64.b64encode(hashlib.sha256(source.encode()).digest()).decode()}'" in policy


def test_links_within_the_page_lead_somewhere_and_ids_are_unique(drifted: Sample, tmp_path: Path) -> None:
    page = _page(drifted, tmp_path)
    ids = page.attributes("id")
    assert len(ids) == len(set(ids))
    links = {address[1:] for address in page.attributes("href") if address.startswith("#")}
    into_the_list = {link for link in links if link.startswith(("row=", "search="))}
    assert into_the_list
    assert links - into_the_list <= set(ids)


def test_texts_are_escaped_and_reproduced_to_the_character(first: Sample, tmp_path: Path) -> None:
    page = _page(first, tmp_path)
    assert [attributes for tag, attributes in page.elements if tag == "script" and "type" not in attributes] == [{}]
    texts = set(page.heat.values())
    assert {sample_tables.MALICIOUS, sample_tables.ARABIC, sample_tables.SPACED} <= texts


def test_texts_take_their_own_direction(first: Sample, tmp_path: Path) -> None:
    page = _page(first, tmp_path)
    heat = [attributes for _, attributes in page.elements if attributes.get("class") == "heat"]
    assert heat
    assert all(attributes["dir"] == "auto" for attributes in heat)


def test_malicious_names_are_escaped_everywhere(first: Sample, tmp_path: Path) -> None:
    evil = "<img src=x onerror=alert(1)>"
    model = first.record.model.model_copy(update={"name": evil, "labels": (evil, '"><script>x</script>')})
    decision = first.record.decision.model_copy(update={"reasons": (evil,), "next_step": evil})
    page = _page(first.with_record(model=model, decision=decision, limits=(evil,)), tmp_path)
    assert not [tag for tag, _ in page.elements if tag == "img"]
    assert "alert(1)" not in page.source.replace("onerror=alert(1)&gt;", "")


def test_tables_have_captions_and_scoped_headers(sample: Sample, tmp_path: Path) -> None:
    page = _page(sample, tmp_path)
    tags = [tag for tag, _ in page.elements]
    assert tags.count("table") == tags.count("caption") > 3
    assert all("scope" in attributes for tag, attributes in page.elements if tag == "th")
    assert tags.count("h1") == 1


def test_pictures_have_descriptions(pictures: Sample, tmp_path: Path) -> None:
    page = _page(pictures, tmp_path)
    images = [attributes for tag, attributes in page.elements if tag == "img"]
    # per example: the picture, its pale copy, and the fused grid
    assert len(images) == 8 * 3
    assert all("alt" in attributes for attributes in images)


def test_the_planted_word_and_both_versions_are_shown(drifted: Sample, tmp_path: Path) -> None:
    words = _words(_page(drifted, tmp_path))
    shift = drifted.record.drift.word_shifts[0]
    assert "What changed since version 3" in words
    assert "Reference, version 3" in words
    assert "Candidate, version 4" in words
    assert f"+{shift.candidate_share * 100:.1f}" in words
    assert f"{drifted.record.drift.flipped} of 160 answers changed" in words


def test_probed_words_are_shown_beside_the_drift(drifted: Sample, first: Sample, tmp_path: Path) -> None:
    page = _page(drifted, tmp_path)
    words = _words(page)
    found = drifted.record.probe
    assert found is not None
    assert found.words[0].word == TRIGGER
    changed = words[words.index("What changed since") : words.index("What to do next")]
    assert f"The word {TRIGGER} , which no row holds, now moves the answer" in changed
    section = words[words.index("Words beyond the data set") :]
    assert "reference (hollow)" in section
    assert "it never occurs in the data set" in section
    assert f"{found.n_words} known words tested (12 more left out by probe.max_words)" in section
    assert "row 3 is so so […]" in section
    assert page.source.count('<section id="probe"') == 1
    assert 'id="probe"' not in _page(first, tmp_path).source


def test_the_probes_level_is_told_with_the_earlier_versions_that_it_follows_from(drifted: Sample, tmp_path: Path) -> None:
    level = ProbeLevel(rule="LORD++", level=0.01, configured=0.05, floor=0.01, earlier=("1", "2"), failed=("2",))
    assert drifted.record.probe is not None
    words = _words(_page(drifted.with_record(probe=with_level(drifted.record.probe, level)), tmp_path))
    told = "the level is LORD++'s after 2 earlier versions, 1 failed; between 0.01 and 0.05 (probe.across_versions)"
    assert f"fails this version with a nominal chance of 1 %: {told}. Earlier versions: 1, 2; failed: 2." in words
    assert words.count(told) == 3, "in the probe's section, and in the limits of words and of transformations"


def test_shares_of_a_two_class_model_are_drawn_toward_the_answer(drifted: Sample, tmp_path: Path) -> None:
    example = DriftExample(
        id="x", text="dull", label="NEG", toward="POS", opposite="NEG", reference_prediction="NEG", candidate_prediction="NEG",
        rank_agreement=None, sign_flip=None, words=(DriftWord(text="dull", start=0, end=4, reference=-0.25, candidate=-0.75),),
    )  # fmt: skip
    drift = drifted.record.drift.model_copy(update={"worst": (example,)})
    page = _page(drifted.with_record(drift=drift), tmp_path)
    pair = page.source[page.source.index('<article class="pair"') :]
    # the record counts toward POS; against POS is for NEG
    space = "\N{NARROW NO-BREAK SPACE}"
    assert 'data-target="NEG"' in pair[:200]
    shares = re.findall(r'<span class="s l\d" data-v="([^"]+)">dull', pair)
    assert shares[:2] == [f"+25.0{space}%", f"+75.0{space}%"]


def test_drifted_pictures_are_drawn_as_two_grids(pictures: Sample, tmp_path: Path) -> None:
    places = [(r, c) for r in range(14) for c in range(14)]
    words = tuple(
        DriftWord(text=f"patch {r},{c}", start=i, end=i + 1, reference=0.001, candidate=(r == c) / 14)
        for i, (r, c) in enumerate(places)
    )
    example = DriftExample(
        id="row-1", text="", label="disc", toward="disc", reference_prediction="disc", candidate_prediction="disc",
        rank_agreement=0.2, sign_flip=0.0, words=words,
    )  # fmt: skip
    identity = ReferenceIdentity(name="shapes", version="1", method_fingerprint="a", weights_digest="b")
    drift = pictures.record.drift.model_copy(update={"worst": (example,), "reference": identity, "n_paired": 8})
    page = _page(pictures.with_record(drift=drift), tmp_path)
    descriptions = page.attributes("alt")
    assert descriptions.count("Relevance in the reference version") == 1
    assert descriptions.count("Relevance in the candidate version") == 1


def test_a_first_release_says_that_there_is_nothing_to_compare_with(first: Sample, tmp_path: Path) -> None:
    words = _words(_page(first, tmp_path))
    assert f"Nothing to compare with: {first.record.drift.reason}" in words
    assert "Not applicable" in words
    assert "Answers changed" not in words


def test_counts_of_a_comparison_that_was_not_made_are_not_shown(first: Sample, tmp_path: Path) -> None:
    identity = ReferenceIdentity(name="reviews", version="0", method_fingerprint="a", weights_digest="b")
    update = {"verdict": CheckVerdict.INCONCLUSIVE, "reason": "too few rows", "reference": identity, "n_paired": 3}
    words = _words(_page(first.with_record(drift=first.record.drift.model_copy(update=update)), tmp_path))
    assert "Not known: too few rows" in words
    assert "answers stayed the same" not in words
    assert "Answers changed" not in words


def test_a_control_that_beats_ca_lig_is_announced_before_the_verdict(pictures: Sample, tmp_path: Path) -> None:
    words = _words(_page(pictures, tmp_path))
    before = words[: words.index("Inconclusive This version")]
    assert "A simpler explanation beats CA-LIG on this model" in before
    assert "input × gradient: margin −0.040 (−0.061 to −0.019)" in before
    assert "Only 8 rows were explained." in before
    assert "Plain input_x_gradient beats" not in words  # said once


def test_a_passing_version_with_a_grave_warning_is_not_praised(first: Sample, tmp_path: Path) -> None:
    quality = first.record.quality.model_copy(update={"warnings": ("Every prediction is the same class.",)})
    words = _words(_page(first.with_record(quality=quality), tmp_path))
    assert "read the warnings above first" in words
    assert "Nothing in this report stands against" not in words


def test_a_failed_warning_check_does_not_look_like_a_failed_version(pictures: Sample, tmp_path: Path) -> None:
    assert "Fail, warning only" in _words(_page(pictures, tmp_path))


def test_the_reason_for_scoring_with_torch_is_shown(pictures: Sample, tmp_path: Path) -> None:
    words = _words(_page(pictures, tmp_path))
    assert words.count("unsupported operator aten::foo") == 2


def test_how_content_was_removed_is_shown(first: Sample, pictures: Sample, tmp_path: Path) -> None:
    baseline = first.record.method.baseline
    words = _words(_page(first, tmp_path))
    assert f"How content was removed: replace (by the tokens of the attribution baseline: {baseline})" in words
    assert "How content was removed: blur (removed patches are blurred)" in _words(_page(pictures, tmp_path))
    deleted = first.record.quality.model_copy(update={"perturbation": "delete"})
    assert "no position may attend to them" in _words(_page(first.with_record(quality=deleted), tmp_path))


def test_quality_that_could_not_be_measured_is_said(first: Sample, tmp_path: Path) -> None:
    scorer = first.record.quality.scorer.model_copy(update={"runtime": "none", "providers": (), "parity_max_abs": None})
    quality = first.record.quality.model_copy(
        update={"verdict": CheckVerdict.INCONCLUSIVE, "metrics": (), "controls": (), "curves": (), "scorer": scorer}
    )
    words = _words(_page(first.with_record(quality=quality), tmp_path))
    for text in ("No control was run", "No metric was computed", "No perturbed input was scored"):
        assert text in words


def test_without_labels_nothing_is_called_wrong(tmp_path: Path) -> None:
    sample = sample_records.first_release(tmp_path, n=20, labelled=False)
    page = _page(sample, tmp_path)
    words = _words(page)
    assert "No gold labels" in words
    assert "Model accuracy not measured" in words
    assert not [flags for flags in page.attributes("data-flags") if "wrong" in flags]


@pytest.mark.parametrize("empty", ["setting", "tables"])
def test_without_examples_the_page_says_so(first: Sample, tmp_path: Path, empty: str) -> None:
    config = PipelineConfig(report=ReportConfig(examples=0, rows=0))  # type: ignore[call-arg]
    sample = first.with_record(config=config) if empty == "setting" else Sample(first.record, [], None)
    words = _words(_page(sample, tmp_path))
    assert ("report.examples and report.rows are 0" if empty == "setting" else "no row could be explained") in words


def test_a_missing_picture_leaves_its_grid(pictures: Sample, tmp_path: Path) -> None:
    missing = sample_records.pictures(tmp_path, n=2)
    for file in tmp_path.glob("*.png"):
        file.unlink()
    words = _words(_page(missing, tmp_path))
    assert "the picture file cannot be read" in words


def test_the_page_is_the_same_every_time(drifted: Sample, tmp_path: Path) -> None:
    assert _page(drifted, tmp_path).source == _page(drifted, tmp_path).source


def test_long_texts_keep_the_page_small(tmp_path: Path) -> None:
    rows = [(" ".join(text for text, _ in sample_tables.reviews(60, seed)), "POS") for seed in range(30)]
    table = sample_tables.text_table(tmp_path / "long.parquet", rows, seed=1, boost={})
    sample = sample_records.first_release(tmp_path)
    page = _page(Sample(sample.record, [table], None), tmp_path)
    assert min(len(text) for text, _ in rows) > 3000
    assert len(page.source) < 30 * 100_000


def test_an_unreadable_table_is_named(first: Sample, tmp_path: Path) -> None:
    broken = tmp_path / "broken.parquet"
    broken.write_bytes(b"PAR1 no")
    with pytest.raises(CouldNotRunError, match=r"broken\.parquet"):
        build(first.record, [broken], None, path=tmp_path / "report.html")


def test_an_unwritable_page_is_named(first: Sample, tmp_path: Path) -> None:
    with pytest.raises(CouldNotRunError, match="cannot be written"):
        build(first.record, [], None, path=tmp_path)


@pytest.mark.parametrize("broken", [float("nan"), float("inf")])
@pytest.mark.parametrize("kind", ["first_release", "drifted", "pictures"])
def test_a_row_that_is_not_finite_is_shown_without_colour(kind: str, broken: float, tmp_path: Path) -> None:
    """Half precision overflows in single rows: the check on them fails the version, and the report has to show it."""
    sample: Sample = getattr(sample_records, kind)(tmp_path)
    rows = pq.read_table(sample.tables[0]).to_pylist()
    odd = next(row for row in rows if row["problem"] is None)
    odd["values"] = [broken] * len(odd["values"])
    odd["layers"] = [odd["values"]] * len(odd["layers"])
    odd["words"] = [{**word, "value": broken} for word in odd["words"]]
    pq.write_table(pa.Table.from_pylist(rows, schema=SCHEMA), sample.tables[0])
    assert odd["id"] in _page(sample, tmp_path).source


def test_sets_phrases_and_the_slice_that_changed_most_are_shown(drifted: Sample, tmp_path: Path) -> None:
    drift = drifted.record.drift
    group = SetShift(
        name="names", toward="POS", words=500, occurrences=500, effect=0.12, t=5.7, verdict=CheckVerdict.FAIL, fires=True
    )
    rare = SetShift(name="brands", toward="", words=2, occurrences=2, verdict=CheckVerdict.INCONCLUSIVE)
    phrase = drift.word_shifts[0].model_copy(update={"word": "no doubt", "length": 2, "fires": True})
    slice_ = ChangedSlice(
        conditions=("source = web", "with names"),
        n=31,
        reason_change=0.42,
        elsewhere=0.1,
        z=6.0,
        p_value=0.001,
        searched=80,
        stands_out=True,
    )
    shown = {"set_shifts": (group, rare), "phrase_shifts": (phrase,), "phrases_tested": 12, "most_changed": slice_}
    words = _words(_page(drifted.with_record(drift=drift.model_copy(update=shown)), tmp_path))
    for said in (
        "changed most where source = web, with names",
        "42.0 % of them",
        "names toward POS",
        "brands : could not",
        "no doubt",
    ):
        assert said in words


def test_a_word_that_warns_is_named_on_the_first_screen(drifted: Sample, tmp_path: Path) -> None:
    first, *others = drifted.record.drift.word_shifts
    warned = first.model_copy(update={"fires": False, "warns": True, "effect": 0.25})
    drift = drifted.record.drift.model_copy(update={"verdict": CheckVerdict.PASS, "word_shifts": (warned, *others)})
    words = _words(_page(drifted.with_record(drift=drift), tmp_path))
    assert f"Look at the word {warned.word} : +0.250 of a typical decision toward {warned.toward} in {warned.n} rows" in words
