#!/usr/bin/env bash
# Prints the version to be built: that of HEAD's tag vX.Y.Z, or 0.1.0~gitYYYYMMDD.COMMIT, which Debian takes for older
# than 0.1.0.
#
#   scripts/version.sh         the version
#   scripts/version.sh epoch   the time of the commit, for SOURCE_DATE_EPOCH
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
readonly next=0.1.0

case ${1:-} in
epoch) git log -1 --format=%ct ;;
"")
  tag=$(git tag --points-at HEAD --list 'v[0-9]*.[0-9]*.[0-9]*' --sort=-v:refname | head -n1)
  if [[ $tag =~ ^v([0-9]+\.[0-9]+\.[0-9]+)$ ]]; then
    echo "${BASH_REMATCH[1]}"
  else
    TZ=UTC0 git log -1 --date=format-local:%Y%m%d --abbrev=9 --format="$next~git%cd.%h"
  fi
  ;;
*)
  echo "version: it takes epoch or nothing" >&2
  exit 2
  ;;
esac
