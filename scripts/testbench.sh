#!/usr/bin/env bash
# Makes build/testbench, a Python environment with what tests check our files against: LiteRT, Google's own reader and
# interpreter of .tflite files, and ONNX's own checker and runtime. Tests that use it skip without it. Needs python3
# with venv.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

readonly target=build/testbench
readonly wanted='ai-edge-litert==2.3.0 numpy==2.4.6 onnx==1.23.2 onnxruntime==1.32.0'

if [[ -f $target/.complete && $(cat $target/.complete) == "$wanted" ]]; then
  echo "testbench: already in $target"
  exit
fi
echo "testbench: installing $wanted in $target"
rm -rf "$target" # an environment that was not completed
python3 -m venv "$target" || {
  echo "testbench: python3 has no venv; install it (Debian: apt-get install python3-venv)" >&2
  exit 1
}
# shellcheck disable=SC2086 # a list of packages
"$target/bin/pip" install --quiet --disable-pip-version-check $wanted
echo "$wanted" >"$target/.complete" # last: an interrupted run starts again
