// Numbers of 16 bits, two of them in 32: the upper halves of floats. On AVX-512 BF16 the processor multiplies pairs; elsewhere
// they are widened to floats, which gives the same products, but for the smallest numbers, and sums of another order.
#pragma once

#if defined(__AVX512BF16__)
#include <immintrin.h>
#endif

#include "vector.h"

namespace dunwu {

// To the nearest, ties to even; what is no number stays none.
inline uint32_t round_to_bfloat16(float value) {
    uint32_t bits;
    std::memcpy(&bits, &value, sizeof bits);
    const uint32_t rounded = (bits + 0x7fff + (bits >> 16 & 1)) >> 16;
    return value == value ? rounded : 0x7fc0;
}

inline uint32_t join_pair(float first, float second) {
    return round_to_bfloat16(first) | round_to_bfloat16(second) << 16;
}

typedef uint32_t BitVector __attribute__((vector_size(WIDTH * 4)));

// Numbers of 16 bits in the lower halves of 32.
inline BitVector widen_bits(const uint16_t* from) {
    typedef uint16_t HalfVector __attribute__((vector_size(WIDTH * 2)));
    HalfVector bits;
    std::memcpy(&bits, from, sizeof bits);
    return __builtin_convertvector(bits, BitVector);
}

// As `round_to_bfloat16`, in the upper halves.
inline BitVector round_each(Vector values) {
    const BitVector bits = (BitVector)values;
    const BitVector rounded = (bits + 0x7fff + (bits >> 16 & 1)) & 0xffff0000u;
    return values == values ? rounded : BitVector{} + 0x7fc00000u;
}

// As `join_pair`.
inline BitVector join_each(Vector firsts, Vector seconds) { return round_each(firsts) >> 16 | round_each(seconds); }

// Two numbers of a left matrix, as the processor takes them.
#if defined(__AVX512BF16__)
struct Pair {
    uint32_t bits;
};

// The instruction below takes the smallest numbers for zero.
inline float flush(float value) { return __builtin_fabsf(value) < __FLT_MIN__ ? 0.0f * value : value; }

inline Pair make_pair(float first, float second) { return {join_pair(flush(first), flush(second))}; }

// Make pairs of neighbours: those of `a`, then those of `b`.
inline void store_pairs(Pair* to, Vector a, Vector b) {
    const __m512bh pairs = _mm512_cvtne2ps_pbh((__m512)b, (__m512)a);
    std::memcpy(to, &pairs, sizeof pairs);
}
#else
struct Pair {
    float first, second;
};

inline float widen(uint32_t bits) {
    bits <<= 16;
    float value;
    std::memcpy(&value, &bits, sizeof value);
    return value;
}

inline Pair make_pair(float first, float second) {
    return {widen(round_to_bfloat16(first)), widen(round_to_bfloat16(second))};
}

inline void store_pairs(Pair* to, Vector a, Vector b) {
    store(&to->first, (Vector)round_each(a));
    store(&to->first + WIDTH, (Vector)round_each(b));
}

inline BitVector load_bits(const uint32_t* from) {
    BitVector bits;
    std::memcpy(&bits, from, sizeof bits);
    return bits;
}

inline Vector widen_first(BitVector pairs) { return (Vector)(pairs << 16); }

inline Vector widen_second(BitVector pairs) { return (Vector)(pairs & 0xffff0000u); }
#endif

}  // namespace dunwu
