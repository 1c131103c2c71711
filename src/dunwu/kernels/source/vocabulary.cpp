// What is made of logits: log-probabilities of targets with their gradients, and tokens that are drawn.
#include <algorithm>
#include <cmath>
#include <vector>

#include "vector.h"

using namespace dunwu;

namespace {

constexpr float NOTHING = -1e38f;  // a logit that weighs nothing, and is finite: 0 times it is 0

// The vector at `from`, or what is left of the row and NOTHING behind it.
inline Vector load_some(const float* from, int64_t left) {
    if (left >= WIDTH) return load(from);
    Vector some = broadcast(NOTHING);
    std::memcpy(&some, from, left * sizeof(float));
    return some;
}

inline void store_some(float* to, Vector value, int64_t left) {
    std::memcpy(to, &value, (left >= WIDTH ? WIDTH : left) * sizeof(float));
}

inline float find_largest(const float* logits, int64_t vocabulary) {
    Vector most = broadcast(NOTHING);
    for (int64_t i = 0; i < vocabulary; i += WIDTH) most = maximum(most, load_some(logits + i, vocabulary - i));
    return largest(most);
}

// The place at which the running sum of `weights` passes `target`, and never one of weight 0; `target` becomes what is left
// of it there. Behind the last place, by rounding: the last one that weighs anything.
template <class Number>
int64_t locate(const Number* weights, int64_t count, double& target) {
    double total = 0.0, before = 0.0;
    int64_t found = 0;
    for (int64_t i = 0; i < count; i++) {
        if (weights[i] <= 0) continue;
        found = i, before = total;
        total += weights[i];
        if (total > target) break;
    }
    target = std::max(0.0, target - before);
    return found;
}

constexpr int64_t PIECE = 64;

}  // namespace

extern "C" {

// Under softmax(logits / temperature): each target's log-probability, the entropy, and log of the sum of exp(logits).
void dunwu_score(
    const float* logits, const int64_t* targets, float inverse_temperature, float* values, float* entropies,
    float* normalizers, int64_t rows, int64_t vocabulary) {
#pragma omp parallel for schedule(static)
    for (int64_t row = 0; row < rows; row++) {
        const float* x = logits + row * vocabulary;
        const float most = find_largest(x, vocabulary) * inverse_temperature;
        Vector total = {}, weighted = {};
        for (int64_t i = 0; i < vocabulary; i += WIDTH) {
            const Vector shifted = load_some(x + i, vocabulary - i) * inverse_temperature - most;
            const Vector weight = exponential(shifted);
            total += weight;
            weighted += weight * maximum(shifted, broadcast(NOTHING));  // not 0 times minus infinity
        }
        const float all = sum(total), log_total = std::log(all);
        normalizers[row] = most + log_total;
        values[row] = x[targets[row]] * inverse_temperature - most - log_total;
        entropies[row] = log_total - sum(weighted) / all;
    }
}

// In place: logits become the gradient of the targets' log-probabilities, times grads[row].
void dunwu_score_backward(
    float* logits, const int64_t* targets, float inverse_temperature, const float* normalizers, const float* grads,
    int64_t rows, int64_t vocabulary) {
#pragma omp parallel for schedule(static)
    for (int64_t row = 0; row < rows; row++) {
        float* x = logits + row * vocabulary;
        const float factor = grads[row] * inverse_temperature, normalizer = normalizers[row];
        for (int64_t i = 0; i < vocabulary; i += WIDTH) {
            const int64_t left = vocabulary - i;
            store_some(x + i, -factor * exponential(load_some(x + i, left) * inverse_temperature - normalizer), left);
        }
        x[targets[row]] += factor;
    }
}

// A token for each row by inversion of the cumulative softmax(logits / temperature) at uniforms[row], first over pieces of
// the vocabulary and then inside one, and its log-probability.
void dunwu_draw(
    const float* logits, const double* uniforms, float inverse_temperature, int64_t* tokens, float* logprobs,
    int64_t rows, int64_t vocabulary) {
#pragma omp parallel
    {
        std::vector<float> weights((vocabulary + PIECE - 1) / PIECE * PIECE);
        std::vector<double> pieces(weights.size() / PIECE);
#pragma omp for schedule(static)
        for (int64_t row = 0; row < rows; row++) {
            const float* x = logits + row * vocabulary;
            const float most = find_largest(x, vocabulary) * inverse_temperature;
            double all = 0.0;
            for (size_t piece = 0; piece < pieces.size(); piece++) {
                Vector total = {};
                for (int64_t i = piece * PIECE; i < static_cast<int64_t>(piece + 1) * PIECE; i += WIDTH) {
                    const Vector weight =
                        i < vocabulary ? exponential(load_some(x + i, vocabulary - i) * inverse_temperature - most) : Vector{};
                    store(weights.data() + i, weight);
                    total += weight;
                }
                all += pieces[piece] = sum(total);
            }
            double target = uniforms[row] * all;
            const int64_t start = locate(pieces.data(), pieces.size(), target) * PIECE;
            const int64_t token = start + locate(weights.data() + start, PIECE, target);
            tokens[row] = token;
            logprobs[row] = x[token] * inverse_temperature - most - static_cast<float>(std::log(all));
        }
    }
}
}
