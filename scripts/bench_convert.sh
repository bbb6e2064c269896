#!/usr/bin/env bash
# The figures of BENCHMARKS.md on converting: what int8 costs runs of xbm-train, and how long a frame takes.
#
#   DATA=DIR            photos in DIR/train/<class>/ and DIR/test/<class>/; those of train calibrate
#   RUNS="DIR …"        finished runs of xbm-train, for example of three seeds; RUN= is one
#   TENSORFLOW=PYTHON   a Python with TensorFlow: its converter beside ours, on the same photos
#   SAMPLES=N           calibration photos (default 200)
#   ONLY=…              one of: quality time tensorflow
#
# Needs jq.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source=scripts/env.sh
. scripts/env.sh

[[ -n ${DATA:-} && -n ${RUNS:-${RUN:-}} ]] || { echo "give DATA and RUNS" >&2 && exit 2; }
command -v jq >/dev/null || { echo "install jq" >&2 && exit 1; }
read -ra runs <<<"${RUNS:-$RUN}"
samples=${SAMPLES:-200}
out=build/bench-convert
mkdir -p $out
go build -o $out/xbm-convert ./convert

say() { printf '\n== %s\n' "$*"; }
wanted() { [[ -z ${ONLY:-} || $ONLY == "$1" ]]; }

# The report of every run; a closed gate does not end the bench: its report is there all the same.
for run in "${runs[@]}"; do
  name=$(basename "$run")
  rm -f "$out/$name.json" # of another time
  $out/xbm-convert quantize --run "$run" --calib "$DATA/train" --test "$DATA/test" --samples "$samples" \
    --out "$out/$name.tflite" --json "$out/$name.json" --html "$out/$name.html" >"$out/$name.log" 2>&1 ||
    tail -1 "$out/$name.log" >&2
  [[ -s $out/$name.json ]]
done

# table FILTER FILES… prints a row for each report, by a jq filter that makes a list.
table() {
  local filter=$1
  shift
  for file in "$@"; do
    jq -r --arg run "$(basename "$file" .json)" "[\$run] + ($filter) | \"| \" + join(\" | \") + \" |\"" "$file"
  done
}
# digits makes a jq expression with that many digits after the point.
digits() { printf '(%s | if . == null then "–" else (. * pow(10; %d) | round) / pow(10; %d) | tostring end)' "$1" "$2" "$2"; }
reports=()
for run in "${runs[@]}"; do reports+=("$out/$(basename "$run").json"); done

if wanted quality; then
  say "int8 against float, $samples calibration photos"
  echo "| run | recall@1 float | int8 | mAP float | int8 | cosine mean | p1 | min | file MB | converted in s | peak MB |"
  echo "|---|---|---|---|---|---|---|---|---|---|---|"
  table "[$(digits .recall_at_1_float 4), $(digits .recall_at_1_int8 4), $(digits .map_float 4), $(digits .map_int8 4),
    $(digits .cosine_mean 4), $(digits .cosine_p1 4), $(digits .cosine_min 4), $(digits '.model_bytes / 1e6' 2),
    $(digits .seconds 1), $(digits '(.peak_rss // 0) / 1e6' 0)]" "${reports[@]}"
fi
if wanted time; then
  say "a frame, median (fastest) of repeated runs, and memory"
  echo "| run | model | threads | ms | fastest | held MB | alive MB | XNNPACK |"
  echo "|---|---|---|---|---|---|---|---|"
  for file in "${reports[@]}"; do
    for model in float int8; do
      jq -r --arg run "$(basename "$file" .json)" --arg model $model '.[$model] as $p | $p.timings[] |
        [$run, $model, .threads, .median_ms, .fastest_ms, ($p.memory.held / 1e5 | round / 10), ($p.memory.live / 1e4 | round / 100),
        "\([$p.operators[].xnnpack] | add) of \([$p.operators[].count] | add)"] | "| " + (map(tostring) | join(" | ")) + " |"' "$file"
    done
  done
fi
if wanted tensorflow && [[ -n ${TENSORFLOW:-} ]]; then
  if [[ -f convert/testdata/tensorflow.py ]]; then
    for run in "${runs[@]}"; do
      say "TensorFlow's converter on $(basename "$run")"
      "$TENSORFLOW" convert/testdata/tensorflow.py --run "$run" --data "$DATA" --samples "$samples" \
        --convert $out/xbm-convert --out "$out/$(basename "$run")-tensorflow"
    done
  else
    echo "convert/testdata/tensorflow.py is not there" >&2
  fi
fi
