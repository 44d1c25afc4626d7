#!/usr/bin/env bash
# The lowest versions that pyproject.toml allows, installed and tested: a floor that never ran is a guess.
#
#   tests/floors.sh [TIER...]        all tiers, one after the other, or some of them:
#
#     edge      what `pip install leukolite` brings, each at its floor
#     extras    the same with web, video and report
#     pi        the line that docs/how-to/raspberry-pi.md gives for Bookworm, at today's versions
#     convert   training and conversion, at their floors
#
#   PYTHON=python3.11     the lowest Python
#   TESTS="tests/edge"    other tests than the tier's own
#   FOLDER=...            where the environments are made and kept; default: a temporary folder, removed at the end
#
# Needs the package index: 150 MB for a tier of the edge, 1.5 GB for convert. Half an hour on two cores; outside `make test`, whose
# cheap half is tests/test_floors.py. Prints a table; fails where a test does. Its result is in docs/evidence/floors.md.
set -euo pipefail
refuse() { echo "$*" >&2; exit 2; }
say() { echo "$(date +%T) $*" >&2; }

checkout=$(cd "$(dirname "$0")/.." && pwd)
python=${PYTHON:-python3.11}
"$python" -c 'import venv, tomllib' 2> /dev/null || refuse "$python: expected Python 3.11 or later with venv; set PYTHON"
tiers=("$@")
[ $# -gt 0 ] || tiers=(edge extras pi convert)
for tier in "${tiers[@]}"; do
  [[ $tier =~ ^(edge|extras|pi|convert)$ ]] || refuse "$tier: expected edge, extras, pi or convert"
done
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
folder=${FOLDER:-$work}
mkdir -p "$folder" "$work/source"

# the package as a user has it: from a copy, so that nothing is built in the checkout
(cd "$checkout" && cp -r pyproject.toml README.md LICENSE NOTICE leukolite train convert edge benchmarks "$work/source")
"$python" -m pip wheel --quiet --disable-pip-version-check --no-deps --wheel-dir "$work" "$work/source"
wheel=$(echo "$work"/leukolite-*.whl)

status=0
rows=()
for tier in "${tiers[@]}"; do
  extras=() tests=(tests/edge) lines=()
  case $tier in
    extras) extras=(web video report) tests=(tests/edge tests/leukolite) ;;
    convert) extras=(convert) tests=(tests/convert/test_load_keras.py tests/convert/test_quantise.py tests/train) ;;
  esac
  read -ra tests <<< "${TESTS:-${tests[*]}}"
  if [ "$tier" = pi ]; then
    line=$(grep -o 'pip install leukolite "[^`]*"' "$checkout/docs/how-to/raspberry-pi.md") || refuse "no line for Bookworm"
    read -ra lines <<< "$(tr -d '"' <<< "${line#pip install leukolite }")"
  else
    mapfile -t lines < <("$python" "$checkout/tests/helpers/floors.py" "${extras[@]}")
  fi
  say "$tier: ${lines[*]}"
  environment=$folder/$tier
  "$python" -m venv --clear "$environment"
  named=$wheel$([ ${#extras[@]} = 0 ] || (IFS=, && echo "[${extras[*]}]"))
  "$environment/bin/pip" install --quiet --disable-pip-version-check "$named" "${lines[@]}" pytest hypothesis
  started=$SECONDS
  (cd "$checkout" && "$environment/bin/pytest" -q -p no:cacheprovider "${tests[@]}" > "$folder/$tier.log" 2>&1) || status=1
  summary=$(tail -n 1 "$folder/$tier.log")
  counted() { grep -oE "[0-9]+ $1" <<< "$summary" | grep -oE '^[0-9]+' || echo 0; }
  [ "$(counted passed)" -gt 0 ] || status=1
  failed=$(($(counted failed) + $(counted error)))
  installed=$("$environment/bin/pip" list --disable-pip-version-check --format freeze | tr '\n' ' ')
  shown=$("$environment/bin/python" -c 'import platform; print("Python", platform.python_version())')
  for package in $("$python" "$checkout/tests/helpers/floors.py" "${extras[@]}" | sed 's/==.*//'); do
    shown+=", $(grep -ioE "(^| )$package==[^ ]+" <<< "$installed" | tr -d ' ' | sed 's/==/ /')"
  done
  rows+=("| $tier | $shown | \`${tests[*]}\` | $(counted passed) | $failed | $(counted skipped) |")
  say "$tier: $summary (${SECONDS}s, $((SECONDS - started)) of it the tests)"
  [ "$failed" = 0 ] || grep -E '^(FAILED|ERROR)' "$folder/$tier.log" >&2 || true
done
echo "| tier | versions | tests | passed | failed | skipped |"
echo "|---|---|---|---|---|---|"
printf '%s\n' "${rows[@]}"
exit $status
