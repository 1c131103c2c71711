#!/usr/bin/env bash
# torch 2.13.0 with safetensors 0.8.0: HuggingFaceStorageWriter writes the same state as different bytes each time.
#
# Guess before running: one process that saves the same tensors twice, without randomness anywhere, writes the same file;
# safetensors sorts its tensors, so that files can be compared by their hash.
# Seen: the tensors' bytes repeat, the header does not. It has three entries of metadata, and their order is another one
# in nearly every process, so that the file's hash names the process and not the state.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check "torch==2.13.0" "safetensors==0.8.0" "numpy==2.4.6" "huggingface_hub==2.4.0" "fsspec==2026.9.0"
cat > "$folder/save.py" <<'PY'
import hashlib
import json
import struct
import sys
from pathlib import Path

import torch
from torch.distributed.checkpoint import HuggingFaceStorageWriter, save

folder = Path(sys.argv[1])
state = {"a": torch.arange(8.0), "b": torch.ones(3, 5)}
save(state, storage_writer=HuggingFaceStorageWriter(path=str(folder), save_distributed=True), no_dist=True)
(path,) = folder.glob("*.safetensors")
data = path.read_bytes()
(size,) = struct.unpack("<Q", data[:8])
tensors, metadata = data[8 + size :], json.loads(data[8 : 8 + size])["__metadata__"]
print(hashlib.sha256(data).hexdigest()[:12], hashlib.sha256(tensors).hexdigest()[:12], ",".join(metadata))
PY
"$folder/venv/bin/python" -c 'from importlib.metadata import version; print("torch", version("torch"), "safetensors", version("safetensors"))'
echo "whole file   tensors      order of the metadata"
for number in $(seq 12); do
  "$folder/venv/bin/python" -W ignore "$folder/save.py" "$folder/saved-$number" 2> /dev/null | tee -a "$folder/seen"
done
test "$(cut -d' ' -f2 "$folder/seen" | sort -u | wc -l)" = 1
test "$(cut -d' ' -f1 "$folder/seen" | sort -u | wc -l)" -gt 1
echo "the same state, $(cut -d' ' -f1 "$folder/seen" | sort -u | wc -l) different files of 12"
