"""The metrics are numpy alone: whoever scores or judges attributions need not load torch."""

import subprocess
import sys


def test_metrics_do_not_load_torch() -> None:
    modules = ", ".join(f"calig.metrics.{name}" for name in ("faithfulness", "infidelity", "statistics"))
    code = f"import sys, {modules}; print('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "False"
