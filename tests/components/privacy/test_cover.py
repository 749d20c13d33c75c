"""Covered texts: nothing of the original is left in a table, offsets fit, and comparisons give the same numbers as before."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from calig.words import word_spans
from components import drift, privacy
from components.common.errors import InputError
from components.privacy.cover import _blocked, hashed, placed
from components.privacy.tables import OwnTexts, blocks, cover_text
from components.table import by_id
from schemas.attribution import SCHEMA, TABLE_VERSION
from schemas.config import DriftConfig, PipelineConfig, PrivacyConfig
from schemas.drift import DriftExample, DriftWord
from schemas.reference import ReferenceIdentity, ReferenceProfile
from schemas.release import Example
from tests.helpers.explained import explained

KEY = b"0123456789abcdef"
HASH, REDACT, KEEP = PrivacyConfig(texts="hash", key_id="k1"), PrivacyConfig(texts="redact"), PrivacyConfig()
TEXTS = {str(n): f"Secretword plot {n % 7}, awfully\nlonglonglonglongword  fine!" for n in range(40)}
EXAMPLES = [Example(row=n, id=name, text=text) for n, (name, text) in enumerate(TEXTS.items())]


def rows(seed: int) -> list[dict]:
    """Explained rows with sub-word tokens; the word values differ by `seed`, the first word's most."""
    made = []
    for number, (name, text) in enumerate(TEXTS.items()):
        spans = [(a, m, b) for a, b in word_spans(text) for m in [(a + b + 1) // 2]]
        tokens = [piece for a, m, b in spans for piece in ((a, m), (m, b)) if piece[0] < piece[1]]
        values = [0.1 + ((number * 7 + 3 * i) % 5) / 10 + seed * (i == 0) for i in range(len(tokens))]
        words = [(a, b, sum(v for v, (s, e) in zip(values, tokens, strict=True) if a <= s < b)) for a, _, b in spans]
        made.append(
            {
                "row": number,
                "id": name,
                "text": text,
                "label": "POS",
                "segments": [],
                "rationale": [{"start": words[0][0], "end": words[1][1]}],
                "predicted": "POS",
                "probability": 0.9,
                **explained("POS", ("NEG", "POS")),
                "baseline": "mask",
                "logits": [0.0, float(sum(values))],
                "f_input": float(sum(values)),
                "f_baseline": 0.0,
                "tokens": ["[CLS]", *(text[a:b] for a, b in tokens)],
                "input_ids": [2, *range(10, 10 + len(tokens))],
                "starts": [-1, *(a for a, _ in tokens)],
                "ends": [-1, *(b for _, b in tokens)],
                "content": [False, *(True for _ in tokens)],
                "values": [0.0, *values],
                "layers": [[0.0, *values]] * 2,
                "words": [{"text": text[a:b], "start": a, "end": b, "value": v} for a, b, v in words],
            }
        )
    return [*made, {"row": 40, "id": "bad", "text": " ", "problem": "the text is empty", "segments": []}]


def table(folder: Path, seed: int) -> Path:
    folder.mkdir()
    pq.write_table(pa.Table.from_pylist(rows(seed), schema=SCHEMA), folder / "shard-00000.parquet")
    return folder / "shard-00000.parquet"


@pytest.fixture
def tables(tmp_path: Path) -> tuple[Path, Path]:
    return table(tmp_path / "theirs", 0), table(tmp_path / "ours", 1)


def cover(config: PrivacyConfig, folder: Path, key: bytes = KEY) -> privacy.Cover:
    return privacy.Cover(config, EXAMPLES, folder, key if config.texts == "hash" else None)


def compared(theirs: list[Path], ours: list[Path]):
    identity = ReferenceIdentity(name="m", version="1", method_fingerprint="f", weights_digest="w")
    profile = ReferenceProfile.model_validate(
        {
            "identity": identity,
            "dataset_digest": "d",
            "labels": ("NEG", "POS"),
            "fusion": {"rule": "change", "coefficient": 0.2, "context_rule": "mixed"},
            "tables": tuple(theirs),
        }
    )
    config = PipelineConfig(drift=DriftConfig(worst_examples=3))
    return drift.compare(
        ours, profile, method_fingerprint="f", dataset_digest="d", labels=("NEG", "POS"), config=config, decided_on="2026-01-01"
    )


@pytest.mark.parametrize("config", [HASH, REDACT])
@pytest.mark.parametrize("form", ["named", "shown"])
def test_nothing_of_a_text_is_left_in_a_covered_table(tables, tmp_path, config, form):
    (path,) = getattr(cover(config, tmp_path), form)([tables[1]])
    covered = pq.read_table(path)
    assert covered.schema.equals(SCHEMA)
    assert covered.schema.metadata[b"calig.table_version"].decode() == TABLE_VERSION
    said = str(covered.to_pylist()).casefold()
    assert not [w for w in ("secretword", "secre", "plot", "awfully", "longlong", "fine") if w in said]
    original = pq.read_table(tables[1])
    for name in ("row", "id", "label", "values", "layers", "problem"):
        assert covered[name].equals(original[name])
    first = covered.to_pylist()[0]
    assert first["input_ids"] == []
    assert first["tokens"][:3] == ["[CLS]", "token 1", "token 2"]


@pytest.mark.parametrize("config", [HASH, REDACT])
def test_a_comparison_of_covered_tables_finds_the_same_in_other_words(tables, tmp_path, config):
    theirs, ours = tables
    plain, made = compared([theirs], [ours]), cover(config, tmp_path)
    covered = compared(made.named([theirs]), made.named([ours]))
    assert sorted(s.model_dump_json(exclude={"word"}) for s in covered.word_shifts) == sorted(
        s.model_dump_json(exclude={"word"}) for s in plain.word_shifts
    )
    assert covered.statistics == plain.statistics
    assert covered.layer_profile == plain.layer_profile
    assert covered.word_shifts[0].word == made.word("SECRETWORD")


def test_published_redacted_tables_compare_as_the_originals_did(tables, tmp_path):
    theirs, ours = tables
    published = cover(REDACT, tmp_path / "then").shown([theirs])
    now = cover(REDACT, tmp_path / "now")
    report = now.report(compared(now.named(published, REDACT), now.named([ours])))
    assert report.statistics == compared([theirs], [ours]).statistics
    assert report.word_shifts[0].word == "word 1 of row 0"
    assert report.worst[0].text.split() == ["███"] * len(report.worst[0].words)
    assert [word.text for word in report.worst[0].words][:2] == ["word 1", "word 2"]
    kept = cover(KEEP, tmp_path / "kept")
    assert compared(kept.named(published, REDACT), [ours]).word_shifts[0].word == "secretword", "the rows themselves are known"


def test_hashed_words_are_the_same_under_one_key_alone():
    assert hashed(KEY)("Good") == hashed(KEY)("good")
    assert hashed(KEY)("good") == "56d898b845b99553", "printf good | openssl dgst -sha256 -hmac 0123456789abcdef"
    assert hashed(KEY + b"x")("good") != hashed(KEY)("good")


def test_a_place_names_a_word_once():
    name = placed([(4, "so good"), (9, "Good, really")])
    assert [name(w) for w in ("GOOD", "really", "elsewhere", "Elsewhere")] == [
        "word 2 of row 4",
        "word 3 of row 9",
        *["word 1 outside the rows"] * 2,
    ]


@given(st.text(max_size=40), st.data())
def test_offsets_fit_the_covered_text(text, data):
    for name in (hashed(KEY), blocks, lambda _: "x"):
        covered = cover_text(text, name)
        assert [covered.text[a:b] for a, b in covered.after] == [name(text[a:b]) for a, b in word_spans(text)]
        for a, b in word_spans(text):
            assert covered.text[covered.start(a) : covered.end(b)] == name(text[a:b])
            start = data.draw(st.integers(a, b - 1))
            end = data.draw(st.integers(start + 1, b))
            assert covered.start(a) <= covered.start(start) < covered.end(end) <= covered.end(b)
        assert covered.end(len(text)) == len(covered.text)
    assert len(cover_text(text, blocks).text) == len(text)


def test_what_cannot_be_compared_says_why():
    other = PrivacyConfig(texts="hash", key_id="k2")
    assert privacy.hindrance(HASH, HASH) is None
    assert "another key (k1, here k2)" in privacy.hindrance(HASH, other)
    assert "hashed by key k1" in privacy.hindrance(HASH, KEEP)
    assert all(privacy.hindrance(theirs, ours) is None for theirs in (KEEP, REDACT) for ours in (KEEP, REDACT, HASH))
    assert "redacted" in privacy.hindrance(REDACT, KEEP, same_rows=False)
    assert privacy.hindrance(KEEP, HASH, same_rows=False) is None


def test_the_key_is_read_from_its_file_and_only_its_id_is_told(tmp_path, monkeypatch):
    monkeypatch.delenv("CALIG_TEXT_KEY", raising=False)
    with pytest.raises(InputError, match="0 bytes"):
        privacy.settled(HASH, "text")
    monkeypatch.setenv("CALIG_TEXT_KEY_FILE", str(tmp_path / "key"))
    with pytest.raises(InputError, match="cannot be read"):
        privacy.settled(HASH, "text")
    (tmp_path / "key").write_bytes(KEY + b"\n")
    wanted = PrivacyConfig(texts="hash")
    made = privacy.settled(wanted, "text")
    assert made.key_id
    assert KEY.decode() not in made.key_id
    assert privacy.key_of(made) == KEY
    with pytest.raises(InputError, match="another key"):
        privacy.settled(HASH, "text")
    with pytest.raises(InputError, match="pictures"):
        privacy.settled(wanted, "image")


def test_messages_of_errors_are_told_only_where_texts_are_kept():
    assert privacy.told(ValueError("“secret”"), KEEP) == "ValueError: “secret”"
    assert "secret" not in privacy.told(ValueError("“secret”"), REDACT)


@pytest.mark.parametrize("config", [HASH, REDACT])
def test_the_second_text_of_a_pair_is_covered_and_found_again(tmp_path, config):
    text = "secret plot, \nawfully secret"
    row = rows(0)[0] | {
        "text": text,
        "pair_start": 14,
        "words": [{"text": text[a:b], "start": a, "end": b, "value": 0.5} for a, b in ((0, 6), (7, 11), (14, 21), (22, 28))],
    }
    pq.write_table(pa.Table.from_pylist([row], schema=SCHEMA), tmp_path / "pairs.parquet")
    example = Example(row=0, id=row["id"], text="secret plot, ", text_pair="awfully secret")
    made = privacy.Cover(config, [example], tmp_path / "covered", KEY if config.texts == "hash" else None)
    (named,) = pq.read_table(*made.named([tmp_path / "pairs.parquet"])).to_pylist()
    (shown,) = pq.read_table(*made.shown([tmp_path / "pairs.parquet"])).to_pylist()
    for covered in (named, shown):
        sides = [word["start"] >= covered["pair_start"] for word in covered["words"]]
        assert sides == [False, False, True, True]
        assert covered["words"][2]["start"] == covered["pair_start"]
        assert "secret" not in str(covered)
    assert named["words"][0]["text"] == named["words"][3]["text"] == made.word("secret")


def test_examples_of_redacted_pairs_keep_the_place_of_the_second_text():
    words = [DriftWord(text=f"w{n}", start=4 * n, end=4 * n + 3, reference=0.1, candidate=0.2) for n in range(3)]
    example = DriftExample(
        id="a", text="one two\nsix", pair_start=8, label=None, reference_prediction="POS", candidate_prediction="POS",
        rank_agreement=None, sign_flip=None, words=tuple(words),
    )  # fmt: skip
    blocked = _blocked(example)
    assert blocked.pair_start == blocked.words[2].start
    assert blocked.words[1].start < blocked.pair_start


def test_own_texts_are_found_by_id_also_where_digests_are_equal(monkeypatch: pytest.MonkeyPatch) -> None:
    for digest in (by_id.id_digest, len):
        for module in ("components.table.by_id", "components.privacy.tables"):
            monkeypatch.setattr(f"{module}.id_digest", digest)
        texts = OwnTexts([*EXAMPLES, Example(row=40, id="40", image=Path("no text.png"))])
        assert [texts.of({"id": name, "text": "theirs"}) for name in (*TEXTS, "40", "99")] == [
            *TEXTS.values(),
            "theirs",
            "theirs",
        ]
