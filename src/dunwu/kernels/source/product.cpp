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

// A matrix whose elements stand so far from the next row's and the next column's.
template <class NUMBER>
struct Source {
    const NUMBER* data;
    int64_t row_step, column_step;

    const NUMBER* at(int64_t row, int64_t column) const { return data + row * row_step + column * column_step; }
};

// A square from `row` and `column` on, as vectors of its rows, of a matrix whose columns are contiguous.
inline void load_transposed(Source<float> source, int64_t row, int64_t column, Vector* rows) {
    for (int i = 0; i < WIDTH; i++) rows[i] = load(source.at(row, column + i));
    transpose(rows);
}

// Round up to WIDTH rows to pairs, fast where rows or columns are contiguous.
void round_rows(Source<float> source, int64_t row, int height, int64_t depth, Pair* to) {
    const int64_t pairs = (depth + 1) / 2;
    int64_t done = 0;
    if (source.column_step == 1)
        for (; 2 * (done + WIDTH) <= depth; done += WIDTH)
            for (int i = 0; i < height; i++) {
                const float* from = source.at(row + i, 2 * done);
                store_pairs(to + (row + i) * pairs + done, load(from), load(from + WIDTH));
            }
    else if (source.row_step == 1 && height == WIDTH)
        for (; 2 * (done + WIDTH) <= depth; done += WIDTH) {
            Vector left[WIDTH], right[WIDTH];
            load_transposed(source, row, 2 * done, left);
            load_transposed(source, row, 2 * done + WIDTH, right);
            for (int i = 0; i < WIDTH; i++) store_pairs(to + (row + i) * pairs + done, left[i], right[i]);
        }
    for (int i = 0; i < height; i++)
        for (int64_t k = done; k < pairs; k++) {
            const float second = 2 * k + 1 < depth ? *source.at(row + i, 2 * k + 1) : 0.0f;
            to[(row + i) * pairs + k] = make_pair(*source.at(row + i, 2 * k), second);
        }
}

// What panels hold: numbers as they are.
struct Singles {
    typedef Source<float> From;
    typedef float Number;
    static constexpr int COLUMNS = 1;

    static Number read(From from, int64_t row, int64_t k, int64_t) { return *from.at(row, k); }
    static Vector read_row(From from, int64_t row, int64_t k) { return load(from.at(row, k)); }
    static Vector read_column(From from, int64_t row, int64_t k) { return load(from.at(row, k)); }
};

// Or pairs of bfloat16, neighbours of a row; a last one without a neighbour stands beside a zero.
struct RoundedPairs {
    typedef Source<float> From;
    typedef uint32_t Number;
    static constexpr int COLUMNS = 2;

    static Number read(From from, int64_t row, int64_t k, int64_t depth) {
        return join_pair(*from.at(row, 2 * k), 2 * k + 1 < depth ? *from.at(row, 2 * k + 1) : 0.0f);
    }
    static Vector read_row(From from, int64_t row, int64_t k) {
        IntVector even = {};
        for (int lane = 0; lane < WIDTH; lane++) even[lane] = 2 * lane;
        const Vector a = load(from.at(row, 2 * k)), b = load(from.at(row, 2 * k) + WIDTH);
        return (Vector)join_each(shuffle(a, b, even), shuffle(a, b, even + 1));
    }
    static Vector read_column(From from, int64_t row, int64_t k) {
        return (Vector)join_each(load(from.at(row, 2 * k)), load(from.at(row, 2 * k + 1)));
    }
};

// The same of a matrix in bfloat16, whose rows are pairs already.
struct Pairs {
    typedef Source<uint16_t> From;
    typedef uint32_t Number;
    static constexpr int COLUMNS = 2;

    static Number read(From from, int64_t row, int64_t k, int64_t depth) {
        return *from.at(row, 2 * k) | (2 * k + 1 < depth ? uint32_t(*from.at(row, 2 * k + 1)) << 16 : 0);
    }
    static Vector read_row(From from, int64_t row, int64_t k) {
        Vector pairs;
        std::memcpy(&pairs, from.at(row, 2 * k), sizeof pairs);
        return pairs;
    }
    static Vector read_column(From from, int64_t row, int64_t k) {
        return (Vector)(widen_bits(from.at(row, 2 * k)) | widen_bits(from.at(row, 2 * k + 1)) << 16);
    }
};

// Write up to WIDTH rows of a matrix into a panel, fast where rows or columns are contiguous.
template <class KIND>
void write_rows(typename KIND::From source, int64_t row, int height, int64_t depth, typename KIND::Number* to) {
    const int64_t whole = depth / KIND::COLUMNS, all = (depth + KIND::COLUMNS - 1) / KIND::COLUMNS;
    int64_t k = 0;
    if (source.column_step == 1 && height == WIDTH)
        for (; k + WIDTH <= whole; k += WIDTH) {
            Vector square[WIDTH];
            for (int i = 0; i < WIDTH; i++) square[i] = KIND::read_row(source, row + i, k);
            transpose(square);
            for (int i = 0; i < WIDTH; i++) std::memcpy(to + (k + i) * PANEL, square + i, sizeof(Vector));
        }
    else if (source.row_step == 1 && height == WIDTH)
        for (; k < whole; k++) {
            const Vector column = KIND::read_column(source, row, k);
            std::memcpy(to + k * PANEL, &column, sizeof column);
        }
    for (; k < all; k++)
        for (int i = 0; i < height; i++) to[k * PANEL + i] = KIND::read(source, row + i, k, depth);
}

// Write rows of a matrix, from its row `first` on, into its panels, all of a panel in one thread.
template <class KIND>
void pack(typename KIND::From source, typename KIND::Number* panels, int64_t first, int64_t rows, int64_t depth) {
    const int64_t last = first + rows, all = (depth + KIND::COLUMNS - 1) / KIND::COLUMNS;
#pragma omp parallel for schedule(static)
    for (int64_t panel = first / PANEL; panel < (last + PANEL - 1) / PANEL; panel++) {
        const int64_t end = std::min(last, (panel + 1) * PANEL);
        for (int64_t row = std::max(first, panel * PANEL); row < end; row += WIDTH)
            write_rows<KIND>(
                source, row - first, std::min<int64_t>(WIDTH, end - row), depth,
                panels + panel * all * PANEL + row - panel * PANEL);
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
    pack<Singles>({source, row_step, column_step}, panels, first, rows, depth);
}

void dunwu_pack_pairs(
    const float* source, int64_t row_step, int64_t column_step, uint32_t* panels, int64_t first, int64_t rows,
    int64_t depth) {
    pack<RoundedPairs>({source, row_step, column_step}, panels, first, rows, depth);
}

void dunwu_pack_bfloat16(
    const uint16_t* source, int64_t row_step, int64_t column_step, uint32_t* panels, int64_t first, int64_t rows,
    int64_t depth) {
    pack<Pairs>({source, row_step, column_step}, panels, first, rows, depth);
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
    const Source<float> source = {x, row_step, column_step};
    const std::unique_ptr<Pair[]> rounded(new Pair[rows * pairs]);
#pragma omp parallel for schedule(static)
    for (int64_t row = 0; row < rows; row += WIDTH)
        round_rows(source, row, std::min<int64_t>(WIDTH, rows - row), depth, rounded.get());
    share_panels(product, depth, 2 * pairs * PANEL, [&](int64_t row, int height, int64_t panel, float* scratch) {
        const PairLeft left = {rounded.get() + row * pairs, pairs};
        multiply_pairs(product, left, panels + panel * pairs * PANEL, row, height, panel * PANEL, pairs, scratch);
    });
}
}
