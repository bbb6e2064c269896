#!/usr/bin/env bash
# The figures of BENCHMARKS.md on training: Go benchmarks, and trainings of photos when DATA and WEIGHTS are given.
#
#   DATA=DIR      photos in DIR/train/<class>/ and DIR/test/<class>/
#   WEIGHTS=FILE  an ImageNet MobileNetV2's of width 1.0, for 224 pixels
#   PML=PYTHON    a Python with torch and pytorch-metric-learning: its memory step beside ours
#   ONLY=…        one of: steps memory load search recall xbm student
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source=scripts/env.sh
. scripts/env.sh

out=build/bench-train
mkdir -p $out
go build -o $out/xbm-train ./training

say() { printf '\n== %s\n' "$*"; }
wanted() { [[ -z ${ONLY:-} || $ONLY == "$1" ]]; }
benchmark() { go test -run '^$' -bench "$1" -timeout 30m "$2" | grep -E '^Benchmark|^cpu'; }
# value KEY FILE prints a number of a JSON file.
value() { sed -n "s/.*\"$1\": *\([0-9.]*\).*/\1/p" "$2" | head -1; }
# fit NAME ARGS… trains into a new folder and prints how long it took.
fit() {
  local name=$1
  shift
  rm -rf "${out:?}/$name"
  "$out/xbm-train" fit --data "$DATA" --out "$out/$name" --json "$out/$name.json" "$@" >"$out/$name.log" 2>&1 || {
    tail -3 "$out/$name.log" >&2
    exit 1
  }
  printf '%s: %.0f s\n' "$name" "$(value seconds "$out/$name.json")"
}
# test_recall NAME prints the recall of the test photos.
test_recall() {
  "$out/xbm-train" eval --run "$out/$1" --data "$DATA" --json "$out/$1.eval.json" >/dev/null 2>&1
  value recall_at_1 "$out/$1.eval.json"
}

if wanted steps; then say "steps" && benchmark 'Step' ./training/internal/trainer; fi
if wanted memory; then
  say "loss against a memory, with the head alone" && benchmark 'MemoryStep' ./training/internal/xbm
  [[ -z ${PML:-} ]] || OMP_WAIT_POLICY=passive "$PML" training/internal/xbm/testdata/bench_pml.py
fi
if wanted load; then say "photos" && benchmark 'PlainLoop|Load|Start' ./training/internal/dataset; fi
if wanted search; then say "evaluation at the size of Stanford Online Products" && benchmark 'Evaluate|Rerank' ./internal/retrieval; fi

[[ -n ${DATA:-} && -n ${WEIGHTS:-} ]] || { echo "trainings skipped: give DATA and WEIGHTS" && exit 0; }

if wanted recall || wanted student; then
  say "MobileNetV2 1.0, last blocks and head"
  fit mobile --config configs/train-mobile.yaml --weights "$WEIGHTS"
  echo "recall@1 $(test_recall mobile)"
fi
if wanted student; then
  say "MobileNetV2 0.35 at 128: from nothing, from the backbone that comes with xbm-train, and with the run above as its teacher"
  fit folder --config configs/train-folder.yaml
  echo "recall@1 $(test_recall folder)"
  fit nothing --config configs/train-folder.yaml --set network.weights=none --set network.freeze=
  echo "recall@1 $(test_recall nothing)"
  fit student --config configs/train-student.yaml --set "teacher.run=$out/mobile"
  echo "recall@1 $(test_recall student)"
fi
if wanted xbm; then
  say "with and without memory, batches of 32, head alone on MobileNetV2 1.0"
  for split in photos classes; do
    for seed in 1 2 3; do
      for size in 0 1024; do
        set=(--set "seed=$seed" --set "xbm.size=$size" --set network.freeze=pool --set network.views=0 --set sampler.classes=8
          --set loss.contrastive.negative_margin=0.5
          --set schedule.steps=600 --set schedule.evaluate=100 --set schedule.checkpoint=600 --set optimizer.learning_rate=0.002)
        [[ $split == photos ]] || set+=(--set data.holdout_classes=0.5)
        fit "xbm-$split-$seed-$size" --config configs/train-mobile.yaml --weights "$WEIGHTS" "${set[@]}" >/dev/null
        if [[ $split == photos ]]; then
          recall=$(test_recall "xbm-$split-$seed-$size")
        else
          recall=$(value recall_at_1 "$out/xbm-$split-$seed-$size.json")
        fi
        printf '%s, seed %s, memory %4s: recall@1 %s\n' "$split" "$seed" "$size" "$recall"
      done
    done
  done
fi
