"""A platform team's servers without containers: PostgreSQL, MLflow, Prefect, worker and listener as processes on loopback."""

from tests.e2e.cluster.cluster import Cluster, running_cluster
from tests.e2e.cluster.postgres import postgres_binaries
from tests.e2e.cluster.timeline import timeline_of

__all__ = ["Cluster", "postgres_binaries", "running_cluster", "timeline_of"]
