// Attention of one new token a row against the keys and values that its row holds.
#include <cmath>
#include <vector>

#include "tile.h"

using namespace dunwu;

namespace {

struct Cache {
    float *keys, *values;  // rows x key heads x length x D
    int64_t length;
};

// A query's scores with WIDTH keys that follow each other.
inline Vector score_keys(const float* query, const float* keys, int width) {
    Vector products[WIDTH] = {};
    for (int d = 0; d < width; d += WIDTH) {
        const Vector part = load(query + d);
        for (int key = 0; key < WIDTH; key++) products[key] += part * load(keys + key * width + d);
    }
    return sum_each<WIDTH>(products);
}

// The softmax of one query's scores with `count` keys, not yet divided by the sum, which is returned. The first `shared`
// keys, whole vectors of them, are read where another row has the same.
float weigh(
    const float* query, const float* others, int64_t shared, const float* keys, int64_t count, int width, float scale,
    float* weights) {
    Vector most = broadcast(-INFINITY);
    int64_t key = 0;
    for (; key < shared; key += WIDTH) {
        const Vector scores = score_keys(query, others + key * width, width) * scale;
        store(weights + key, scores);
        most = maximum(most, scores);
    }
    for (; key + WIDTH <= count; key += WIDTH) {
        const Vector scores = score_keys(query, keys + key * width, width) * scale;
        store(weights + key, scores);
        most = maximum(most, scores);
    }
    if (key < count) {
        Vector scores = broadcast(-INFINITY);
        for (int lane = 0; key + lane < count; lane++) {
            Vector product = {};
            for (int d = 0; d < width; d += WIDTH)
                product += load(query + d) * load(keys + (key + lane) * width + d);
            scores[lane] = sum(product) * scale;
        }
        store(weights + key, scores);
        most = maximum(most, scores);
    }
    const float largest_score = largest(most);
    Vector total = {};
    for (key = 0; key < count; key += WIDTH) {
        const Vector weight = exponential(load(weights + key) - largest_score);
        store(weights + key, weight);
        total += weight;
    }
    return sum(total);
}

}  // namespace

extern "C" {

// Each row's key and value are written at its position of the cache, and its queries attend to all up to there. `heads` has
// queries and keys, rotated, of each row; values are `values_step` apart. `shared` names a row for each, and how many of its
// first positions hold the same: the rows of a group read one prompt, which stays in the near caches.
void dunwu_decode(
    const float* heads, const float* values, int64_t values_step, const int64_t* positions,
    const int32_t* shared, float* cached_keys, float* cached_values, int64_t cache_length, int64_t rows, int query_heads,
    int key_heads, int width, float scale, float* out) {
    const int group = query_heads / key_heads;
    const Cache cache = {cached_keys, cached_values, cache_length};
    const int64_t step = (cache_length + WIDTH - 1) / WIDTH * WIDTH;
#pragma omp parallel
    {
        std::vector<float> weights(group * step), totals(group);
#pragma omp for schedule(dynamic, 4) collapse(2)
        for (int64_t row = 0; row < rows; row++)
            for (int head = 0; head < key_heads; head++) {
                const int64_t position = positions[row], place = (row * key_heads + head) * cache.length * width;
                const int64_t other = (shared[2 * row] * key_heads + head) * cache.length * width;
                const int64_t first = shared[2 * row + 1] / WIDTH * WIDTH;
                const float* source = heads + (row * (query_heads + key_heads) + query_heads + head) * width;
                float *keys = cache.keys + place, *held = cache.values + place;
                std::memcpy(keys + position * width, source, width * sizeof(float));
                std::memcpy(held + position * width, values + row * values_step + head * width, width * sizeof(float));
                const float* queries = heads + (row * (query_heads + key_heads) + head * group) * width;
                float* result = out + (row * query_heads + head * group) * width;
                for (int member = 0; member < group; member++)
                    totals[member] = weigh(
                        queries + member * width, cache.keys + other, first, keys, position + 1, width, scale,
                        weights.data() + member * step);
                multiply<false>(
                    {weights.data(), step, 1}, cache.values + other, width, result, width, group, width, first);
                multiply<true>(
                    {weights.data() + first, step, 1}, held + first * width, width, result, width, group, width,
                    position + 1 - first);
                for (int member = 0; member < group; member++)
                    for (int d = 0; d < width; d += WIDTH) {
                        float* to = result + member * width + d;
                        store(to, load(to) * (1.0f / totals[member]));
                    }
            }
    }
}
}
