#!/usr/bin/env bash
# Prints CHANGELOG.md as a Debian changelog. Its first section is what is being packaged, whatever its headline; further
# ones count when their headline is "## X.Y.Z, YYYY-MM-DD" (any punctuation between the two).
#
#   scripts/packaging/changelog.sh PACKAGE VERSION    needs SOURCE_DATE_EPOCH
set -euo pipefail
export LC_ALL=C
package=$1 version=$2
maintainer=$(sed -n 's/^maintainer: //p' "$(dirname "${BASH_SOURCE[0]}")/xbm-agent.yaml")

entry() { # VERSION DATE: the section on stdin
  printf '%s (%s) bookworm; urgency=medium\n\n' "$package" "$1"
  # Joins each item's lines, without Markdown's quotes, and breaks them again.
  awk '/^- /{if (item) print item; item = substr($0, 3); next} /^  /{item = item substr($0, 2); next}
    END {if (item) print item}' | tr -d '`' | while IFS= read -r item; do
    fold -s -w 74 <<<"$item" | sed 's/ *$//; 1s/^/  * /; 2,$s/^/    /'
  done
  printf '\n -- %s  %s\n' "$maintainer" "$(date -uR -d "$2")"
}

changes=$(dirname "${BASH_SOURCE[0]}")/../../CHANGELOG.md
mapfile -t lines < <(grep -n '^## ' "$changes"; echo "$(($(wc -l <"$changes") + 1)):")
for ((i = 0; i + 1 < ${#lines[@]}; i++)); do
  headline=${lines[i]#*:} from=${lines[i]%%:*} to=${lines[i + 1]%%:*}
  date=@$SOURCE_DATE_EPOCH
  if ((i > 0)); then
    [[ $headline =~ ^##\ v?([0-9]+\.[0-9]+\.[0-9]+)[^0-9]+([0-9]{4}-[0-9]{2}-[0-9]{2}) ]] || continue
    version=${BASH_REMATCH[1]} date="${BASH_REMATCH[2]} UTC"
    echo
  fi
  sed -n "$((from + 1)),$((to - 1))p" "$changes" | entry "$version" "$date"
done
