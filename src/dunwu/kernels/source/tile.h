// Small matrix products on tiles that lie in the nearest caches.
#pragma once

#include "bfloat16.h"
#include "vector.h"

namespace dunwu {

// Rows and vectors of columns that one pass keeps in registers.
#if defined(__AVX512F__)
constexpr int TILE_ROWS = 6, TILE_VECTORS = 4;
#else
constexpr int TILE_ROWS = 6, TILE_VECTORS = 2;
#endif

// A tile of the left matrix: element (row, column) is at data[row * row_step + column * column_step], so that a transposed
// one costs nothing.
struct Left {
    const float* data;
    int64_t row_step, column_step;
};

// The same rounded to bfloat16, two numbers beside each other in an element: 6 steps of a row are 3 elements.
struct PairLeft {
    const Pair* data;
    int64_t row_step;
};

inline Left below(Left a, int rows) { return {a.data + rows * a.row_step, a.row_step, a.column_step}; }

inline PairLeft below(PairLeft a, int rows) { return {a.data + rows * a.row_step, a.row_step}; }

// Add the products of column k of the left with row k of the right.
template <int ROWS, int VECTORS>
inline void add_products(Vector (&total)[ROWS][VECTORS], Left a, int k, const float* b) {
    Vector right[VECTORS];
    for (int v = 0; v < VECTORS; v++) right[v] = load(b + v * WIDTH);
    for (int row = 0; row < ROWS; row++) {
        const Vector left = broadcast(a.data[row * a.row_step + k * a.column_step]);
        for (int v = 0; v < VECTORS; v++) total[row][v] += left * right[v];
    }
}

// The same with pairs: two columns of the left, two rows of the right.
template <int ROWS, int VECTORS>
inline void add_products(Vector (&total)[ROWS][VECTORS], PairLeft a, int k, const uint32_t* b) {
#if defined(__AVX512BF16__)
    for (int row = 0; row < ROWS; row++) {
        const __m512bh left = (__m512bh)_mm512_set1_epi32(a.data[row * a.row_step + k].bits);
        for (int v = 0; v < VECTORS; v++)
            total[row][v] = _mm512_dpbf16_ps(total[row][v], left, (__m512bh)_mm512_loadu_si512(b + v * WIDTH));
    }
#else
    // First all firsts and then all seconds: registers for both would be too many.
    Vector right[VECTORS];
    for (int v = 0; v < VECTORS; v++) right[v] = widen_first(load_bits(b + v * WIDTH));
    for (int row = 0; row < ROWS; row++) {
        const Vector left = broadcast(a.data[row * a.row_step + k].first);
        for (int v = 0; v < VECTORS; v++) total[row][v] += left * right[v];
    }
    for (int v = 0; v < VECTORS; v++) right[v] = widen_second(load_bits(b + v * WIDTH));
    for (int row = 0; row < ROWS; row++) {
        const Vector left = broadcast(a.data[row * a.row_step + k].second);
        for (int v = 0; v < VECTORS; v++) total[row][v] += left * right[v];
    }
#endif
}

template <int ROWS, int VECTORS, bool ADD, class LEFT, class NUMBER>
inline void multiply_block(LEFT a, const NUMBER* b, int64_t b_step, float* c, int64_t c_step, int depth) {
    Vector total[ROWS][VECTORS];
    for (int row = 0; row < ROWS; row++)
        for (int v = 0; v < VECTORS; v++) total[row][v] = ADD ? load(c + row * c_step + v * WIDTH) : Vector{};
    for (int k = 0; k < depth; k++) add_products(total, a, k, b + k * b_step);
    for (int row = 0; row < ROWS; row++)
        for (int v = 0; v < VECTORS; v++) store(c + row * c_step + v * WIDTH, total[row][v]);
}

// The rows that are left over, all at once: one by one they would wait for each other's sums.
template <int ROWS, int VECTORS, bool ADD, class LEFT, class NUMBER>
inline void multiply_rest(LEFT a, const NUMBER* b, int64_t b_step, float* c, int64_t c_step, int rows, int depth) {
    if constexpr (ROWS > 0) {
        if (rows == ROWS)
            multiply_block<ROWS, VECTORS, ADD>(a, b, b_step, c, c_step, depth);
        else
            multiply_rest<ROWS - 1, VECTORS, ADD>(a, b, b_step, c, c_step, rows, depth);
    }
}

template <int VECTORS, bool ADD, class LEFT, class NUMBER>
inline void multiply_columns(LEFT a, const NUMBER* b, int64_t b_step, float* c, int64_t c_step, int rows, int depth) {
    int row = 0;
    for (; row + TILE_ROWS <= rows; row += TILE_ROWS)
        multiply_block<TILE_ROWS, VECTORS, ADD>(below(a, row), b, b_step, c + row * c_step, c_step, depth);
    multiply_rest<TILE_ROWS - 1, VECTORS, ADD>(below(a, row), b, b_step, c + row * c_step, c_step, rows - row, depth);
}

// c = a b, or c += a b. `columns` is a multiple of WIDTH; rows of b and c are contiguous.
template <bool ADD>
inline void multiply(
    Left a, const float* b, int64_t b_step, float* c, int64_t c_step, int rows, int columns, int depth) {
    int column = 0;
    // Few rows have too few sums at work to hide how long one takes: more columns make up for it.
    for (; rows <= 3 && column + 4 * WIDTH <= columns; column += 4 * WIDTH)
        multiply_columns<4, ADD>(a, b + column, b_step, c + column, c_step, rows, depth);
    for (; column + TILE_VECTORS * WIDTH <= columns; column += TILE_VECTORS * WIDTH)
        multiply_columns<TILE_VECTORS, ADD>(a, b + column, b_step, c + column, c_step, rows, depth);
    for (; column < columns; column += WIDTH)
        multiply_columns<1, ADD>(a, b + column, b_step, c + column, c_step, rows, depth);
}

}  // namespace dunwu
