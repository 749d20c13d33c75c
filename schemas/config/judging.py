"""Settings of what is judged: quality and the gate; drift between versions, later data, and the vocabulary probe."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, field_validator

from schemas.base import Record

PerturbationSetting = Literal["auto", "replace", "delete", "zero", "blur"]

Reference = Annotated[str, Field(pattern=r"^(champion|any|models:/[^/@:]+/[0-9]+)$")]

#: A name, or the first digits of a SHA-256.
Identity = Annotated[str, Field(min_length=1)]

#: Settings that name a file of words, by section and name: what is in the file decides too.
WORD_FILES = (("probe", "word_list"), ("probe", "transformation_words"), ("drift", "sets_file"))

TransformationName = Literal["case", "punctuation", "negation", "entities", "truncation", "order"]


class QualityConfig(Record):
    """How attribution quality is measured and judged."""

    suite: str = Field(
        default="auto",
        description="expectation suite: auto (default for texts, vision for images), strict, or the path of a YAML file",
    )
    min_explained: float = Field(
        default=0.8, ge=0.0, le=1.0, description="rows with an attribution, as a share of the data set's; below: inconclusive"
    )
    expectation_modules: tuple[str, ...] = Field(
        default=(),
        description="modules that a suite may take expectations of your own from (type: module:Class): their code is run; beside "
        "those in CALIG_EXPECTATION_MODULES, separated by commas",
    )
    scorer: Literal["auto", "onnxruntime", "torch"] = Field(
        default="auto", description="runtime for perturbed inputs; auto: ONNX Runtime, or torch when the export fails (recorded)"
    )
    perturbation: PerturbationSetting = Field(
        default="auto",
        description="how content is removed to see what the model then answers; texts: replace (the baseline's token) or delete "
        "(from the attention mask); images: zero (black) or blur; auto: as the attribution baseline",
    )
    fractions: tuple[float, ...] = Field(
        default=(0.01, 0.05, 0.1, 0.2, 0.5), description="shares of tokens removed or kept for comprehensiveness and sufficiency"
    )
    scored_rows: int | None = Field(
        default=None,
        ge=30,
        description="rows, drawn by the seed, that are perturbed and scored: beyond some hundred the intervals hardly shrink and "
        "the time grows on; what needs no scoring is measured on all; empty: every row",
    )
    control_rows: int | None = Field(
        default=100,
        ge=30,
        description="rows, drawn by the seed from the scored ones, on which simpler explanations and infidelity are measured; "
        "CA-LIG and random orders, which the gate rests on, are scored on the others too; empty: every scored row",
    )
    falsification_rows: int = Field(
        default=8, ge=0, description="rows, drawn by the seed, whose maps the run tries to falsify; 0 does not try"
    )
    falsification_points: int | None = Field(
        default=3,
        ge=1,
        le=63,
        description="points between x' and x on every path of these maps, the same for all of them, so that the error falls out "
        "of their differences; empty: as many as the run's own maps need, about three times as long",
    )
    sensitivity_draws: int = Field(default=10, ge=1, description="nudged inputs per row behind max-sensitivity")
    sensitivity_radius: float = Field(
        default=0.02,
        gt=0.0,
        description="largest nudge of an entry of the embeddings h⁰ (texts) or of a normalised pixel",
    )
    infidelity_draws: int = Field(default=32, ge=1, description="random sets of tokens removed per row for infidelity")
    random_draws: int = Field(
        default=1,
        ge=1,
        description="random orders averaged per row for the random control: five are five times the inputs for an interval that "
        "is a fifth narrower",
    )
    bootstrap_draws: int = Field(default=1000, ge=100, description="resamples of the rows behind each confidence interval")
    confidence: float = Field(default=0.95, gt=0.5, lt=1.0, description="coverage of the confidence intervals")
    seed: int = Field(
        default=0, ge=0, lt=2**32, description="seed of all that is drawn: orders, sets, rows, nudges, fresh weights, resamples"
    )

    @field_validator("fractions")
    @classmethod
    def _rising_shares(cls, fractions: tuple[float, ...]) -> tuple[float, ...]:
        if not fractions or any(not 0.0 < fraction < 1.0 for fraction in fractions):
            raise ValueError("fractions are shares between 0 and 1, both excluded: for 1, 5 and 10 % write [0.01, 0.05, 0.1]")
        if sorted(set(fractions)) != list(fractions):
            raise ValueError("fractions rise: each is larger than the one before")
        return fractions


class GateConfig(Record):
    """What `calig gate` asks for beyond a verdict of pass; what is not met is inconclusive. Part of no fingerprint."""

    max_age_days: float | None = Field(default=None, gt=0.0, description="an older explanation is inconclusive; empty: any age")
    settings: Literal["as strict", "any"] = Field(
        default="as strict",
        description="settings of the explanation: as strict as in this file (or the defaults), setting by setting; any: not "
        "compared",
    )
    dataset: Identity | None = Field(
        default=None,
        description="name of the data set, or 12 or more digits of its SHA-256, that has to be explained; empty: any",
    )
    min_rows: int | None = Field(default=None, ge=1, description="fewer explained rows are inconclusive; empty: any number")
    suite: Identity | None = Field(
        default=None,
        description="name of the suite that has to judge the quality, or 12 or more digits of its SHA-256; empty: the one of "
        "quality.suite, unless gate.settings is any",
    )
    reference: Reference = Field(
        default="champion",
        description="what the version has to be compared with: champion (what @champion is now, when there is one), a version "
        "(models:/NAME/VERSION), or any",
    )
    require_reference: bool = Field(
        default=False, description="a version that was compared with none is inconclusive, also a first release"
    )
    promote: bool = Field(default=False, description="move @champion to the version when, and only when, the gate says pass")
    check_weights: bool = Field(
        default=False,
        description="download the version and compare its weights with those that were explained; before a promotion always",
    )
    require_signature: bool = Field(
        default=False,
        description="a record that is not signed by a trusted key is inconclusive; so it is wherever there is a list of trusted "
        "keys (`calig keys`)",
    )
    require_approval: bool = Field(default=False, description="a version that no reviewer has approved is inconclusive")
    accept_waivers: bool = Field(
        default=False, description="a waiver that has not expired lets a version pass that failed or could not be judged"
    )


class DriftConfig(Record):
    """How attribution drift against the reference version is measured and judged."""

    top_k: int = Field(default=3, ge=1, description="words compared by top-k overlap")
    min_rows: int = Field(default=30, ge=2, description="fewer paired rows than this make drift inconclusive")
    min_occurrences: int = Field(default=5, ge=2, description="a word is tested when it occurs in at least this many paired rows")
    min_coverage: float = Field(
        default=0.8,
        ge=0.0,
        le=1.0,
        description="rows compared, as a share of those either version explains; below: inconclusive",
    )
    reexplain_reference: bool = Field(
        default=False, description="explain the reference (and its twins) again when their own explanations cannot be compared"
    )
    min_null_pairs: int = Field(
        default=3, ge=2, description="honest retrainings that measure the noise; with fewer, the next source is asked"
    )
    null_versions: int = Field(default=5, ge=0, description="most twins, or accepted earlier versions, that measure the noise")
    twins: dict[int, tuple[int, ...]] = Field(
        default={},
        description="version: those that are other training runs of it, by other seeds, e.g. {1: [3, 4]}; the noise of training "
        "is measured on the twins of the reference",
    )
    twin_tags: bool = Field(
        default=False,
        description="the tag calig.twin_of on a version nominates it as well: whoever may tag a version decides then",
    )
    noise_cap: float = Field(
        default=1.5, ge=1.0, description="factor by which measured noise may raise a limit at most; the report says when it acted"
    )
    numerics_rows: int = Field(
        default=8,
        ge=0,
        description="rows explained again ten times as exactly, in float64, for the error of the numbers",
    )
    min_tested_mass: float = Field(
        default=0.5,
        ge=0.0,
        le=1.0,
        description="attribution on words that occur often enough to be tested; with less a comparison without a finding is "
        "inconclusive",
    )
    word_shift: float = Field(
        default=0.3,
        gt=0.0,
        description="minimum effect: change of what one occurrence of a word adds to the explained function, over the version's "
        "median |f(x) − f(x')|, of a regression the typical deviation of its outputs, from which on a version can fail; measured "
        "noise raises it, never lowers it",
    )
    word_shift_z: float = Field(default=6.0, gt=0.0, description="the same for |z| of that change")
    warning_shift: float = Field(default=0.2, gt=0.0, description="the same effect, from which on a word or phrase warns")
    warning_shift_z: float = Field(default=4.0, gt=0.0, description="|z| from which on it warns")
    warning_discovery_rate: float = Field(
        default=0.1, gt=0.0, lt=1.0, description="level (Benjamini-Hochberg) of the words and phrases that warn"
    )
    false_discovery_rate: float = Field(
        default=0.01,
        gt=0.0,
        lt=1.0,
        description="level of the whole family: half for words and phrases x classes x segments "
        "(Benjamini-Hochberg), half for sets x classes (Bonferroni)",
    )
    phrase_words: int = Field(
        default=3, ge=1, le=5, description="words in the longest phrases that are tested as words are; 1: no phrases"
    )
    sets_file: Path | None = Field(
        default=None,
        description="YAML file of word sets to test together, sets: {NAME: {words: [WORD, …]}}; beside the built-in ones "
        "(negations, pronouns, numbers, words in capitals, emoji)",
    )
    set_shift: float = Field(
        default=0.05,
        gt=0.0,
        description="minimum effect of a set: mean change of its words' effects, less that of other words, from which on a "
        "version can fail",
    )
    rank_agreement: float = Field(
        default=0.8, ge=-1.0, le=1.0, description="mean Spearman below this warns; measured noise lowers it, never raises it"
    )
    sign_flip: float = Field(
        default=0.1,
        ge=0.0,
        le=1.0,
        description="mean share of mass with changed sign above this warns; measured noise raises it",
    )
    worst_examples: int = Field(default=20, ge=0, description="examples kept word by word")


class MonitorConfig(Record):
    """How a window of data is compared with an earlier one under the same model (`calig monitor`)."""

    min_rows: int = Field(default=30, ge=2, description="fewer rows than this in a window make the comparison inconclusive")
    min_coverage: float = Field(
        default=0.8, ge=0.0, le=1.0, description="rows compared, as a share of a window's rows; below: inconclusive"
    )
    min_occurrences: int = Field(default=10, ge=2, description="a word is tested when this many rows of each window contain it")
    word_shift: float = Field(
        default=0.3, gt=0.0, description="change of a word's effect, in typical decisions, from which on it can fail"
    )
    word_shift_z: float = Field(default=6.0, gt=0.0, description="|z| (Welch) of that change from which on it can fail")
    false_discovery_rate: float = Field(
        default=0.01, gt=0.0, lt=1.0, description="Benjamini-Hochberg level over words x classes, and level of the mix tests"
    )
    unseen_mass: float = Field(
        default=0.25, gt=0.0, le=1.0, description="attribution on words the earlier window lacks; above fails"
    )
    mix: float = Field(
        default=0.1,
        gt=0.0,
        le=1.0,
        description="total variation distance of the class mixes, of a regression's numbers "
        "the largest distance of their distribution functions; above warns",
    )


class ProbeConfig(Record):
    """How words that the data set may not contain are probed for changed effects, against the reference version."""

    enabled: bool = Field(default=True, description="probe the vocabulary (images: patterns) when there is a reference version")
    max_words: int = Field(
        default=30_000,
        ge=1,
        description="most words probed: listed, the data set's, then those in its letters, then in its scripts, then others",
    )
    contexts: int = Field(
        default=16,
        ge=2,
        description="texts that words are put into, rows and bits of rows that leave the model undecided; fewer than 16 raise "
        "the limits, more make the estimates better",
    )
    halving: bool = Field(
        default=True,
        description="search 2,000 words and more in rounds: all in one context, the strongest eighth in four, the strongest "
        "thirty-second in all; the limits count every word. false: every word in every context, about eight times as long",
    )
    word_list: Path | None = Field(default=None, description="UTF-8 file of further words to probe, one a line, or none")
    twins: tuple[str, ...] = Field(
        default=(),
        description="models that differ from the reference by harmless retraining only: the noise is measured on them; empty: "
        "the reference's twins (drift.twins), or accepted earlier versions",
    )
    null_versions: int = Field(
        default=2,
        ge=0,
        description="most registered twins, or accepted earlier versions, that the noise is measured on; each is scored as well",
    )
    noise_cap: float = Field(
        default=1.5,
        ge=1.0,
        description="the noise among twins counts for at most so many times what the words at large do in this comparison",
    )
    level: float = Field(
        default=0.05,
        gt=0.0,
        lt=1.0,
        description="nominal chance that noise alone, over all words, fails a version",
    )
    warning_level: float = Field(default=0.2, gt=0.0, lt=1.0, description="the same for a warning")
    across_versions: Literal["none", "lord"] = Field(
        default="none",
        description="level of a version by the outcomes of the model's earlier ones: none: always probe.level; lord: LORD++, at "
        "most probe.level and at least probe.level_floor, for models with many versions a day",
    )
    level_floor: float = Field(
        default=0.01,
        gt=0.0,
        lt=1.0,
        description="least level of a version with across_versions: lord, whatever came before it; at most probe.level counts",
    )
    z: float | None = Field(
        default=None, gt=0.0, description="|z| of a word's changed effect from which on it warns; none: by warning_level"
    )
    certain_z: float | None = Field(default=None, gt=0.0, description="|z| from which on it fails a version; none: by level")
    min_effect: float = Field(
        default=0.5,
        ge=0.0,
        description="change of a word's effect, over the reference's median margin on the rows, below which nothing fires",
    )
    transformations: tuple[TransformationName, ...] = Field(
        default=("case", "punctuation", "negation", "entities", "truncation", "order"),
        description="changes of the rows that must change the answers as they did before: capitals, no punctuation, negations "
        "left out, names swapped, the first half, words shuffled; [] for none",
    )
    transformed_effect: float = Field(
        default=0.3,
        ge=0.0,
        description="change of what a transformation does to the rows, over a typical decision, below which nothing fires",
    )
    transformed_rows: int = Field(default=500, ge=2, description="most rows that are transformed, spread over the data set")
    transformation_words: Path | None = Field(
        default=None,
        description="YAML file of negations and entities; none: a small English list (components/probe/english.yaml)",
    )
