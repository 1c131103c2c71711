// All layers of a model in one call: the other kernels in their order, so that no thread waits for Python between them.
#include "network.h"

#include <array>
#include <cstring>

using namespace dunwu;

namespace {

// What lies between the products of a layer, of each token; one layer after the other uses the same.
struct Scratch {
    float *normed, *qkv, *heads, *mixed, *gate_up, *gated;
};

std::array<int64_t, 6> find_widths(const Network& network) {
    const Layer& layer = network.layers[0];
    const int64_t heads = network.query_heads + network.key_heads;
    return {layer.qkv.columns, layer.qkv.rows, heads * network.width, layer.out.columns, layer.gate_up.rows,
            layer.down.columns};
}

Scratch cut(const Network& network, float* memory, int64_t tokens) {
    std::array<float*, 6> pieces;
    for (size_t i = 0; i < pieces.size(); i++) {
        pieces[i] = memory;
        memory += find_widths(network)[i] * tokens;
    }
    return {pieces[0], pieces[1], pieces[2], pieces[3], pieces[4], pieces[5]};
}

// Rotary tables, and the tokens' places in them.
struct Rotation {
    const float *cosines, *sines;
    const int64_t* positions;
};

// out = x matrix^T + bias, or out += it.
void multiply(const Matrix& matrix, const float* x, float* out, int64_t tokens, bool add) {
    const int64_t columns = matrix.rows, depth = matrix.columns;
    if (matrix.paired)
        dunwu_multiply_pairs(
            x, depth, 1, static_cast<const uint32_t*>(matrix.panels), matrix.bias, out, tokens, columns, depth, add);
    else
        dunwu_multiply(x, static_cast<const float*>(matrix.panels), matrix.bias, out, tokens, columns, depth, add);
}

// Add to the residual stream x what each layer makes of it. `attend(index)` turns rotated queries and keys, and values, into
// what the tokens take from others: scratch.mixed.
template <class ATTEND>
void run_layers(
    const Network& network, float* x, int64_t tokens, const Rotation& rotation, const Scratch& scratch, ATTEND attend) {
    for (int64_t index = 0; index < network.count; index++) {
        const Layer& layer = network.layers[index];
        dunwu_rms_norm(x, layer.norm1, scratch.normed, nullptr, tokens, layer.qkv.columns, network.epsilon);
        multiply(layer.qkv, scratch.normed, scratch.qkv, tokens, false);
        dunwu_rotate(
            scratch.qkv, layer.qkv.rows, rotation.cosines, rotation.sines, rotation.positions, layer.query_norm,
            layer.key_norm, network.epsilon, scratch.heads, tokens, network.query_heads, network.key_heads,
            network.width);
        attend(index);
        multiply(layer.out, scratch.mixed, x, tokens, true);
        dunwu_rms_norm(x, layer.norm2, scratch.normed, nullptr, tokens, layer.gate_up.columns, network.epsilon);
        multiply(layer.gate_up, scratch.normed, scratch.gate_up, tokens, false);
        dunwu_swiglu(scratch.gate_up, scratch.gated, tokens, layer.down.columns);
        multiply(layer.down, scratch.gated, x, tokens, true);
    }
}

inline void copy(const float* from, int64_t count, float* to) { std::memcpy(to, from, count * sizeof(float)); }

}  // namespace

extern "C" {

// Floats of scratch that a token takes.
int64_t dunwu_scratch_width(const Network* network) {
    int64_t sum = 0;
    for (const int64_t width : find_widths(*network)) sum += width;
    return sum;
}

// Logits after the tokens whose last states are x, which are normalised in place.
void dunwu_predict(const Network* network, float* x, float* logits, int64_t tokens) {
    dunwu_rms_norm(x, network->norm, x, nullptr, tokens, network->head.columns, network->epsilon);
    multiply(network->head, x, logits, tokens, false);
}

// Read one token of each row of a cache: its embedding x becomes its last state, and logits come of that. `storages` are the
// keys and the values of each layer; the rest as for `dunwu_decode`.
void dunwu_run_step(
    const Network* network, float* x, const float* cosines, const float* sines, const int64_t* positions,
    const int32_t* shared, float* const* storages, int64_t cache_length, int64_t rows, float* memory, float* logits) {
    const Scratch scratch = cut(*network, memory, rows);
    const int64_t values = int64_t(network->query_heads + network->key_heads) * network->width;
    run_layers(*network, x, rows, {cosines, sines, positions}, scratch, [&](int64_t index) {
        dunwu_decode(
            scratch.heads, scratch.qkv + values, network->layers[index].qkv.rows, positions, shared,
            storages[2 * index], storages[2 * index + 1], cache_length, rows, network->query_heads, network->key_heads,
            network->width, network->scale, scratch.mixed);
    });
    dunwu_predict(network, x, logits, rows);
}

// Read nodes of a tree of tokens (see attention.cpp): the `fresh` ones, whose embeddings x become their last states. `kept`
// are keys and values of all nodes, layer by layer: those of fresh nodes are written, the others are there. `queries` and
// `results` have a row for each node; queries of nodes that are not fresh are 0.
void dunwu_read_tree(
    const Network* network, float* x, const float* cosines, const float* sines, const int64_t* fresh_positions,
    const int64_t* fresh, int64_t fresh_count, const int32_t* starts, const int32_t* stops, const int32_t* parents,
    const int64_t* positions, const int32_t* blocks, int64_t block_count, int64_t nodes, float* memory, float* queries,
    float* results, float* kept) {
    const Scratch scratch = cut(*network, memory, fresh_count);
    const int64_t asked = int64_t(network->query_heads) * network->width;
    const int64_t held = int64_t(network->key_heads) * network->width;
    run_layers(*network, x, fresh_count, {cosines, sines, fresh_positions}, scratch, [&](int64_t index) {
        float *keys = kept + 2 * index * nodes * held, *values = keys + nodes * held;
#pragma omp parallel for schedule(static)
        for (int64_t row = 0; row < fresh_count; row++) {
            const float* heads = scratch.heads + row * (asked + held);
            copy(heads, asked, queries + fresh[row] * asked);
            copy(heads + asked, held, keys + fresh[row] * held);
            copy(scratch.qkv + row * (asked + 2 * held) + asked + held, held, values + fresh[row] * held);
        }
        dunwu_attend(
            queries, asked, keys, held, values, held, starts, stops, parents, positions, blocks, block_count,
            network->query_heads, network->key_heads, network->width, network->scale, results, nullptr);
#pragma omp parallel for schedule(static)
        for (int64_t row = 0; row < fresh_count; row++)
            copy(results + fresh[row] * asked, asked, scratch.mixed + row * asked);
    });
}
}
