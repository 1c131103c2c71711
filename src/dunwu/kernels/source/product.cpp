// Products with a matrix that was packed: an engine's weights once for many steps, a trained layer's for each product.
#include <algorithm>

#include "tile.h"

using namespace dunwu;

namespace {

// A panel holds so many rows of the matrix, turned, that their sums with a few rows on the left stay in registers.
constexpr int PANEL = TILE_VECTORS * WIDTH;
// Numbers on the left that go through all panels before the next ones do: what stays in the second cache meanwhile.
constexpr int64_t BLOCK_NUMBERS = 1 << 16;

// What the sums begin with: what stands in `out` where they are added to it, and the bias where there is one.
inline void begin(float* out, int64_t step, const float* bias, int rows, int columns, bool add) {
    for (int row = 0; row < rows; row++)
        for (int column = 0; column < columns; column++)
            out[row * step + column] = (add ? out[row * step + column] : 0.0f) + bias[column];
}

// A last panel, of which `width` columns are the matrix's.
void multiply_part(
    Left left, const float* panel, float* out, int64_t step, int rows, int width, int depth, bool add) {
    float part[TILE_ROWS * PANEL];
    for (int row = 0; row < rows; row += TILE_ROWS) {
        const int height = std::min(TILE_ROWS, rows - row);
        multiply_columns<TILE_VECTORS, false>(
            {left.data + row * left.row_step, left.row_step, 1}, panel, PANEL, part, PANEL, height, depth);
        for (int i = 0; i < height; i++)
            for (int j = 0; j < width; j++) {
                float& to = out[(row + i) * step + j];
                to = (add ? to : 0.0f) + part[i * PANEL + j];
            }
    }
}

}  // namespace

extern "C" {

int dunwu_panel_width() { return PANEL; }

// Write `rows` rows of a matrix, from its row `first` on, into its panels. Steps of the source are those from row to row and
// from column to column: a transposed matrix is packed as well as any.
void dunwu_pack(
    const float* source, int64_t row_step, int64_t column_step, float* panels, int64_t first, int64_t rows,
    int64_t depth) {
    const int64_t last = first + rows;
#pragma omp parallel for schedule(static)
    for (int64_t panel = first / PANEL; panel < (last + PANEL - 1) / PANEL; panel++) {
        const int64_t begin = std::max(first, panel * PANEL), end = std::min(last, (panel + 1) * PANEL);
        for (int64_t k = 0; k < depth; k++)
            for (int64_t row = begin; row < end; row++)
                panels[(panel * depth + k) * PANEL + row - panel * PANEL] =
                    source[(row - first) * row_step + k * column_step];
    }
}

// out = x matrix^T + bias, or out += it. A row's numbers do not depend on which rows stand beside it.
void dunwu_multiply(
    const float* x, const float* panels, const float* bias, float* out, int64_t rows, int64_t columns, int64_t depth,
    int add) {
    const int64_t most = std::max<int64_t>(BLOCK_NUMBERS / depth, TILE_ROWS);
    const int64_t blocks = std::max<int64_t>((rows + most - 1) / most, 1), count = (columns + PANEL - 1) / PANEL;
    // Blocks of like size. Threads share out the panels of a block: few rows make one block, and every weight is read once.
    const int64_t size = (rows + blocks - 1) / blocks;
#pragma omp parallel for collapse(2) schedule(static)
    for (int64_t block = 0; block < blocks; block++)
        for (int64_t panel = 0; panel < count; panel++) {
            const int64_t row = block * size, column = panel * PANEL;
            const int height = std::min(size, rows - row), width = std::min<int64_t>(PANEL, columns - column);
            const Left left = {x + row * depth, depth, 1};
            const float* right = panels + panel * depth * PANEL;
            float* target = out + row * columns + column;
            if (bias) begin(target, columns, bias + column, height, width, add);
            if (width < PANEL)
                multiply_part(left, right, target, columns, height, width, depth, add || bias);
            else if (add || bias)
                multiply_columns<TILE_VECTORS, true>(left, right, PANEL, target, columns, height, depth);
            else
                multiply_columns<TILE_VECTORS, false>(left, right, PANEL, target, columns, height, depth);
        }
}
}
