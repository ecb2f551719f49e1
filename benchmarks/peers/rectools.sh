#!/usr/bin/env bash
# The environment of RecTools, beside which shopkit's sasrec is measured: benchmarks/peers/rectools.sh FOLDER
# Its versions do not go together with shopkit's (numpy 1.26, pandas 2.3), so it is one of its own; data goes over as CSV.
set -euo pipefail
folder=${1:?usage: rectools.sh FOLDER}
[ -x "$folder/bin/python" ] && "$folder/bin/python" -c 'import rectools.models' 2>/dev/null && exit 0
"${PYTHON:-python3.11}" -m venv "$folder"
# torch first, so that nothing else chooses another one.
"$folder/bin/python" -m pip install --quiet 'torch==2.13.0'
"$folder/bin/python" -m pip install --quiet 'rectools[torch]==0.19.0'
