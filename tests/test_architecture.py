"""The import graph as a whole; the rules between packages are contracts in pyproject.toml."""

from __future__ import annotations

from graphlib import TopologicalSorter

import grimp


def test_no_circles_between_modules():
    """Imports inside functions and under TYPE_CHECKING count."""
    graph = grimp.build_graph("calig", "components", "flows", "schemas", cache_dir=None)
    imports = {module: graph.find_modules_directly_imported_by(module) for module in graph.modules}
    TopologicalSorter(imports).prepare()  # raises CycleError, which names the circle
