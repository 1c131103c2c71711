"""The generators by name, as a recipe names them."""

from __future__ import annotations

from dunwu import registry
from dunwu.tasks import Generator

GENERATORS: dict[str, Generator] = {name: registry.tasks.load(name) for name in registry.GENERATORS}
CELLS = [(name, level) for name, generator in GENERATORS.items() for level in generator.levels]
