"""Settings with which a flow measures quality in seconds: few rows, few draws."""

from schemas.config import QualityConfig

QUICK_QUALITY = QualityConfig(falsification_rows=2, sensitivity_draws=2, bootstrap_draws=200, random_draws=2, infidelity_draws=8)
