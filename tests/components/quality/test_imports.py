"""The command line loads these steps at every start, so their heavy libraries wait until they are used."""

import subprocess
import sys


def test_importing_the_steps_loads_nothing_heavy() -> None:
    heavy = ["torch", "transformers", "great_expectations", "onnxruntime", "pandas", "pyarrow", "PIL"]
    code = f"import sys, components.quality, components.scoring; print([m for m in {heavy} if m in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "[]"
