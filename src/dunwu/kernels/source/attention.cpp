// Attention over a tree of tokens: each token attends to itself and to what stands before it on its own path.
//
// A segment is a stretch of tokens, numbered one after the other, in which the tree does not branch; `parents` names the
// segment before it, or -1. A block is a stretch of at most BLOCK rows of one segment: a row is one query head of one
// token. All heads that share keys are rows of the same block. Scores are kept transposed, keys x rows, so that neither
// keys nor values need to be turned, and the softmax over keys goes down columns.
#include <algorithm>
#include <cmath>
#include <vector>

#include "tile.h"

using namespace dunwu;

namespace {

constexpr int KEYS = 64;

struct Tree {
    const int32_t *starts, *stops, *parents;
    const int64_t* positions;
};

struct Block {
    int32_t segment, start, stop;
};

struct Shape {
    int query_heads, key_heads, width;
    float scale;
    int group() const { return query_heads / key_heads; }
};

inline int round_up(int count) { return (count + WIDTH - 1) / WIDTH * WIDTH; }

// The tokens that the last token of a block sees, in order of their positions.
void find_path(const Tree& tree, const Block& block, std::vector<int32_t>& path) {
    path.resize(tree.positions[block.stop - 1] + 1);
    int32_t stop = block.stop;
    for (int32_t segment = block.segment; segment >= 0; segment = tree.parents[segment]) {
        const int32_t start = tree.starts[segment];
        for (int32_t node = start; node < stop; node++) path[tree.positions[node]] = node;
        if (tree.parents[segment] >= 0) stop = tree.stops[tree.parents[segment]];
    }
}

// The rows of a block and what is computed for them. `across` matrices are D x columns, `down` ones rows x D.
struct Rows {
    int rows, columns, tokens, first_position;
    std::vector<float> queries, queries_across, result, most, total, scores;
    std::vector<float> grads, grads_across, grad_scores, lse, delta;
    std::vector<float> keys, values, grad_keys, grad_values;
    std::vector<int32_t> path;

