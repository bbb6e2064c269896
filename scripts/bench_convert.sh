#!/usr/bin/env bash
# The figures of BENCHMARKS.md on converting: what int8 costs runs of xbm-train, and how long a frame takes.
#
#   DATA=DIR            photos in DIR/train/<class>/ and DIR/test/<class>/; those of train calibrate
#   RUNS="DIR …"        finished runs of xbm-train, for example of three seeds; RUN= is one
#   TENSORFLOW=PYTHON   a Python with TensorFlow (pip install tensorflow-cpu): its converter beside ours, of the same
#                       weights, on the same photos. Its seconds are those of convert() alone, and with the start and the
#                       building of the graph; ours have both, and the decoding of the photos
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

# The report of every run, however much it loses.
for run in "${runs[@]}"; do
  name=$(basename "$run")
  rm -f "$out/$name.json" # of another time
  $out/xbm-convert quantize --run "$run" --calib "$DATA/train" --test "$DATA/test" --samples "$samples" --max-recall-drop 1 \
    --out "$out/$name.tflite" --json "$out/$name.json" --html "$out/$name.html" ${TENSORFLOW:+--frames "$out/$name.npy"} >"$out/$name.log" 2>&1 ||
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
  say "beside TensorFlow's converter, on the same $samples photos, in one run"
  echo "| run | converter | recall@1 (float) | cosine mean | p1 | converted in s (CPU) | peak MB | file MB | a frame, one thread, ms | XNNPACK |"
  echo "|---|---|---|---|---|---|---|---|---|---|"
  for run in "${runs[@]}"; do
    name=$(basename "$run")
    ours=$out/$name.tflite theirs=$out/$name-tensorflow.tflite
    [[ -s $ours ]] || { echo "$name: no model to compare with" >&2 && exit 1; }
    "$TENSORFLOW" convert/testdata/tensorflow.py "$run" "$out/$name.npy" "$theirs" 2>"$out/$name-tensorflow.log" >"$out/$name-tensorflow.out" ||
      { tail -3 "$out/$name-tensorflow.log" >&2 && exit 1; }
    tail -1 "$out/$name-tensorflow.out" >"$out/$name-tensorflow.json" # the converter prints, too
    $out/xbm-convert quantize --float --run "$run" --out "$out/$name-float.tflite" >/dev/null 2>&1
    for model in "$ours" "$theirs"; do
      $out/xbm-convert diff "$out/$name-float.tflite" "$model" --gallery "$DATA/train" --queries "$DATA/test" --json >"$model.json" 2>/dev/null
    done
    $out/xbm-convert diff "$ours" "$theirs" --time --json >"$out/$name-times.json" 2>/dev/null
    taken() { $out/xbm-convert inspect "$1" 2>/dev/null | sed -n 's/.*XNNPACK computes \([0-9]* of [0-9]*\).*/\1/p'; }
    row() { # row NAME MODEL SECONDS MB SIDE
      jq -r --arg run "$name" --arg name "$1" --arg seconds "$3" --arg peak "$4" --arg taken "$(taken "$2")" --arg bytes "$(stat -c %s "$2")" \
        --slurpfile times "$out/$name-times.json" --arg side "$5" '.recall as $r | "| \($run) | \($name) | " +
          ([$r.recall_at_1_new_gallery_new_query, $r.recall_at_1_old_gallery_old_query, $r.cosine_mean, $r.cosine_p1 | . * 1e4 | round / 1e4] |
            "\(.[0]) (\(.[1])) | \(.[2]) | \(.[3])") +
          " | \($seconds) | \($peak) | \($bytes | tonumber / 1e4 | round / 100) | \($times[0].timings[$side][0].median_ms) | \($taken) |"' "$2.json"
    }
    row xbm-convert "$ours" "$(jq -r '"\(.seconds * 100 | round / 100) (\(.cpu_seconds * 100 | round / 100))"' "$out/$name.json")" "$(jq '.peak_rss / 1e6 | round' "$out/$name.json")" old
    row TensorFlow "$theirs" "$(jq -r '"\(.conversion_seconds) (\(.cpu_seconds); with the start, \(.total_seconds))"' "$out/$name-tensorflow.json")" "$(jq '.peak_mb | round' "$out/$name-tensorflow.json")" new
  done
fi
