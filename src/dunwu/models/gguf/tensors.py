"""The numbers of a tensor in a GGUF file: dequantised, or as they are where torch has the type too."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from dunwu.models.gguf.header import Header, TensorInfo

AS_THEY_ARE: Final = {"F32": "<f4", "F16": "<f2", "BF16": "<u2"}
"""Types that safetensors has under the same name, and how numpy holds each."""


def read_tensor(header: Header, tensor: TensorInfo) -> NDArray[Any]:
    """Read a tensor.

    Returns:
        Its numbers in its shape; bfloat16 as 16-bit words.

    Raises:
        UserError: The package gguf cannot dequantise its type, or the file has become shorter.
    """
    raw = np.fromfile(header.path, dtype=np.uint8, count=tensor.size, offset=tensor.start)
    if raw.size < tensor.size:
        raise header.refuse("has become shorter while it was read")
    if tensor.encoding in AS_THEY_ARE:
        return raw.view(AS_THEY_ARE[tensor.encoding]).reshape(tensor.shape)
    from gguf import GGMLQuantizationType, dequantize

    try:
        found: NDArray[Any] = dequantize(raw.reshape(*tensor.shape[:-1], -1), GGMLQuantizationType[tensor.encoding])
    except NotImplementedError:
        text = f"{tensor.name} is {tensor.encoding}, which the package gguf cannot dequantise"
        raise header.refuse(text) from None
    return found
