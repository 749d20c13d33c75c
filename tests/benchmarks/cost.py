"""Hours per million rows by model and GPU: operations measured by bench-engine over what a GPU gives; arithmetic, no measurement.

`python -m tests.benchmarks.cost` prints the tables of deploy/scaling.md.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

_RESULTS = Path(__file__).parent / "results" / "engine.json"

#: Teraflops of float32 outside tensor cores, dense, from the makers' data sheets: the engine computes in float32 without TF32.
GPUS = {"T4": 8.1, "L4": 30.3, "A10G": 31.2, "A100": 19.5, "H100 SXM": 67.0}

#: Share of that which attribution is assumed to reach. On the CPU 0.49 to 0.68 of the best matrix product was measured.
UTILISATION = 0.35

_NAMES = {
    "minilm-l6-sst2": "MiniLM (6 x 384), SST-2 sentences",
    "minilm-l6-movies-512": "MiniLM (6 x 384), reviews of 512 tokens",
    "bert-base-shape": "BERT-base (12 x 768), 32 tokens",
    "vit-base-shape": "ViT of 12 x 192, 197 positions",
}


def hours_per_million(gigaflops_per_row: float, teraflops: float, utilisation: float) -> float:
    """Hours for a million rows."""
    return gigaflops_per_row * 1e9 * 1e6 / (teraflops * 1e12 * utilisation) / 3600


def gpu_table(cases: list[dict[str, Any]]) -> str:
    """Markdown: a line per model, a column per GPU."""
    lines = [f"| model, rows | {' | '.join(GPUS)} |", "|---" * (1 + len(GPUS)) + "|"]
    for case in cases:
        per_row = case["matmul_gigaflops"] / case["rows"]
        hours = (f"{hours_per_million(per_row, teraflops, UTILISATION):.1f}" for teraflops in GPUS.values())
        lines.append(f"| {_NAMES[case['model']]} | {' | '.join(hours)} |")
    return "\n".join(lines)


def measured_table(cases: list[dict[str, Any]]) -> str:
    """Markdown: what was measured on the CPU, per row."""
    lines = [
        "| model, rows | gigaflops per row | s per row | share of the CPU's best product | hours per million rows |",
        "|---" * 5 + "|",
    ]
    for case in cases:
        seconds = case["seconds"]["ours"] / case["rows"]
        hours, gigaflops = seconds * 1e6 / 3600, case["matmul_gigaflops"] / case["rows"]
        figures = f"{gigaflops:.0f} | {seconds:.2f} | {case['matmul_share']:.2f} | {hours:.0f}"
        lines.append(f"| {_NAMES[case['model']]} | {figures} |")
    return "\n".join(lines)


def known_cases() -> list[dict[str, Any]]:
    """The measured models that the page is about."""
    cases = json.loads(_RESULTS.read_text(encoding="utf-8"))["cases"]
    return [case for case in cases if case["model"] in _NAMES and case["device"] == "cpu"]


if __name__ == "__main__":
    print(measured_table(known_cases()), gpu_table(known_cases()), sep="\n\n")
