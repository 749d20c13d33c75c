"""The quality step on tables whose right answer is known: a bag of words explained truthfully, wrongly, or not at all."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from calig.metrics.perturbation import Perturbation, PerturbedInput, PerturbedText, top_count
from components.common.errors import CouldNotRunError, InputError
from components.quality import sample_inputs
from components.quality.scores.table import source_of
from schemas.base import CheckVerdict, Direction
from schemas.config import QualityConfig
from schemas.quality import Metric, QualityReport, ScorerRecord
from tests.helpers.attribution_tables import LABELS, MASK, BagOfWords, attribution_row, problem_row, write_table
from tests.helpers.explained import explained
from tests.helpers.judged import evaluate, scored_frame
from tests.helpers.sample_falsification import falsification

ALL_CONTROLS = [
    "random",
    "plain_ig",
    "layer_ig_mean",
    "input_x_gradient",
    "attention_rollout",
    "attention_gradient_rollout",
]
MODEL = BagOfWords()
CONFIG = QualityConfig(bootstrap_draws=200)
TORCH = ScorerRecord(runtime="torch", providers=("cpu",))


#: Metrics of the attempt to falsify the maps; here they fall, on four rows.
FALSIFIED = {"max-sensitivity", "randomisation correlation", "correlation, all randomised"}
FALLEN = falsification({1: (0.01, 0.4, 0.1), 2: (0.02, 0.2, -0.1), 5: (0.03, 0.3, 0.05), 8: (0.02, 0.1, None)})


def rows(n: int = 40, **changes: Any) -> list[dict[str, Any]]:
    return [attribution_row(row, model=MODEL, n_content=6 + row % 9, **changes) for row in range(n)]


def judge(paths: list[Path], *, config: QualityConfig = CONFIG, scorer: Any = MODEL, **options: Any) -> QualityReport:
    given = {"scorer_record": TORCH, "perturbation": Perturbation("replace", MASK), "falsification": FALLEN} | options
    return evaluate(paths, labels=LABELS, scorer=scorer, config=config, **given)


def metric(report: QualityReport, name: str) -> Metric:
    return next(metric for metric in report.metrics if metric.name == name)


def check(report: QualityReport, name: str) -> CheckVerdict:
    return next(check.verdict for check in report.checks if check.name == name)


@pytest.fixture(scope="module")
def truthful(tmp_path_factory: pytest.TempPathFactory) -> QualityReport:
    return judge(write_table(tmp_path_factory.mktemp("table"), rows()))


def test_truthful_attributions_pass(truthful: QualityReport) -> None:
    assert truthful.verdict is CheckVerdict.PASS
    assert truthful.suite == "default"
    judged = [check for check in truthful.checks if not str(check.observed).startswith("not judged")]
    assert {check.verdict for check in judged} == {CheckVerdict.PASS}
    assert len(judged) == 16
    assert truthful.warnings == ()
    assert truthful.scorer == TORCH


def test_every_metric_has_n_direction_and_interval_where_it_is_a_mean(truthful: QualityReport) -> None:
    directions = {metric.name: metric.direction for metric in truthful.metrics}
    higher = {"coverage", "comprehensiveness", "difference", "insertion AUC", "margin over random"}
    higher |= {"normalised sufficiency", "normalised comprehensiveness"}
    lower = {
        "completeness residual p95",
        "unconverged share",
        "non-finite rows",
        "truncated share",
        "sufficiency",
        "deletion AUC",
        "log-odds",
        "infidelity",
        "normalised infidelity",
        "max-sensitivity",
        "randomisation correlation",
        "correlation, all randomised",
    }
    reported = {"entropy", "Gini index"}
    expected = ((higher, Direction.HIGHER), (lower, Direction.LOWER), (reported, Direction.REPORT))
    assert directions == {name: direction for names, direction in expected for name in names}
    for one in truthful.metrics:
        assert one.n == 40 or one.name.startswith("normalised") or one.name in FALSIFIED
        assert one.definition
        assert one.value is not None
        if one.name in {"completeness residual p95", "non-finite rows"}:
            assert one.interval is None
        else:
            assert one.interval is not None
            assert one.interval.low <= one.value <= one.interval.high
    assert metric(truthful, "completeness residual p95").value == pytest.approx(0.002)
    assert metric(truthful, "coverage").value == 1.0


def test_a_drawn_part_of_the_rows_is_scored_as_it_would_be_among_all(tmp_path: Path) -> None:
    """Scores of 30 of 40 rows are those of a run on all, whatever the shards; what needs no scoring is of all 40."""
    folders = [tmp_path / name for name in ("one", "a", "b")]
    for folder in folders:
        folder.mkdir()
    tables = zip(folders, (rows(), rows()[:11], rows()[11:]), strict=True)
    (one, *split), few = [write_table(*table)[0] for table in tables], CONFIG.model_copy(update={"scored_rows": 30})
    frames = [
        scored_frame(paths, labels=LABELS, scorer=MODEL, config=config, perturbation=Perturbation("replace", MASK))
        for paths, config in (([one], CONFIG), ([one], few), (split, few))
    ]
    everything, drawn, in_shards = frames
    pd.testing.assert_frame_equal(drawn, in_shards)
    scored = drawn["comprehensiveness"].notna()
    assert scored.sum() == 30
    pd.testing.assert_frame_equal(drawn[scored], everything[scored])
    report = judge([one], config=few)
    assert [metric(report, name).n for name in ("coverage", "difference", "infidelity", "margin over random")] == [40, 30, 30, 30]
    assert report.verdict is CheckVerdict.PASS
    other = few.model_copy(update={"seed": 1})
    again = scored_frame([one], labels=LABELS, scorer=MODEL, config=other, perturbation=Perturbation("replace", MASK))
    assert (again["comprehensiveness"].notna() != scored).any()


def test_controls_are_measured_on_a_drawn_part_of_the_rows(tmp_path: Path) -> None:
    """On 30 of 60 rows all is as on every row, whatever the shards; so are CA-LIG and random orders on the others."""
    folders = [tmp_path / name for name in ("one", "a", "b")]
    for folder in folders:
        folder.mkdir()
    (one, *split) = (write_table(f, t)[0] for f, t in zip(folders, (rows(60), rows(60)[:17], rows(60)[17:]), strict=True))
    every, few = (CONFIG.model_copy(update={"control_rows": n}) for n in (None, 30))
    how = {"labels": LABELS, "scorer": MODEL, "perturbation": Perturbation("replace", MASK)}
    asked = (([one], every), ([one], few), (split, few))
    everything, drawn, in_shards = (scored_frame(paths, config=config, **how) for paths, config in asked)
    pd.testing.assert_frame_equal(drawn, in_shards)
    compared = drawn["margin_over_plain_ig"].notna()
    assert compared.sum() == 30
    pd.testing.assert_frame_equal(drawn[compared], everything[compared])
    of_controls = [name for name in drawn if any(control in name for control in ALL_CONTROLS[1:]) or "infidelity" in name]
    assert drawn.loc[~compared, of_controls].isna().all(axis=None)
    pd.testing.assert_frame_equal(drawn.drop(columns=of_controls), everything.drop(columns=of_controls))


def test_what_a_drawn_part_is_compared_on_is_said(tmp_path: Path) -> None:
    few = CONFIG.model_copy(update={"control_rows": 30})
    paths = write_table(tmp_path, rows(60))
    report = judge(paths, config=few)
    assert {control.name: control.n for control in report.controls} == dict.fromkeys(ALL_CONTROLS, 30) | {"random": 60}
    assert [metric(report, name).n for name in ("difference", "margin over random", "infidelity")] == [60, 60, 30]
    frame = scored_frame(paths, labels=LABELS, scorer=MODEL, config=few, perturbation=Perturbation("replace", MASK))
    same_rows = frame.loc[frame["infidelity"].notna(), "scored_probability"]
    starts = [curve.probability[0] for curve in report.curves if curve.kind == "deletion"]
    assert starts == pytest.approx([same_rows.mean()] * 7)
    assert report.warnings == ()


def test_a_control_that_wins_on_the_drawn_part_is_named(tmp_path: Path) -> None:
    """Values are wrong and every control but the rollouts is right: 30 rows of 60 say so, in the check and in the warnings."""
    table = rows(60)
    for row in table:
        row["values"] = [-value for value in row["values"]]
    report = judge(write_table(tmp_path, table), config=CONFIG.model_copy(update={"control_rows": 30}))
    assert {control.name for control in report.controls if control.beats_ca_lig} == set(ALL_CONTROLS)
    assert check(report, "not beaten by a simpler explanation: plain_ig") is CheckVerdict.FAIL
    assert sum("more faithful than CA-LIG: margin -" in warning for warning in report.warnings) == 6


def test_a_drawn_part_with_too_few_comparable_rows_is_no_pass(tmp_path: Path) -> None:
    """Half of the rows are single tokens, so fewer than 30 of the 30 drawn can be compared: not judged, and said."""
    paths = write_table(tmp_path, [*rows(), *single_tokens(40)])
    report = judge(paths, config=CONFIG.model_copy(update={"control_rows": 30}))
    n = next(control.n for control in report.controls if control.name == "plain_ig")
    assert n is not None
    assert 2 <= n < 30
    assert next(control.n for control in report.controls if control.name == "random") == 40
    assert not any(control.beats_ca_lig for control in report.controls)
    assert check(report, "not beaten by a simpler explanation: plain_ig") is CheckVerdict.INCONCLUSIVE
    assert report.warnings == (
        f"Only {n} rows could be compared with simpler explanations, fewer than 30: whether one of them is more faithful was not "
        "judged.",
    )


def test_agreement_with_human_rationales_where_there_are_some(tmp_path: Path) -> None:
    """The rationale marks the first word of every second row; half of these are explained toward another class than gold."""
    table = rows()
    for row in table:
        n = len(row["content"])
        row["starts"], row["ends"] = [10 * i for i in range(n)], [10 * i + 9 for i in range(n)]
        first = next(i for i in range(n) if row["content"][i])
        row["values"] = [1.0 if i == first else 0.0 for i in range(n)]
        row["rationale"] = [{"start": 10 * first, "end": 10 * first + 3}] if row["row"] % 2 == 0 else None
        row["label"] = row["target"] if row["row"] % 4 == 0 else next(name for name in LABELS if name != row["target"])
    report = judge(write_table(tmp_path, table))
    for name in ("plausibility AUPRC", "plausibility token F1", "plausibility span F1"):
        assert metric(report, name).value == 1.0
        assert metric(report, name).n == 10


def test_people_are_the_ceiling_where_several_marked_a_row(tmp_path: Path) -> None:
    """Two of three people mark the word that the attribution names, the third another: the majority is with the attribution."""
    table = rows()
    for row in table:
        n = len(row["content"])
        row["starts"], row["ends"] = [10 * i for i in range(n)], [10 * i + 9 for i in range(n)]
        row["values"] = [1.0 if i == 2 else 0.0 for i in range(n)]
        marked = [{"start": 20, "end": 23}]
        row["rationales"] = [marked, marked, [{"start": 40, "end": 49}]] if row["row"] % 2 == 0 else None
        row["rationale"] = marked if row["row"] % 2 else None
    report = judge(write_table(tmp_path, table))
    for name in ("AUPRC", "token F1", "span F1"):
        assert (metric(report, f"plausibility {name}").value, metric(report, f"plausibility {name}").n) == (1.0, 40)
        assert metric(report, f"human ceiling {name}").n == 20
    assert metric(report, "human ceiling token F1").value == pytest.approx(1 / 3)  # one of three pairs agrees
    assert metric(report, "human ceiling span F1").value == pytest.approx(1 / 3)
    assert metric(report, "human ceiling AUPRC").value < 1.0  # type: ignore[operator]


def test_one_annotator_gives_no_ceiling(tmp_path: Path) -> None:
    table = rows()
    for row in table:
        n = len(row["content"])
        row["starts"], row["ends"] = [10 * i for i in range(n)], [10 * i + 9 for i in range(n)]
        row["rationale"] = [{"start": 20, "end": 23}]
    names = {metric.name for metric in judge(write_table(tmp_path, table)).metrics}
    assert "plausibility AUPRC" in names
    assert not any(name.startswith("human ceiling") for name in names)


def literal(row: dict[str, Any], values: Sequence[float]) -> tuple[float, float]:
    """Comprehensiveness and sufficiency of one row, token by token; `values` over the content tokens."""
    ids = np.array(row["input_ids"])
    content = [i for i, kept in enumerate(row["content"]) if kept]
    order = sorted(range(len(content)), key=lambda i: (-values[i], i))

    def p(removed: list[int]) -> float:
        perturbed = ids.copy()
        perturbed[[content[i] for i in removed]] = MASK
        return float(MODEL([PerturbedText(perturbed)])[0, LABELS.index(row["predicted"])])

    tops = [order[: top_count(len(content), f)] for f in CONFIG.fractions]
    rests = [order[top_count(len(content), f) :] for f in CONFIG.fractions]
    return float(np.mean([p([]) - p(top) for top in tops])), float(np.mean([p([]) - p(rest) for rest in rests]))


def test_measures_equal_the_literal_version(truthful: QualityReport) -> None:
    table = rows()
    own = np.array([literal(row, row["values"][1:-1]) for row in table])
    assert metric(truthful, "comprehensiveness").value == pytest.approx(own[:, 0].mean())
    assert metric(truthful, "sufficiency").value == pytest.approx(own[:, 1].mean())
    assert metric(truthful, "difference").value == pytest.approx((own[:, 0] - own[:, 1]).mean())
    rollout = np.array([literal(row, row["attention_rollout"][1:-1]) for row in table])
    control = next(control for control in truthful.controls if control.name == "attention_rollout")
    assert control.comprehensiveness == pytest.approx(rollout[:, 0].mean())
    assert control.sufficiency == pytest.approx(rollout[:, 1].mean())
    assert control.margin == pytest.approx((own[:, 0] - own[:, 1] - rollout[:, 0] + rollout[:, 1]).mean())


def test_controls_are_scored_on_the_same_rows(truthful: QualityReport) -> None:
    by_name = {control.name: control for control in truthful.controls}
    assert list(by_name) == ALL_CONTROLS
    for same in ("plain_ig", "layer_ig_mean", "input_x_gradient"):  # identical attributions in this table
        assert by_name[same].margin == 0.0
        assert (by_name[same].margin_interval.low, by_name[same].margin_interval.high) == (0.0, 0.0)
    for noise in ("random", "attention_rollout", "attention_gradient_rollout"):
        assert by_name[noise].margin_interval.low > 0.0
    assert not any(control.beats_ca_lig for control in truthful.controls)
    assert by_name["random"].margin == metric(truthful, "margin over random").value
    assert by_name["random"].margin_interval == metric(truthful, "margin over random").interval


def test_curves_share_the_scored_points(truthful: QualityReport) -> None:
    curves = {(curve.method, curve.kind): curve for curve in truthful.curves}
    assert len(curves) == 14
    deletion, insertion = curves["ca_lig", "deletion"], curves["ca_lig", "insertion"]
    assert deletion.fractions == (0.0, *CONFIG.fractions, 1.0)
    assert deletion.probability[0] == insertion.probability[-1]
    assert deletion.probability[-1] == insertion.probability[0] == pytest.approx(0.5)
    comprehensiveness = deletion.probability[0] - np.mean(deletion.probability[1:-1])
    assert comprehensiveness == pytest.approx(metric(truthful, "comprehensiveness").value)
    assert deletion.auc == pytest.approx(metric(truthful, "deletion AUC").value)
    assert insertion.auc == pytest.approx(metric(truthful, "insertion AUC").value)
    assert deletion.auc < curves["random", "deletion"].auc
    assert insertion.auc > curves["random", "insertion"].auc


def test_wrong_attributions_fail_and_the_better_control_is_named(tmp_path: Path) -> None:
    table = rows()
    for row in table:
        row["values"] = [-value for value in row["values"]]
    report = judge(write_table(tmp_path, table))
    assert report.verdict is CheckVerdict.FAIL
    assert check(report, "better than random") is CheckVerdict.FAIL
    beaten = {control.name for control in report.controls if control.beats_ca_lig}
    assert beaten == set(ALL_CONTROLS)
    assert "simpler explanation random is more faithful than CA-LIG: margin -" in report.warnings[0]
    assert len(report.warnings) == 6


def test_random_attributions_do_not_pass(tmp_path: Path) -> None:
    table = rows()
    for row in table:
        row["values"] = np.random.default_rng([5, row["row"]]).normal(size=len(row["values"])).tolist()
    report = judge(write_table(tmp_path, table))
    assert check(report, "better than random") is CheckVerdict.FAIL
    assert next(c for c in report.controls if c.name == "plain_ig").beats_ca_lig


def test_a_model_that_ignores_its_input_gives_no_margin(tmp_path: Path) -> None:
    class Constant:
        def __call__(self, inputs: Sequence[PerturbedInput]) -> np.ndarray:
            return np.tile([0.3, 0.7], (len(inputs), 1))

        def logits(self, inputs: Sequence[PerturbedInput]) -> np.ndarray:
            return np.log(self(inputs))

    report = judge(write_table(tmp_path, rows()), scorer=Constant())
    assert metric(report, "comprehensiveness").value == pytest.approx(0.0, abs=1e-12)
    assert metric(report, "margin over random").value == pytest.approx(0.0, abs=1e-12)
    assert check(report, "better than random") is CheckVerdict.FAIL
    assert any("may not have run the same model" in warning for warning in report.warnings)


def test_shards_and_their_number_change_nothing(truthful: QualityReport, tmp_path: Path) -> None:
    done: list[int] = []
    report = judge(write_table(tmp_path, rows(), shards=3), progress=done.append)
    assert report == truthful
    assert sum(done) == 40
    assert judge(write_table(tmp_path, rows())) == truthful


def test_the_seed_moves_the_random_control_and_nothing_else(truthful: QualityReport, tmp_path: Path) -> None:
    report = judge(write_table(tmp_path, rows()), config=CONFIG.model_copy(update={"seed": 1}))
    assert metric(report, "comprehensiveness").value == metric(truthful, "comprehensiveness").value
    assert metric(report, "margin over random").value != metric(truthful, "margin over random").value


def test_too_few_rows_are_inconclusive(tmp_path: Path) -> None:
    report = judge(write_table(tmp_path, rows(29)))
    assert report.verdict is CheckVerdict.INCONCLUSIVE
    assert check(report, "enough rows") is CheckVerdict.INCONCLUSIVE
    assert check(report, "better than random") is CheckVerdict.INCONCLUSIVE


def test_rows_without_an_attribution_are_counted_and_left_out(truthful: QualityReport, tmp_path: Path) -> None:
    report = judge(write_table(tmp_path, [*rows(), problem_row(40), problem_row(41)]))
    assert report.metrics == truthful.metrics
    assert report.verdict is CheckVerdict.PASS
    assert report.warnings == ("2 rows have no attribution and were not judged.",)


@pytest.mark.parametrize("n_problems", [0, 3])
def test_without_any_attribution_nothing_is_judged(tmp_path: Path, n_problems: int) -> None:
    report = judge(write_table(tmp_path, [problem_row(row) for row in range(n_problems)]))
    assert report.verdict is CheckVerdict.INCONCLUSIVE
    assert {check.verdict for check in report.checks} == {CheckVerdict.INCONCLUSIVE}
    assert {(metric.value, metric.n) for metric in report.metrics} == {(None, 0)}
    assert (report.controls, report.curves) == ((), ())


def test_a_non_finite_row_fails_and_is_not_averaged_in(truthful: QualityReport, tmp_path: Path) -> None:
    table = rows()
    table[3]["values"] = [float("nan")] * len(table[3]["values"])
    table[7]["residuals"] = [0.001, None]
    report = judge(write_table(tmp_path, table))
    assert check(report, "all attributions finite") is CheckVerdict.FAIL
    assert report.verdict is CheckVerdict.FAIL
    assert metric(report, "non-finite rows").value == 2.0
    assert metric(report, "comprehensiveness").n == 39
    assert metric(report, "completeness residual p95").n == 39


def test_residuals_and_unconverged_rows_fail(tmp_path: Path) -> None:
    table = rows()
    for row in table[:3]:
        row |= {"residuals": [0.5, 0.001], "converged": False}
    report = judge(write_table(tmp_path, table))
    assert check(report, "attributions add up") is CheckVerdict.FAIL
    assert check(report, "few unconverged rows") is CheckVerdict.FAIL
    assert metric(report, "unconverged share").value == pytest.approx(3 / 40)


def test_truncated_texts_warn_before_they_fail(tmp_path: Path) -> None:
    report = judge(write_table(tmp_path, rows(coverage=0.7)))
    assert check(report, "nearly all of the input explained") is CheckVerdict.FAIL
    assert check(report, "most of the input explained") is CheckVerdict.PASS
    assert report.verdict is CheckVerdict.PASS
    assert metric(report, "truncated share").value == 1.0
    assert judge(write_table(tmp_path, rows(coverage=0.4))).verdict is CheckVerdict.FAIL


def test_a_missing_control_is_said(tmp_path: Path) -> None:
    table = rows(attention_rollout=None)
    table[0]["input_x_gradient"] = None
    report = judge(write_table(tmp_path, table))
    assert "attention_rollout" not in {control.name for control in report.controls}
    assert report.warnings == ("No row could be compared with: attention_rollout.",)
    assert len(report.curves) == 12
    strict = judge(write_table(tmp_path, table), config=CONFIG.model_copy(update={"suite": "strict"}))
    assert check(strict, "not worse than a simpler explanation: attention_rollout") is CheckVerdict.INCONCLUSIVE
    assert check(strict, "not worse than a simpler explanation: input_x_gradient") is CheckVerdict.PASS


def test_p_is_of_the_class_that_was_explained(truthful: QualityReport, tmp_path: Path) -> None:
    """Rows explained toward the other class: values are its support, so p must be its probability."""
    table = rows()
    for row in table:
        other = 1 - LABELS.index(row["predicted"])
        row |= {**explained(LABELS[other], LABELS), "values": [-value for value in row["values"]]}
    report = judge(write_table(tmp_path, table))
    assert metric(report, "margin over random").value > 0.0  # type: ignore[operator]
    assert check(report, "better than random") is CheckVerdict.PASS
    assert next(c for c in report.curves if c.method == "ca_lig").probability[0] < 0.5
    assert not any("same model" in warning for warning in report.warnings)


def test_a_suite_of_ones_own_may_use_segments(tmp_path: Path) -> None:
    suite = tmp_path / "suite.yaml"
    condition = '{type: comparison, column: {name: segment_site}, operator: "==", parameter: a}'
    suite.write_text(
        "name: by site\nexpectations:\n  - type: expect_column_mean_to_be_between\n"
        f"    kwargs: {{column: residual_max, max_value: 0.01, row_condition: {condition}}}\n"
        "    meta: {name: site a}\n"
    )
    table = rows()
    for row in table[1::2]:
        row["residuals"] = [0.9, 0.9]
    report = judge(write_table(tmp_path, table), config=CONFIG.model_copy(update={"suite": str(suite)}))
    assert (report.suite, report.verdict) == ("by site", CheckVerdict.PASS)
    assert report.checks[0].observed == pytest.approx(0.002)


def test_a_broken_suite_or_broken_fractions_stop_before_scoring(tmp_path: Path) -> None:
    paths = write_table(tmp_path, rows(2))

    def never(inputs: Sequence[PerturbedInput]) -> np.ndarray:
        raise AssertionError("scored before the configuration was checked")

    with pytest.raises(InputError, match=r"the expectation suite absent\.yaml cannot be read"):
        judge(paths, scorer=never, config=CONFIG.model_copy(update={"suite": "absent.yaml"}))
    with pytest.raises(InputError, match=r"quality\.fractions"):
        judge(paths, scorer=never, config=CONFIG.model_copy(update={"fractions": (0.5, 0.1)}))


def test_a_damaged_table_could_not_be_judged(tmp_path: Path) -> None:
    (tmp_path / "broken.parquet").write_bytes(b"PAR1")
    with pytest.raises(CouldNotRunError, match=r"the attribution table \S+ cannot be read"):
        judge([tmp_path / "broken.parquet"])
    with pytest.raises(CouldNotRunError, match=r"the attribution table \S+ cannot be read"):
        judge([tmp_path / "absent.parquet"])
    (path,) = write_table(tmp_path, rows(2))
    pq.write_table(pq.read_table(path).drop_columns(["values", "residuals"]), path)
    with pytest.raises(CouldNotRunError, match=r"lacks columns\ngot: residuals, values"):
        judge([path])
    table = rows(2)
    table[1]["layer_attributions"] = [[0.1], [0.2]]
    with pytest.raises(CouldNotRunError, match="row r1"):
        judge(write_table(tmp_path, table))


def test_the_fallback_is_said(tmp_path: Path) -> None:
    record = TORCH.model_copy(update={"fallback_reason": "ConversionError: no such operator"})
    report = judge(write_table(tmp_path, rows()), scorer_record=record)
    assert report.warnings == ("Perturbed inputs were scored by torch: ConversionError: no such operator",)


def test_sample_inputs_are_the_attributed_ids(tmp_path: Path) -> None:
    table = [problem_row(0), *rows(5)]
    inputs = sample_inputs(write_table(tmp_path, table, shards=2), limit=3, perturbation=Perturbation("replace", MASK))
    assert [item.input_ids.tolist() for item in inputs if isinstance(item, PerturbedText)] == [
        row["input_ids"] for row in table[1:4]
    ]


def test_the_report_is_json(truthful: QualityReport) -> None:
    assert QualityReport.model_validate_json(truthful.model_dump_json()) == truthful
    assert len(truthful.content_digest()) == 64  # refuses NaN and infinity


@pytest.mark.parametrize(("n_skipped", "verdict"), [(9, CheckVerdict.PASS), (12, CheckVerdict.INCONCLUSIVE)])
def test_few_explained_rows_do_not_pass_for_all(tmp_path: Path, n_skipped: int, verdict: CheckVerdict) -> None:
    """A suite sees only what could be judged, and nothing unexpected among nothing is a success (great_expectations#7432)."""
    table = [*rows(), *(problem_row(40 + i, "the image file does not exist") for i in range(n_skipped))]
    report = judge(write_table(tmp_path, table))
    assert report.verdict is verdict
    found = [check for check in report.checks if check.name == "most rows explained"]
    assert [check.observed for check in found] == ([] if verdict is CheckVerdict.PASS else [pytest.approx(40 / 52)])


def test_the_explained_share_asked_for_is_a_setting(tmp_path: Path) -> None:
    table = [*rows(), *(problem_row(40 + i) for i in range(12))]
    config = CONFIG.model_copy(update={"min_explained": 0.5})
    assert judge(write_table(tmp_path, table), config=config).verdict is CheckVerdict.PASS


def single_tokens(n: int) -> list[dict[str, Any]]:
    return [attribution_row(40 + row, model=MODEL, n_content=1) for row in range(n)]


def test_rows_of_one_token_say_nothing_about_the_order(tmp_path: Path, truthful: QualityReport) -> None:
    """A text of one token is a case of its own everywhere (shap#3515): here every method ranks it alike."""
    mixed = judge(write_table(tmp_path, [*rows(), *single_tokens(40)]))
    assert metric(mixed, "margin over random") == metric(truthful, "margin over random")
    assert metric(mixed, "comprehensiveness").n == 80
    assert check(mixed, "better than random") is CheckVerdict.PASS


def test_one_token_rows_alone_cannot_be_judged(tmp_path: Path) -> None:
    report = judge(write_table(tmp_path, single_tokens(40)))
    assert report.verdict is CheckVerdict.INCONCLUSIVE
    assert check(report, "better than random") is CheckVerdict.INCONCLUSIVE
    assert any(warning.startswith("No row could be compared with: ") for warning in report.warnings)


@pytest.mark.parametrize("n", [1, 2, 29])
def test_few_rows_say_nothing_about_which_explanation_is_more_faithful(tmp_path: Path, n: int) -> None:
    table = rows(n)
    for row in table:
        row["values"] = [-value for value in row["values"]]
    report = judge(write_table(tmp_path, table))
    assert report.verdict is CheckVerdict.INCONCLUSIVE
    assert check(report, "better than random") is CheckVerdict.INCONCLUSIVE
    assert not any(control.beats_ca_lig for control in report.controls)
    assert bool(report.controls) is (n > 1)
    assert (metric(report, "margin over random").interval is not None) is (n > 1)
    assert report.warnings == (
        f"Only {n} row{'s' if n > 1 else ''} could be compared with simpler explanations, fewer than 30: whether one of them is "
        "more faithful was not judged.",
    )


@pytest.mark.parametrize("kind", ["replace", "delete"])
def test_the_kept_side_of_a_pair_is_never_perturbed(kind: str) -> None:
    """Of `[CLS] a b [SEP] c [SEP]` with c kept, only a and b can go; separators, c and the token types stay."""
    ids, types = [2, 7, 8, 3, 9, 3], [0, 0, 0, 0, 1, 1]
    row = {
        "id": "r", "image": None, "windows": None, "input_ids": ids, "token_types": types,
        "content": [False, True, True, False, False, False],
    }  # fmt: skip
    source = source_of(row, Perturbation(kind, replacement_id=4))  # type: ignore[arg-type]
    assert source.n_content == 2
    gone = source.without(np.array([True, True]))
    assert isinstance(gone, PerturbedText)
    assert gone.token_types is not None
    assert gone.token_types.tolist() == types
    if kind == "replace":
        assert gone.input_ids.tolist() == [2, 4, 4, 3, 9, 3]
    else:
        assert gone.input_ids.tolist() == ids
        assert gone.attended is not None
        assert gone.attended.tolist() == [True, False, False, True, True, True]
