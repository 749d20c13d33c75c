"""Finds references of Kubernetes objects that lead nowhere: names, keys, ports, labels, addresses, and closed ways."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from deploy.references import names, ways
from deploy.references.objects import Cluster, Object

CHECKS: tuple[Callable[[Cluster], Iterator[str]], ...] = (
    names.names_in_pods,
    names.environment_sources,
    names.files,
    names.variables,
    names.accounts,
    names.selectors,
    names.ports,
    ways.addresses,
    ways.dns,
    ways.kubernetes_api,
    ways.store,
    ways.scraping,
)


def broken(objects: Iterable[Object], given: Iterable[Object]) -> list[str]:
    """Every reference of `objects` that leads nowhere, as a line each; `given` is what others bring."""
    cluster = Cluster(objects, given)
    return sorted({problem for check in CHECKS for problem in check(cluster)})
