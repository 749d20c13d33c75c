"""Names what leads nowhere among the objects on standard input; exit code 1 when anything does.

    kubectl kustomize deploy/k8s/overlays/mine | python -m deploy.references [--given FILE …]

Secrets, and the services of MLflow, Prefect, DNS and the store, are brought by others: k8s/secrets.example.yaml and
k8s/elsewhere.yaml name those of the common charts. --given replaces them, for instance by the output of
`kubectl get services,secrets --all-namespaces --output yaml`.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import yaml

from deploy.references import broken
from deploy.references.objects import flat

_K8S = Path(__file__).parents[1] / "k8s"
_GIVEN = (_K8S / "elsewhere.yaml", _K8S / "secrets.example.yaml")


def main() -> int:
    """Read objects from standard input and print a line for each reference that leads nowhere."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--given", type=Path, nargs="+", default=list(_GIVEN), metavar="FILE")
    files = parser.parse_args().given
    objects = list(flat(yaml.safe_load_all(sys.stdin)))
    given = [item for file in files for item in yaml.safe_load_all(file.read_text(encoding="utf-8"))]
    problems = broken(objects, given)
    for problem in problems:
        print(problem)  # noqa: T201 - a script
    print(f"{len(objects)} objects, {len(problems)} references lead nowhere")  # noqa: T201
    return 1 if problems or not objects else 0


if __name__ == "__main__":
    sys.exit(main())
