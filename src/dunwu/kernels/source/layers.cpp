// What a layer does to each token by itself: RMS norm, rotary positions, the gate of the network. N tokens.
#include <cmath>
#include <vector>

#include "vector.h"

using namespace dunwu;

namespace {

// Sum of a[i] * b[i]; `count` is a multiple of WIDTH.
inline float dot(const float* a, const float* b, int64_t count) {
    Vector total = {}, other = {};
    int64_t i = 0;
    for (; i + 2 * WIDTH <= count; i += 2 * WIDTH) {
        total += load(a + i) * load(b + i);
        other += load(a + i + WIDTH) * load(b + i + WIDTH);
    }
    for (; i < count; i += WIDTH) total += load(a + i) * load(b + i);
    return sum(total + other);
}

inline float inverse_root_mean_square(const float* x, int64_t width, float epsilon) {
    return 1.0f / std::sqrt(dot(x, x, width) / static_cast<float>(width) + epsilon);
}

// Threads add to rows of their own, which are summed in a fixed order: the result depends on how many there are alone.
class PartialSums {
public:
    PartialSums(int threads, int64_t width) : width_(width), rows_(threads * width, 0.0f) {}
    float* row(int thread) { return rows_.data() + thread * width_; }
    void add_to(float* total) const {
        for (size_t i = 0; i < rows_.size(); i++) total[i % width_] += rows_[i];
    }

private:
    int64_t width_;
    std::vector<float> rows_;
};

// d/dx of weight * x * rms: rms * (weight * grad - x * rms^2 * mean(weight * grad * x)); also adds to the weight's gradient.
inline void norm_backward(
    const float* grad, const float* x, const float* weight, float rms, int64_t width, const float* residual,
    float* grad_x, float* grad_weight) {
    Vector projection = {};
    for (int64_t i = 0; i < width; i += WIDTH) projection += load(grad + i) * load(weight + i) * load(x + i);
    const float scale = sum(projection) * rms * rms * rms / static_cast<float>(width);
    for (int64_t i = 0; i < width; i += WIDTH) {
        const Vector g = load(grad + i), value = load(x + i);
        const Vector before = residual ? load(residual + i) : Vector{};
        store(grad_weight + i, load(grad_weight + i) + g * value * rms);
        store(grad_x + i, before + g * load(weight + i) * rms - value * scale);
    }
}

}  // namespace

