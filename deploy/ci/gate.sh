#!/usr/bin/env bash
# Explains a version where DATASET is given, then asks the gate; ends with the gate's exit code: 0 pass, 1 fail, 3 inconclusive,
# 2 bad input, 4 could not run. A version that could not be explained is asked about all the same, and never passes by that.
set -uo pipefail

: "${MODEL:?models:/NAME/VERSION}"
RESULTS=${RESULTS:-calig-gate}
with_config=(${CONFIG:+--config "$CONFIG"})
mkdir -p "$RESULTS"

if [ -n "${DATASET:-}" ]; then
  calig explain "$MODEL" --dataset "$DATASET" "${with_config[@]}"
  explained=$?
  # 1 and 3 are verdicts, which the gate reads; after anything else an older explanation must not speak for this one
  case $explained in 0 | 1 | 3) ;; *) exit $explained ;; esac
fi

calig gate "$MODEL" --junit "$RESULTS/gate.xml" --summary "$RESULTS/gate.md" "${with_config[@]}" \
  ${TRUSTED_KEYS:+--trusted-keys "$TRUSTED_KEYS"} $([ "${PROMOTE:-false}" = true ] && echo --promote)
code=$?

case $code in 0) verdict=pass ;; 1) verdict=fail ;; 3) verdict=inconclusive ;; *) verdict= ;; esac
[ -z "${GITHUB_OUTPUT:-}" ] || echo "verdict=$verdict" >>"$GITHUB_OUTPUT"
if [ -n "${GITHUB_STEP_SUMMARY:-}" ]; then
  if [ -f "$RESULTS/gate.md" ]; then cat "$RESULTS/gate.md"; else echo "The gate could not judge (exit code $code): see the log."; fi >>"$GITHUB_STEP_SUMMARY"
fi
exit $code
