"""Products with matrices that are laid out for them. N rows, C and H rows and columns of a matrix."""

from __future__ import annotations

import torch
from jaxtyping import Float, Float32
from torch import Tensor

from dunwu.kernels.library import call_kernel, panel_width


class PackedMatrix:
    """A matrix [C, H] as ``multiply`` reads it: panels of several rows, turned, so that each is read in one go.

    Torch packs a matrix at every product. So this one is faster where it is packed once for several products, most of
    all with few rows on the left, and a little where a thousand rows make up for the packing.

    In bfloat16 both factors are rounded to 16 bits, and their products summed in single precision. That halves what is
    read of the matrix; a processor with AVX-512 BF16 multiplies such numbers twice as fast.

    Args:
        rows: C.
        columns: H.
        dtype: float32 or bfloat16.

    Attributes:
        panels: The numbers; they stay where they are, whatever is written.
        is_paired: They are pairs of bfloat16.
    """

    def __init__(self, rows: int, columns: int, dtype: torch.dtype = torch.float32) -> None:
        self.shape = rows, columns
        width, self.is_paired = panel_width(), dtype == torch.bfloat16
        depth, number = (-(-columns // 2), torch.int32) if self.is_paired else (columns, torch.float32)
        self.panels = torch.empty(-(-rows // width), depth, width, dtype=number)
        if rows % width:
            self.panels[-1].zero_()

    @classmethod
    def pack(cls, matrix_CH: Float[Tensor, "C H"], dtype: torch.dtype | None = None) -> PackedMatrix:
        """Pack a matrix, in its own type or another."""
        rows, columns = matrix_CH.shape
        packed = cls(rows, columns, dtype or matrix_CH.dtype)
        packed.write(0, matrix_CH)
        return packed

    def write(self, first: int, rows_RH: Float[Tensor, "R H"]) -> None:
        """Write rows of the matrix from the row ``first`` on; they may be a transposed view."""
        if self.is_paired and rows_RH.dtype == torch.bfloat16:
            kernel = "dunwu_pack_bfloat16"
        else:
            kernel, rows_RH = "dunwu_pack_pairs" if self.is_paired else "dunwu_pack", rows_RH.float()
        call_kernel(kernel, rows_RH.data_ptr(), *rows_RH.stride(), self.panels, first, *rows_RH.shape)

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
        assert x_NH.dtype == torch.float32, x_NH.dtype
        assert bias_C is None or bias_C.dtype == torch.float32, bias_C.dtype
        sizes = len(x_NH), *self.shape, int(add)
        if self.is_paired:
            steps = x_NH.stride()
            call_kernel("dunwu_multiply_pairs", x_NH.data_ptr(), *steps, self.panels, bias_C, out_NC, *sizes)
        else:
            call_kernel("dunwu_multiply", x_NH, self.panels, bias_C, out_NC, *sizes)
