// A model as Python describes it (kernels/network.py), field by field, and the kernels that compute it.
#pragma once

#include <cstdint>

namespace dunwu {

// A packed matrix with its bias, or null; of pairs of bfloat16 or not.
struct Matrix {
    const void* panels;
    const float* bias;
    int64_t rows, columns, paired;
};

// One layer; norms of heads are null where the model has none.
struct Layer {
    const float *norm1, *query_norm, *key_norm, *norm2;
    Matrix qkv, out, gate_up, down;
};

struct Network {
    const Layer* layers;
    const float* norm;
    Matrix head;
    int64_t count;
    int query_heads, key_heads, width;
    float scale, epsilon;
};

}  // namespace dunwu

extern "C" {

void dunwu_rms_norm(
    const float* x, const float* weight, float* out, float* rms, int64_t tokens, int64_t width, float epsilon);
void dunwu_rotate(
    const float* qkv, int64_t step, const float* cosines, const float* sines, const int64_t* positions,
    const float* query_norm, const float* key_norm, float epsilon, float* out, int64_t tokens, int query_heads,
    int key_heads, int width);
void dunwu_swiglu(const float* gate_up, float* out, int64_t tokens, int64_t width);
void dunwu_attend(
    const float* queries, int64_t queries_step, const float* keys, int64_t keys_step, const float* values,
    int64_t values_step, const int32_t* starts, const int32_t* stops, const int32_t* parents, const int64_t* positions,
    const int32_t* blocks, int64_t block_count, int query_heads, int key_heads, int width, float scale, float* out,
    float* lse);
void dunwu_decode(
    const float* heads, const float* values, int64_t values_step, const int64_t* positions,
    const int32_t* shared, float* cached_keys, float* cached_values, int64_t cache_length, int64_t rows, int query_heads,
    int key_heads, int width, float scale, float* out);
void dunwu_multiply(
    const float* x, const float* panels, const float* bias, float* out, int64_t rows, int64_t columns, int64_t depth,
    int add);
void dunwu_multiply_pairs(
    const float* x, int64_t row_step, int64_t column_step, const uint32_t* panels, const float* bias, float* out,
    int64_t rows, int64_t columns, int64_t depth, int add);
}
