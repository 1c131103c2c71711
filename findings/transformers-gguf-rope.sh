#!/usr/bin/env bash
# transformers 5.24.0: loading a Llama from GGUF drops the scaling of its positions, without a word.
#
# Guess before running: from_pretrained(gguf_file=...) gives the model that was converted, or says what it cannot read.
# Seen: what the file says of scaling is not among the keys that are mapped. Keys (rope.scaling.*: linear, YaRN) and the
# tensor of Llama 3.1 and later (rope_freqs.weight) are passed over, and the model gets plain rotary positions. Short
# texts look right; the further a token stands from another, the more it is off.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check "transformers==5.24.0" "torch==2.13.0" "gguf==0.19.0" "accelerate==1.15.0" "numpy==2.4.6"
HF_HUB_OFFLINE=1 "$folder/venv/bin/python" - "$folder" <<'PY'
import sys
from importlib.metadata import version

import numpy as np
from gguf import GGUFReader, GGUFWriter, RopeScalingType
from transformers import AutoConfig

folder = sys.argv[1]


def write(name, scaling, factors):
    writer = GGUFWriter(f"{folder}/{name}", "llama")
    writer.add_context_length(4096)
    writer.add_embedding_length(64)
    writer.add_block_count(1)
    writer.add_feed_forward_length(64)
    writer.add_head_count(4)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_freq_base(10000.0)
    writer.add_vocab_size(8)
    if scaling:
        writer.add_rope_scaling_type(RopeScalingType(scaling))
        writer.add_rope_scaling_factor(4.0)
        writer.add_rope_scaling_orig_ctx_len(1024)
    writer.add_tensor("token_embd.weight", np.ones((8, 64), dtype=np.float32))
    if factors:
        writer.add_tensor("rope_freqs.weight", np.array([1, 1, 1, 1, 1, 4, 8, 8], dtype=np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    reader = GGUFReader(f"{folder}/{name}")
    said = {key: field.contents() for key, field in reader.fields.items() if "rope" in key}
    tensors = [tensor.name for tensor in reader.tensors if "rope" in tensor.name]
    return said, tensors, AutoConfig.from_pretrained(folder, gguf_file=name).rope_parameters


print("transformers", version("transformers"), "gguf", version("gguf"))
for name, scaling, factors in (("linear", "linear", False), ("yarn", "yarn", False), ("llama31", None, True)):
    said, tensors, got = write(f"{name}.gguf", scaling, factors)
    print(f"{name}: the file says {said} {tensors}")
    print(f"{name}: transformers reads {got}")
    assert scaling is None or said["llama.rope.scaling.type"] == scaling
    assert got == {"rope_theta": 10000.0, "rope_type": "default"}, "the behaviour has changed"
PY
