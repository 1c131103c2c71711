// Vectors of floats as wide as the machine's registers, by the compiler's vector extensions: one source for AVX2,
// AVX-512 and NEON. The width is that of the instruction set which this file is compiled for.
#pragma once

#include <cstdint>
#include <cstring>

namespace dunwu {

#if defined(__AVX512F__)
constexpr int WIDTH = 16;
#elif defined(__AVX2__)
constexpr int WIDTH = 8;
#else
constexpr int WIDTH = 4;
#endif

typedef float Vector __attribute__((vector_size(WIDTH * 4)));
typedef int32_t IntVector __attribute__((vector_size(WIDTH * 4)));

inline Vector load(const float* from) {
    Vector value;
    std::memcpy(&value, from, sizeof value);
    return value;
}

inline void store(float* to, Vector value) { std::memcpy(to, &value, sizeof value); }

// Not `value + Vector{}`, which the compiler may not take for a copy: that sum would make 0 of -0.
inline Vector broadcast(float value) { return value - Vector{}; }

// What is no number stays none: the first argument wins where the two cannot be compared.
inline Vector maximum(Vector a, Vector b) { return b > a ? b : a; }

inline Vector minimum(Vector a, Vector b) { return b < a ? b : a; }

inline float sum(Vector value) {
    typedef float Quarter __attribute__((vector_size(16)));
    float lanes[WIDTH];
    store(lanes, value);
    Quarter total = {};
    for (int lane = 0; lane < WIDTH; lane += 4) {
        Quarter part;
        std::memcpy(&part, lanes + lane, sizeof part);
        total += part;
    }
    return (total[0] + total[2]) + (total[1] + total[3]);
}

// Numbers of `a` (lanes 0 to WIDTH - 1) and of `b` (from WIDTH on) by their lanes.
inline Vector shuffle(Vector a, Vector b, IntVector lanes) {
#if defined(__clang__)
    Vector mixed = {};
    for (int lane = 0; lane < WIDTH; lane++) mixed[lane] = (lanes[lane] < WIDTH ? a : b)[lanes[lane] % WIDTH];
    return mixed;
#else
    return __builtin_shuffle(a, b, lanes);
#endif
}

// Turn a square of WIDTH rows: squares of SPAN lanes off the diagonal change places, then those of twice as many.
template <int SPAN = 1>
inline void transpose(Vector* rows) {
    if constexpr (SPAN < WIDTH) {
        IntVector upper = {}, lower = {};
        for (int lane = 0; lane < WIDTH; lane++) {
            upper[lane] = lane & SPAN ? lane - SPAN + WIDTH : lane;
            lower[lane] = lane & SPAN ? lane + WIDTH : lane + SPAN;
        }
        for (int row = 0; row < WIDTH; row++) {
            if (row & SPAN) continue;
            const Vector above = rows[row], below = rows[row + SPAN];
            rows[row] = shuffle(above, below, upper);
            rows[row + SPAN] = shuffle(above, below, lower);
        }
        transpose<2 * SPAN>(rows);
    }
}

// Sums of neighbours, those of `a` and then those of `b`: of numbers in each quarter by itself (QUARTERS false), or of whole
// quarters of four numbers. Within a quarter the processor turns numbers in one step, across them it takes several.
template <bool QUARTERS>
inline Vector add_neighbours(Vector a, Vector b) {
    IntVector even = {}, odd = {};
    for (int lane = 0; lane < WIDTH; lane++) {
        const int pair = QUARTERS ? 8 * (lane / 4) % (2 * WIDTH) + lane % 4
                                  : lane / 4 * 4 + lane % 2 * 2 + lane % 4 / 2 * WIDTH;
        even[lane] = pair, odd[lane] = pair + (QUARTERS ? 4 : 1);
    }
    return shuffle(a, b, even) + shuffle(a, b, odd);
}

// The sums of COUNT vectors, one after the other; of WIDTH vectors they fill the result.
template <int COUNT>
inline Vector sum_each(const Vector* vectors) {
    Vector halved[COUNT / 2];
    for (int i = 0; i < COUNT / 2; i++)
        halved[i] = add_neighbours<(COUNT * 4 <= WIDTH)>(vectors[2 * i], vectors[2 * i + 1]);
    return sum_each<COUNT / 2>(halved);
}

template <>
inline Vector sum_each<1>(const Vector* vectors) {
    return vectors[0];
}

inline float largest(Vector value) {
    float most = value[0];
    for (int lane = 1; lane < WIDTH; lane++) most = value[lane] > most ? value[lane] : most;
    return most;
}

// e^x within 2 units in the last place: 2^n times a polynomial on [-ln 2 / 2, ln 2 / 2]. Below -87.3 it is 0, so that what
// a mask hides weighs nothing; above 88.3 it is infinite.
inline Vector exponential(Vector x) {
    const Vector rounding = broadcast(12582912.0f);  // 1.5 * 2^23: adding it rounds to the nearest whole number
    Vector bounded = minimum(maximum(x, broadcast(-87.3f)), broadcast(88.3f));
    Vector whole = (bounded * 1.44269504089f + rounding) - rounding;
    Vector rest = bounded - whole * 0.693359375f;  // ln 2 in two parts, the first of them exact in few bits
    rest = rest - whole * -2.12194440e-4f;
    Vector power = broadcast(1.9875691500e-4f);
    power = power * rest + 1.3981999507e-3f;
    power = power * rest + 8.3334519073e-3f;
    power = power * rest + 4.1665795894e-2f;
    power = power * rest + 1.6666665459e-1f;
    power = power * rest + 5.0000001201e-1f;
    power = power * rest * rest + rest + 1.0f;
    IntVector exponent = (__builtin_convertvector(whole, IntVector) + 127) << 23;
    Vector scale;
    std::memcpy(&scale, &exponent, sizeof scale);
    power = power * scale;
    power = x < broadcast(-87.3f) ? Vector{} : power;
    return x > broadcast(88.3f) ? broadcast(__builtin_inff()) : power;
}

}  // namespace dunwu