extern "C" {

int dunwu_vector_width() { return WIDTH; }

// A hash of the sources, from setup.py: an extension that was built from others is not used.
const char* dunwu_sources() { return DUNWU_SOURCES; }

// out[n] = weight * x[n] / sqrt(mean(x[n]^2) + epsilon); rms[n] is that inverse root, for the backward pass, unless null.
void dunwu_rms_norm(
    const float* x, const float* weight, float* out, float* rms, int64_t tokens, int64_t width, float epsilon) {
#pragma omp parallel for schedule(static)
    for (int64_t n = 0; n < tokens; n++) {
        const float* row = x + n * width;
        const float scale = inverse_root_mean_square(row, width, epsilon);
        if (rms) rms[n] = scale;
        for (int64_t i = 0; i < width; i += WIDTH) store(out + n * width + i, load(row + i) * scale * load(weight + i));
    }
}

// The norm's gradients are added to grad_x and grad_weight.
void dunwu_rms_norm_backward(
    const float* grad, const float* x, const float* weight, const float* rms, float* grad_x, float* grad_weight,
    int64_t tokens, int64_t width, int threads) {
    PartialSums sums(threads, width);
#pragma omp parallel for schedule(static) num_threads(threads)
    for (int thread = 0; thread < threads; thread++)
        for (int64_t n = tokens * thread / threads; n < tokens * (thread + 1) / threads; n++)
            norm_backward(
                grad + n * width, x + n * width, weight, rms[n], width, grad_x + n * width, grad_x + n * width,
                sums.row(thread));
    sums.add_to(grad_weight);
}

// Queries and keys with their positions: each head of D numbers normalised by `query_norm` or `key_norm` (null: it is not),
// then rotated by the cosines and sines of its position. The tokens' rows are `step` apart in qkv and `heads` x D in out.
void dunwu_rotate(
    const float* qkv, int64_t step, const float* cosines, const float* sines, const int64_t* positions,
    const float* query_norm, const float* key_norm, float epsilon, float* out, int64_t tokens, int query_heads,
    int key_heads, int width) {
    const int heads = query_heads + key_heads, half = width / 2;
#pragma omp parallel for schedule(static)
    for (int64_t n = 0; n < tokens; n++) {
        const float *cosine = cosines + positions[n] * width, *sine = sines + positions[n] * width;
        for (int head = 0; head < heads; head++) {
            const float* x = qkv + n * step + head * width;
            float* y = out + (n * heads + head) * width;
            const float* weight = head < query_heads ? query_norm : key_norm;
            const float scale = weight ? inverse_root_mean_square(x, width, epsilon) : 1.0f;
            for (int i = 0; i < half; i += WIDTH) {
                Vector low = load(x + i) * scale, high = load(x + i + half) * scale;
                if (weight) low *= load(weight + i), high *= load(weight + i + half);
                store(y + i, low * load(cosine + i) - high * load(sine + i));
                store(y + i + half, high * load(cosine + i + half) + low * load(sine + i + half));
            }
        }
    }
}

// In place: grad holds the gradient of the rotated heads, `step` apart, and then that of qkv's; norms' gradients are added to.
void dunwu_rotate_backward(
    float* grad, const float* qkv, int64_t step, const float* cosines, const float* sines, const int64_t* positions,
    const float* query_norm, const float* key_norm, float epsilon, float* grad_query_norm, float* grad_key_norm,
    int64_t tokens, int query_heads, int key_heads, int width, int threads) {
    const int heads = query_heads + key_heads, half = width / 2;
    PartialSums query_sums(threads, width), key_sums(threads, width);
#pragma omp parallel for schedule(static) num_threads(threads)
    for (int thread = 0; thread < threads; thread++)
        for (int64_t n = tokens * thread / threads; n < tokens * (thread + 1) / threads; n++) {
            const float *cosine = cosines + positions[n] * width, *sine = sines + positions[n] * width;
            for (int head = 0; head < heads; head++) {
                float* g = grad + n * step + head * width;
                for (int i = 0; i < half; i += WIDTH) {
                    const Vector low = load(g + i), high = load(g + i + half);
                    store(g + i, low * load(cosine + i) + high * load(sine + i + half));
                    store(g + i + half, high * load(cosine + i + half) - low * load(sine + i));
                }
                const bool query = head < query_heads;
                const float* weight = query ? query_norm : key_norm;
                if (!weight) continue;
                const float* x = qkv + n * step + head * width;
                norm_backward(
                    g, x, weight, inverse_root_mean_square(x, width, epsilon), width, nullptr, g,
                    (query ? query_sums : key_sums).row(thread));
            }
        }
    if (query_norm) query_sums.add_to(grad_query_norm), key_sums.add_to(grad_key_norm);
}

// out = silu(gate) * up, where a row of gate_up holds both.
void dunwu_swiglu(const float* gate_up, float* out, int64_t tokens, int64_t width) {
#pragma omp parallel for schedule(static)
    for (int64_t n = 0; n < tokens; n++) {
        const float *gate = gate_up + 2 * n * width, *up = gate + width;
        for (int64_t i = 0; i < width; i += WIDTH) {
            const Vector g = load(gate + i);
            store(out + n * width + i, g / (1.0f + exponential(-g)) * load(up + i));
        }
    }
}

// grad_gate_up from grad, and once more what the forward gave.
void dunwu_swiglu_backward(
    const float* grad, const float* gate_up, float* grad_gate_up, float* out, int64_t tokens, int64_t width) {
#pragma omp parallel for schedule(static)
    for (int64_t n = 0; n < tokens; n++) {
        const float *gate = gate_up + 2 * n * width, *up = gate + width;
        float *grad_gate = grad_gate_up + 2 * n * width, *grad_up = grad_gate + width;
        for (int64_t i = 0; i < width; i += WIDTH) {
            const Vector g = load(gate + i), u = load(up + i), d = load(grad + n * width + i);
            const Vector sigmoid = 1.0f / (1.0f + exponential(-g));
            const Vector silu = g * sigmoid;
            store(out + n * width + i, silu * u);
            store(grad_up + i, d * silu);
            store(grad_gate + i, d * u * (sigmoid + silu * (1.0f - sigmoid)));
        }
    }
}
}
