"""The model card: its metadata is what the hub's own library reads, its text is escaped, and nothing is invented."""

from __future__ import annotations

from pathlib import Path

import pytest
from huggingface_hub import ModelCard

from components.card import card_of, write_card
from components.records import read_record
from tests.helpers import sample_records


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> sample_records.Sample:
    return sample_records.drifted(tmp_path_factory.mktemp("card"), n=30)


def test_the_hubs_library_reads_the_results_back(sample: sample_records.Sample) -> None:
    card = ModelCard(card_of(sample.record))
    results = {result.metric_type: result for result in card.data.eval_results}
    assert results["accuracy"].metric_value == sample.record.results.accuracy
    assert results["accuracy"].dataset_revision == sample.record.data.dataset.digest
    assert results["accuracy"].dataset_split == "validation"
    measured = {metric.name for metric in sample.record.quality.metrics if metric.value is not None}
    assert set(results) == {"accuracy", *measured}, "what was not measured is no result"
    assert (card.data.pipeline_tag, card.data.library_name) == ("text-classification", "transformers")


def test_the_text_has_verdict_digest_limits_and_gaps(sample: sample_records.Sample, tmp_path: Path) -> None:
    write_card(sample.record, tmp_path / "cards" / "README.md")
    text = (tmp_path / "cards" / "README.md").read_text(encoding="utf-8")
    assert text == card_of(sample.record)
    assert "**Verdict of the explanation: fail.**" in text
    assert sample.record.content_digest() in text
    assert "not signed" in text
    assert "Not stated by the owner" in text
    assert "Where the training data come from is for the owner to add" in text
    assert "ab" * 32 in card_of(sample.record, "ab" * 32)


def test_what_comes_from_a_model_is_neither_markdown_nor_html(sample: sample_records.Sample) -> None:
    hostile = "<script>x</script> | [a](http://x) `{{ 7*7 }}`\n# title"
    record = sample.record.model_copy(
        update={
            "model": sample.record.model.model_copy(update={"labels": (hostile, "POS")}),
            "decision": sample.record.decision.model_copy(update={"reasons": (hostile,)}),
        }
    )
    text = card_of(record)
    assert "<script" not in text
    assert "\n# title" not in text
    assert "[a](http" not in text
    assert "49" not in text.split("## Model details")[0].split("---")[-1], "no template inside a template"


def test_a_record_of_version_1_and_one_without_labels_have_cards(tmp_path: Path) -> None:
    path = Path(__file__).parents[1] / "records" / "version-1.json"
    text = card_of(read_record(path.read_bytes(), path))
    assert "not recorded" in text
    unlabelled = sample_records.first_release(tmp_path, n=20, labelled=False).record
    assert "| accuracy | not measured |  | 0 |" in card_of(unlabelled)
