// Products with a matrix that was packed: an engine's weights once for many steps, a trained layer's for each product.
#include <algorithm>
#include <memory>

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
template <class LEFT, class NUMBER>
void multiply_part(LEFT left, const NUMBER* panel, float* out, int64_t step, int rows, int width, int depth, bool add) {
    float part[TILE_ROWS * PANEL];
    for (int row = 0; row < rows; row += TILE_ROWS) {
        const int height = std::min(TILE_ROWS, rows - row);
        multiply_columns<TILE_VECTORS, false>(below(left, row), panel, PANEL, part, PANEL, height, depth);
        for (int i = 0; i < height; i++)
            for (int j = 0; j < width; j++) {
                float& to = out[(row + i) * step + j];
                to = (add ? to : 0.0f) + part[i * PANEL + j];
            }
    }
}

// What is wanted of a product: out = x matrix^T + bias, or out += it.
struct Product {
    const float* bias;
    float* out;
    int64_t rows, columns;
    bool add;
};

// Some rows on the left with a panel of `depth` rows, whose columns begin at `column`.
template <class LEFT, class NUMBER>
void multiply_panel(
    const Product& product, LEFT left, const NUMBER* panel, int64_t row, int height, int64_t column, int depth) {
    const int width = std::min<int64_t>(PANEL, product.columns - column);
    const bool add = product.add || product.bias;
    float* out = product.out + row * product.columns + column;
    if (product.bias) begin(out, product.columns, product.bias + column, height, width, product.add);
    if (width < PANEL)
        multiply_part(left, panel, out, product.columns, height, width, depth, add);
    else if (add)
        multiply_columns<TILE_VECTORS, true>(left, panel, PANEL, out, product.columns, height, depth);
    else
        multiply_columns<TILE_VECTORS, false>(left, panel, PANEL, out, product.columns, height, depth);
}

// The same with a panel of pairs. Without instructions for them, many rows pay for a panel that is widened in `scratch`: the
// same products, added in the same order.
void multiply_pairs(
    const Product& product, PairLeft left, const uint32_t* panel, int64_t row, int height, int64_t column, int pairs,
    [[maybe_unused]] float* scratch) {
#if !defined(__AVX512BF16__)
    if (height > TILE_ROWS) {
        for (int64_t i = 0; i < int64_t(pairs) * PANEL; i += WIDTH) {
            const BitVector bits = load_bits(panel + i);
            float* first = scratch + i / PANEL * 2 * PANEL + i % PANEL;
            store(first, widen_first(bits));
            store(first + PANEL, widen_second(bits));
        }
        const Left widened = {&left.data->first, 2 * left.row_step, 1};
        return multiply_panel(product, widened, scratch, row, height, column, 2 * pairs);
    }
#endif
    multiply_panel(product, left, panel, row, height, column, pairs);
}

// Call `multiply(row, height, panel, scratch)` for blocks of rows with every panel. Scratch are `room` floats of a thread.
template <class MULTIPLY>
void share_panels(const Product& product, int64_t depth, int64_t room, MULTIPLY multiply) {
    const int64_t most = std::max<int64_t>(BLOCK_NUMBERS / std::max<int64_t>(depth, 1), TILE_ROWS);
    const int64_t blocks = std::max<int64_t>((product.rows + most - 1) / most, 1);
    const int64_t count = (product.columns + PANEL - 1) / PANEL;
    // Blocks of like size. Threads share out the panels of a block: few rows make one block, and every weight is read once.
    const int64_t size = (product.rows + blocks - 1) / blocks;
#pragma omp parallel
    {
        const std::unique_ptr<float[]> scratch(new float[room]);
#pragma omp for collapse(2) schedule(static)
        for (int64_t block = 0; block < blocks; block++)
            for (int64_t panel = 0; panel < count; panel++)
                multiply(block * size, int(std::min(size, product.rows - block * size)), panel, scratch.get());
    }
}

// Call `write(panel, row in the matrix, row in the panel)` for the rows that are written, all of a panel in one thread.
template <class WRITE>
void write_panels(int64_t first, int64_t rows, WRITE write) {
    const int64_t last = first + rows;
#pragma omp parallel for schedule(static)
    for (int64_t panel = first / PANEL; panel < (last + PANEL - 1) / PANEL; panel++)
        write(panel, std::max(first, panel * PANEL), std::min(last, (panel + 1) * PANEL));
}

}  // namespace

extern "C" {

int dunwu_panel_width() { return PANEL; }

// Write `rows` rows of a matrix, from its row `first` on, into its panels. Steps of the source are those from row to row and
// from column to column: a transposed matrix is packed as well as any.
void dunwu_pack(
    const float* source, int64_t row_step, int64_t column_step, float* panels, int64_t first, int64_t rows,
    int64_t depth) {
    write_panels(first, rows, [=](int64_t panel, int64_t begin, int64_t end) {
        for (int64_t k = 0; k < depth; k++)
            for (int64_t row = begin; row < end; row++)
                panels[(panel * depth + k) * PANEL + row - panel * PANEL] =
                    source[(row - first) * row_step + k * column_step];
    });
}

// The same in pairs of bfloat16, neighbours of a row; a last one without a neighbour stands beside a zero.
void dunwu_pack_pairs(
    const float* source, int64_t row_step, int64_t column_step, uint32_t* panels, int64_t first, int64_t rows,
    int64_t depth) {
    const int64_t pairs = (depth + 1) / 2;
    write_panels(first, rows, [=](int64_t panel, int64_t begin, int64_t end) {
        for (int64_t k = 0; k < pairs; k++)
            for (int64_t row = begin; row < end; row++) {
                const float* from = source + (row - first) * row_step + 2 * k * column_step;
                panels[(panel * pairs + k) * PANEL + row - panel * PANEL] =
                    join_pair(from[0], 2 * k + 1 < depth ? from[column_step] : 0.0f);
            }
    });
}

// out = x matrix^T + bias, or out += it. A row's numbers do not depend on which rows stand beside it.
void dunwu_multiply(
    const float* x, const float* panels, const float* bias, float* out, int64_t rows, int64_t columns, int64_t depth,
    int add) {
    const Product product = {bias, out, rows, columns, bool(add)};
    share_panels(product, depth, 0, [=](int64_t row, int height, int64_t panel, float*) {
        const Left left = {x + row * depth, depth, 1};
        multiply_panel(product, left, panels + panel * depth * PANEL, row, height, panel * PANEL, depth);
    });
}

// The same with pairs, to which x is rounded too; x has steps as a matrix to be packed has.
void dunwu_multiply_pairs(
    const float* x, int64_t row_step, int64_t column_step, const uint32_t* panels, const float* bias, float* out,
    int64_t rows, int64_t columns, int64_t depth, int add) {
    const Product product = {bias, out, rows, columns, bool(add)};
    const int64_t pairs = (depth + 1) / 2;
    const std::unique_ptr<Pair[]> rounded(new Pair[rows * pairs]);
#pragma omp parallel for schedule(static)
    for (int64_t row = 0; row < rows; row++)
        for (int64_t k = 0; k < pairs; k++) {
            const float* from = x + row * row_step + 2 * k * column_step;
            rounded[row * pairs + k] = make_pair(from[0], 2 * k + 1 < depth ? from[column_step] : 0.0f);
        }
    share_panels(product, depth, 2 * pairs * PANEL, [&](int64_t row, int height, int64_t panel, float* scratch) {
        const PairLeft left = {rounded.get() + row * pairs, pairs};
        multiply_pairs(product, left, panels + panel * pairs * PANEL, row, height, panel * PANEL, pairs, scratch);
    });
}
}