    void enter(const Tree& tree, const Block& block, const Shape& shape) {
        find_path(tree, block, path);
        tokens = block.stop - block.start;
        rows = tokens * shape.group();
        columns = round_up(rows);
        first_position = static_cast<int>(tree.positions[block.start]);
        result.assign(rows * shape.width, 0.0f);
        scores.resize(KEYS * columns);
        keys.resize(KEYS * shape.width);
        values.resize(KEYS * shape.width);
    }
};

// Copy the block's rows of one key head, and once more turned; `from` has query_heads x D numbers a token, `step` apart.
void take_rows(
    const float* from, int64_t step, const Block& block, const Shape& shape, int key_head, float factor, int columns,
    std::vector<float>& down, std::vector<float>& across) {
    const int group = shape.group(), width = shape.width, rows = (block.stop - block.start) * group;
    down.resize(columns * width);
    across.resize(width * columns);
    for (int row = 0; row < rows; row++) {
        const float* source = from + (block.start + row / group) * step + (key_head * group + row % group) * width;
        for (int d = 0; d < width; d += WIDTH) store(down.data() + row * width + d, load(source + d) * factor);
    }
    std::fill(down.begin() + rows * width, down.end(), 0.0f);
    for (int row = 0; row < columns; row += WIDTH)
        for (int d = 0; d < width; d += WIDTH) {
            Vector square[WIDTH];
            for (int i = 0; i < WIDTH; i++) square[i] = load(down.data() + (row + i) * width + d);
            transpose(square);
            for (int i = 0; i < WIDTH; i++) store(across.data() + (d + i) * columns + row, square[i]);
        }
}

// Not by memcpy, which takes longer to find out how little there is to copy.
inline void copy_row(const float* from, int width, float* to) {
    for (int d = 0; d < width; d += WIDTH) store(to + d, load(from + d));
}

void gather(const float* from, int64_t step, const int32_t* path, int count, int width, float* to) {
    for (int key = 0; key < count; key++) copy_row(from + path[key] * step, width, to + key * width);
}

void scatter_add(const float* from, const int32_t* path, int count, int width, float* to, int64_t step) {
    for (int key = 0; key < count; key++) {
        float* row = to + path[key] * step;
        for (int d = 0; d < width; d += WIDTH) store(row + d, load(row + d) + load(from + key * width + d));
    }
}

// What the tokens of this block may not see: keys behind them.
inline void hide(std::vector<float>& scores, int first_key, int count, const Rows& block, int group, float with) {
    for (int key = std::max(0, block.first_position + 1 - first_key); key < count; key++) {
        const int hidden = std::min(block.rows, (first_key + key - block.first_position) * group);
        std::fill_n(scores.begin() + key * block.columns, hidden, with);
    }
}

// One tile of keys into the running softmax (Milakov and Gimelshein 2018) of every row.
void accumulate(Rows& block, int count, int width) {
    const int columns = block.columns;
    float *scores = block.scores.data(), *most = block.most.data(), *total = block.total.data();
    std::vector<float>& factors = block.delta;
    factors.resize(columns);
    for (int column = 0; column < columns; column += WIDTH) {
        const Vector before = load(most + column);
        Vector now = before, added = {};
        for (int key = 0; key < count; key++) now = maximum(now, load(scores + key * columns + column));
        for (int key = 0; key < count; key++) {
            float* place = scores + key * columns + column;
            const Vector weight = exponential(load(place) - now);
            store(place, weight);
            added += weight;
        }
        const Vector factor = exponential(before - now);
        store(factors.data() + column, factor);
        store(most + column, now);
        store(total + column, load(total + column) * factor + added);
    }
    for (int row = 0; row < block.rows; row++) {
        float* result = block.result.data() + row * width;
        for (int d = 0; d < width; d += WIDTH) store(result + d, load(result + d) * factors[row]);
    }
    multiply<true>({scores, 1, columns}, block.values.data(), width, block.result.data(), width, block.rows, width, count);
}

void attend_block(
    Rows& rows, const Tree& tree, const Block& block, const Shape& shape, int key_head, const float* queries,
    int64_t queries_step, const float* keys, int64_t keys_step, const float* values, int64_t values_step, float* out,
    float* lse) {
    const int width = shape.width, group = shape.group();
    rows.enter(tree, block, shape);
    take_rows(
        queries, queries_step, block, shape, key_head, shape.scale, rows.columns, rows.queries, rows.queries_across);
    rows.most.assign(rows.columns, -INFINITY);
    rows.total.assign(rows.columns, 0.0f);
    const int seen = static_cast<int>(rows.path.size());
    for (int first = 0; first < seen; first += KEYS) {
        const int count = std::min(KEYS, seen - first);
        gather(keys + key_head * width, keys_step, rows.path.data() + first, count, width, rows.keys.data());
        gather(values + key_head * width, values_step, rows.path.data() + first, count, width, rows.values.data());
        multiply<false>(
            {rows.keys.data(), width, 1}, rows.queries_across.data(), rows.columns, rows.scores.data(), rows.columns,
            count, rows.columns, width);
        hide(rows.scores, first, count, rows, group, -INFINITY);
        accumulate(rows, count, width);
    }
    for (int row = 0; row < rows.rows; row++) {
        const int64_t token = block.start + row / group, head = key_head * group + row % group;
        const float inverse = 1.0f / rows.total[row];
        if (lse) lse[token * shape.query_heads + head] = rows.most[row] + std::log(rows.total[row]);
        float* to = out + (token * shape.query_heads + head) * width;
        for (int d = 0; d < width; d += WIDTH) store(to + d, load(rows.result.data() + row * width + d) * inverse);
    }
}

// Weights and the scores' gradients of one tile of keys, both transposed as the scores are.
void differentiate(Rows& block, int first, int count, const Shape& shape) {
    const int width = shape.width, columns = block.columns;
    multiply<false>(
        {block.keys.data(), width, 1}, block.queries_across.data(), columns, block.scores.data(), columns, count, columns,
        width);
    hide(block.scores, first, count, block, shape.group(), -INFINITY);
    multiply<false>(
        {block.values.data(), width, 1}, block.grads_across.data(), columns, block.grad_scores.data(), columns, count,
        columns, width);
    for (int column = 0; column < columns; column += WIDTH) {
        const Vector lse = load(block.lse.data() + column), delta = load(block.delta.data() + column);
        for (int key = 0; key < count; key++) {
            float *score = block.scores.data() + key * columns + column;
            float *grad = block.grad_scores.data() + key * columns + column;
            const Vector weight = exponential(load(score) - lse);
            store(score, weight);
            store(grad, weight * (load(grad) - delta));
        }
    }
}

// `sums` are the rows that gradients of keys and values are added to.
struct Sums {
    float *keys, *values;
    int64_t step;
};

void attend_block_backward(
    Rows& rows, const Tree& tree, const Block& block, const Shape& shape, int key_head, const float* heads,
    int64_t heads_step, const float* values, int64_t values_step, const float* out, const float* lse, const float* grad,
    float* grad_queries, int64_t grad_step, const Sums& sums) {
    const int width = shape.width, group = shape.group();
    const int64_t out_step = static_cast<int64_t>(shape.query_heads) * width;
    rows.enter(tree, block, shape);
    take_rows(heads, heads_step, block, shape, key_head, shape.scale, rows.columns, rows.queries, rows.queries_across);
    take_rows(grad, out_step, block, shape, key_head, 1.0f, rows.columns, rows.grads, rows.grads_across);
    rows.lse.assign(rows.columns, 0.0f);
    rows.delta.assign(rows.columns, 0.0f);
    rows.grad_scores.resize(KEYS * rows.columns);
    rows.grad_keys.resize(KEYS * width);
    rows.grad_values.resize(KEYS * width);
    for (int row = 0; row < rows.rows; row++) {
        const int64_t token = block.start + row / group, head = key_head * group + row % group;
        rows.lse[row] = lse[token * shape.query_heads + head];
        const float* result = out + token * out_step + head * width;
        Vector product = {};
        for (int d = 0; d < width; d += WIDTH) product += load(result + d) * load(rows.grads.data() + row * width + d);
        rows.delta[row] = sum(product);
    }
    const float* keys = heads + (shape.query_heads + key_head) * width;
    const int seen = static_cast<int>(rows.path.size());
    for (int first = 0; first < seen; first += KEYS) {
        const int count = std::min(KEYS, seen - first);
        const int32_t* path = rows.path.data() + first;
        gather(keys, heads_step, path, count, width, rows.keys.data());
        gather(values + key_head * width, values_step, path, count, width, rows.values.data());
        differentiate(rows, first, count, shape);
        const float *weights = rows.scores.data(), *grad_scores = rows.grad_scores.data();
        multiply<false>(
            {weights, rows.columns, 1}, rows.grads.data(), width, rows.grad_values.data(), width, count, width, rows.rows);
        multiply<false>(
            {grad_scores, rows.columns, 1}, rows.queries.data(), width, rows.grad_keys.data(), width, count, width,
            rows.rows);
        multiply<true>(
            {grad_scores, 1, rows.columns}, rows.keys.data(), width, rows.result.data(), width, rows.rows, width, count);
        scatter_add(rows.grad_keys.data(), path, count, width, sums.keys + key_head * width, sums.step);
        scatter_add(rows.grad_values.data(), path, count, width, sums.values + key_head * width, sums.step);
    }
    for (int row = 0; row < rows.rows; row++) {
        float* to = grad_queries + (block.start + row / group) * grad_step + (key_head * group + row % group) * width;
        for (int d = 0; d < width; d += WIDTH) store(to + d, load(rows.result.data() + row * width + d) * shape.scale);
    }
}

}  // namespace

