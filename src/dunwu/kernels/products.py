"""Products with matrices that are laid out for them. N rows, C and H rows and columns of a matrix."""

from __future__ import annotations

import torch
from jaxtyping import Float32
from torch import Tensor

from dunwu.kernels.library import call_kernel, panel_width


class PackedMatrix:
    """A matrix [C, H] as ``multiply`` reads it: panels of several rows, turned, so that each is read in one go.

    Torch packs a matrix at every product. So this one is faster where it is packed once for several products, most of
    all with few rows on the left, and a little where a thousand rows make up for the packing.

    Args:
        rows: C.
        columns: H.
    """

    def __init__(self, rows: int, columns: int) -> None:
        self.shape = rows, columns
        width = panel_width()
        self.panels = torch.empty(-(-rows // width), columns, width)
        if rows % width:
            self.panels[-1].zero_()

    @classmethod
    def pack(cls, matrix_CH: Float32[Tensor, "C H"]) -> PackedMatrix:
        """Pack a matrix."""
        packed = cls(*matrix_CH.shape)
        packed.write(0, matrix_CH)
        return packed

    def write(self, first: int, rows_RH: Float32[Tensor, "R H"]) -> None:
        """Write rows of the matrix from the row ``first`` on; they may be a transposed view."""
        call_kernel("dunwu_pack", rows_RH.data_ptr(), *rows_RH.stride(), self.panels, first, *rows_RH.shape)

    def multiply(
        self, x_NH: Float32[Tensor, "N H"], bias_C: Tensor | None = None, out_NC: Tensor | None = None
    ) -> Float32[Tensor, "N C"]:
        """Compute x matrix^T + bias. A row of the result does not depend on which rows stand beside it.

        Args:
            x_NH: Rows.
            bias_C: Added to each.
            out_NC: Where the result is written; None: in a new tensor.
        """
        out_NC = x_NH.new_empty(len(x_NH), self.shape[0]) if out_NC is None else out_NC
        self._multiply_into(out_NC, x_NH, bias_C, add=False)
        return out_NC

    def add_to(self, out_NC: Float32[Tensor, "N C"], x_NH: Float32[Tensor, "N H"], bias_C: Tensor | None) -> None:
        """Add x matrix^T + bias in place."""
        self._multiply_into(out_NC, x_NH, bias_C, add=True)

    def _multiply_into(self, out_NC: Tensor, x_NH: Tensor, bias_C: Tensor | None, *, add: bool) -> None:
        call_kernel("dunwu_multiply", x_NH, self.panels, bias_C, out_NC, len(x_NH), *self.shape, int(add))
