#!/usr/bin/env bash
# Makes the backbone that comes with xbm-train anew: training/internal/backbone/mobilenetv2_0.35.safetensors.
#
#   scripts/backbone.sh WEIGHTS FOLDER…   WEIGHTS are an ImageNet MobileNetV2's of width 1.0, for 224 pixels, which teaches;
#                                         each FOLDER holds class folders of photos to learn on. Two hours on two cores
#
# Needs XLA (scripts/setup.sh xla); with `backend=go` in BACKBONE_SET it takes four times as long without.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source=scripts/env.sh
. scripts/env.sh

(($# >= 2)) || { sed -n '2,/^set/s/^# \{0,1\}//p' "$0" >&2 && exit 2; }
weights=$(realpath "$1")
shift
work=build/backbone
rm -rf "$work"
mkdir -p "$work/photos"
for folder in "$@"; do
  for class in "$folder"/*/; do
    ln -sT "$(realpath "$class")" "$work/photos/$(basename "$class")" # fails on a class that two folders have
  done
done
go build -o "$work/xbm-train" ./training
learn() { # FOLDER [--set …]: into which run
  "$work/xbm-train" fit --config configs/train-backbone.yaml --data "$work/photos" --out "$work/$1" \
    --set "teacher.weights=$weights" "${@:2}" ${BACKBONE_SET:+--set "$BACKBONE_SET"}
}
learn first
"$work/xbm-train" export --run "$work/first" --norms --half --out "$work/first.safetensors"
learn run --set "network.weights=$work/first.safetensors" --set network.views=16 --set schedule.steps=5000 \
  --set optimizer.learning_rate=0.0015
"$work/xbm-train" export --run "$work/run" --norms --half --out training/internal/backbone/mobilenetv2_0.35.safetensors
