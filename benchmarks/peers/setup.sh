#!/usr/bin/env bash
# The environment of a peer that shopkit is measured beside: benchmarks/peers/setup.sh NAME FOLDER
# Each is one of its own, as their versions do not go together with shopkit's. Does nothing where it is there already.
set -euo pipefail
usage="usage: setup.sh NAME FOLDER, where NAME is rectools, torch-rechub, pytorch-tabular or pytorch-frame"
name=${1:?$usage} folder=${2:?$usage}
case $name in
  rectools) module=rectools.models packages=('rectools[torch]==0.19.0') ;;
  torch-rechub) module=torch_rechub.trainers packages=('torch-rechub[onnx]==0.9.0' 'onnxruntime==1.31.1') ;;
  pytorch-tabular) module=pytorch_tabular packages=('pytorch-tabular==1.2.0' requests onnxscript) ;; # does not import without requests
  pytorch-frame) module=torch_frame packages=('pytorch-frame==0.3.0') ;;
  *) echo "$usage" >&2; exit 2 ;;
esac
[ -x "$folder/bin/python" ] && "$folder/bin/python" -c "import $module" 2>/dev/null && exit 0
"${PYTHON:-python3.11}" -m venv "$folder"
# torch first, so that nothing else chooses another one.
"$folder/bin/python" -m pip install --quiet 'torch==2.13.0'
"$folder/bin/python" -m pip install --quiet "${packages[@]}"