extern "C" {

// Rotated queries and keys of each token, and its values; the rows of each are so many numbers apart.
// out: tokens x query heads x D; lse: log of the sum of exp(scores), tokens x query heads, unless null.
void dunwu_attend(
    const float* queries, int64_t queries_step, const float* keys, int64_t keys_step, const float* values,
    int64_t values_step, const int32_t* starts, const int32_t* stops, const int32_t* parents, const int64_t* positions,
    const int32_t* blocks, int64_t block_count, int query_heads, int key_heads, int width, float scale, float* out,
    float* lse) {
    const Tree tree = {starts, stops, parents, positions};
    const Shape shape = {query_heads, key_heads, width, scale};
    const Block* all = reinterpret_cast<const Block*>(blocks);
#pragma omp parallel
    {
        Rows rows;
#pragma omp for schedule(dynamic)
        for (int64_t task = 0; task < block_count * key_heads; task++)
            attend_block(
                rows, tree, all[task / key_heads], shape, static_cast<int>(task % key_heads), queries, queries_step, keys,
                keys_step, values, values_step, out, lse);
    }
}

// grad: of `out`. grad_heads and grad_values: the same places of one array as `heads` and `values`, `grad_step` apart, which
// are set. Blocks are dealt out in `shares` parts, each of which has sums of its own for keys and values: several for a head
// where there are more threads than heads. The parts are fixed, so that the result is.
void dunwu_attend_backward(
    const float* heads, int64_t heads_step, const float* values, int64_t values_step, const int32_t* starts,
    const int32_t* stops, const int32_t* parents, const int64_t* positions, const int32_t* blocks, int64_t block_count,
    int query_heads, int key_heads, int width, float scale, const float* out, const float* lse, const float* grad,
    float* grad_heads, float* grad_values, int64_t grad_step, int64_t tokens, int shares) {
    const Tree tree = {starts, stops, parents, positions};
    const Shape shape = {query_heads, key_heads, width, scale};
    const Block* all = reinterpret_cast<const Block*>(blocks);
    const int64_t kept = static_cast<int64_t>(key_heads) * width;
    float* grad_keys = grad_heads + static_cast<int64_t>(query_heads) * width;
    std::vector<float> own(2 * tokens * kept * (shares - 1), 0.0f);
    for (int64_t token = 0; token < tokens; token++) {
        std::fill_n(grad_keys + token * grad_step, kept, 0.0f);
        std::fill_n(grad_values + token * grad_step, kept, 0.0f);
    }
#pragma omp parallel
    {
        Rows rows;
#pragma omp for schedule(dynamic)
        for (int task = 0; task < shares * key_heads; task++) {
            const int share = task / key_heads;
            Sums sums = {grad_keys, grad_values, grad_step};
            if (share > 0) {
                float* first = own.data() + 2 * tokens * kept * (share - 1);
                sums = {first, first + tokens * kept, kept};
            }
            for (int64_t block = share; block < block_count; block += shares)
                attend_block_backward(
                    rows, tree, all[block], shape, task % key_heads, heads, heads_step, values, values_step, out, lse,
                    grad, grad_heads, grad_step, sums);
        }
#pragma omp for schedule(static)
        for (int64_t token = 0; token < tokens; token++)
            for (int share = 1; share < shares; share++) {
                const float* keys = own.data() + 2 * tokens * kept * (share - 1) + token * kept;
                for (int64_t i = 0; i < kept; i++) {
                    grad_keys[token * grad_step + i] += keys[i];
                    grad_values[token * grad_step + i] += keys[tokens * kept + i];
                }
            }
    }
}
}
