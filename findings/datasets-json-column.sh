#!/usr/bin/env bash
# datasets 5.2.0: a text in a column of type Json comes back as what it would be as JSON.
#
# Guess before running: in a column for values of mixed types (Json) a text comes back as the text that was put in.
# Seen: a text that is JSON itself loses its quotes before anything is written: "1" comes back as the number 1, "null" as
# None, "[1]" as a list; a text that is no JSON stays. So the gold "1" and the gold 1 are one after a round trip.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check "datasets==5.2.0" "pyarrow==26.0.1"
HF_HUB_OFFLINE=1 "$folder/venv/bin/python" - "$folder" <<'PY'
import sys
from importlib.metadata import version

from datasets import Dataset, Features, Json, load_dataset

put = ["1", 2, "null", "[1]", "one"]
made = Dataset.from_list([{"gold": value} for value in put], features=Features({"gold": Json()}))
got = list(made["gold"])
made.to_parquet(f"{sys.argv[1]}/rows.parquet")
read = load_dataset("parquet", data_files=f"{sys.argv[1]}/rows.parquet", split="train", cache_dir=f"{sys.argv[1]}/cache")
print("datasets", version("datasets"), "pyarrow", version("pyarrow"))
print("type:", made.features["gold"])
print("put:", put)
print("got:", got)
print("through a file:", list(read["gold"]))
assert got == [1, 2, None, [1], "one"], "the behaviour has changed"
assert list(read["gold"]) == got, "the behaviour has changed"
PY
