#!/usr/bin/env bash
# resvg_py 0.5.0: a sans-serif font is Arial, and where there is no Arial text is left out, though another font is there.
#
# Guess before running: as in a browser, text in the family sans-serif is drawn with any font that there is.
# Seen: with DejaVu Sans as the only font, text in the family "DejaVu Sans" is drawn, and in sans-serif nothing is: the
# picture has the same bytes as one without text, and no error says so. It is drawn once sans_serif_family names a font.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check "resvg_py==0.5.0" "matplotlib==3.11.2"
"$folder/venv/bin/python" - <<'PY'
from importlib.metadata import version
from pathlib import Path

import matplotlib
import resvg_py

font = Path(matplotlib.get_data_path(), "fonts/ttf/DejaVuSans.ttf")  # matplotlib carries it
page = '<svg xmlns="http://www.w3.org/2000/svg" width="40" height="20">{}</svg>'


def draw(content, **options):
    return bytes(
        resvg_py.svg_to_bytes(svg_string=page.format(content), skip_system_fonts=True, font_files=[str(font)], **options)
    )


blank = draw("")
named = draw('<text y="15" font-family="DejaVu Sans">M</text>')
generic = draw('<text y="15" font-family="sans-serif">M</text>')
told = draw('<text y="15" font-family="sans-serif">M</text>', sans_serif_family="DejaVu Sans")
print("resvg_py", version("resvg_py"), "with", font.name, "alone")
print("DejaVu Sans is drawn:", named != blank)
print("sans-serif is drawn:", generic != blank)
print("sans-serif is drawn with sans_serif_family:", told != blank)
assert named != blank and generic == blank and told == named, "the behaviour has changed"
PY
