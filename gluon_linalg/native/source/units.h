// Powers of 2 in numbers, and the logarithm of a product of many.
#pragma once

#include "small_matrix.h"

namespace gluon_linalg {
namespace GL_LEVEL {

// The exponent of the power of 2 in a positive number, and the number without it.
template <class E>
struct Bits;
template <>
struct Bits<double> {
  typedef int64_t Integer;
};
template <>
struct Bits<float> {
  typedef int32_t Integer;
};
template <>
struct Bits<Lanes<double>> {
  typedef Pack<double>::Mask Integer;
};
template <>
struct Bits<Lanes<float>> {
  typedef Pack<float>::Mask Integer;
};
template <class E>
struct Exponent {
  typedef typename Bits<E>::Integer Integer;
  typedef typename Element<E>::T T;
  static constexpr int shift = sizeof(T) == 8 ? 52 : 23, bias = sizeof(T) == 8 ? 1023 : 127;

  static GL_INLINE E number(const Integer& x) {
    if constexpr (is_batch<E>)
      return __builtin_convertvector(x, E);
    else
      return E(x);
  }
  static GL_INLINE E split(E x, E* rest) {
    Integer bits;
    std::memcpy(&bits, &x, sizeof x);
    const Integer field = (bits >> shift) & (2 * bias + 1);
    bits = bits - (field << shift) + ((Integer{} + bias) << shift);
    std::memcpy(rest, &bits, sizeof x);
    return number(field - bias);
  }
  // 2 to the power of an integer.
  static GL_INLINE E power(E exponent) {
    Integer bits;
    if constexpr (is_batch<E>)
      bits = __builtin_convertvector(exponent, Integer);
    else
      bits = Integer(exponent);
    bits = (bits + bias) << shift;
    E result;
    std::memcpy(&result, &bits, sizeof result);
    return result;
  }
};

// The logarithm of a product of many positive numbers.
template <class E>
struct Logarithms {
  E product = E{} + 1, exponents = E{};
  int left = most;
  static constexpr int most = sizeof(typename Element<E>::T) == 8 ? 1000 : 100;

  GL_INLINE void add(E x) {
    E rest;
    exponents += Exponent<E>::split(x, &rest);
    product *= rest;
    if (--left == 0) renew();
  }
  void renew() {
    E rest;
    exponents += Exponent<E>::split(product, &rest);
    product = rest;
    left = most;
  }
  E sum() { return logarithm(product) + exponents * typename Element<E>::T(__builtin_log(2.0)); }
};

// The largest of some numbers in size, and of another one.
template <class E>
E largest_of(int64_t count, const E* numbers, E largest) {
  typedef typename Element<E>::T T;
  for (int64_t k = 0; k < count; ++k) {
    const E size = signed_as(numbers[k], E{} + T(1));
    largest = size > largest ? size : largest;
  }
  return largest;
}

// 1 / unit, a power of 2: 1 unless squares of numbers up to the largest are out of range.
template <class E>
E per_unit_for(E largest) {
  typedef typename Element<E>::T T;
  const T within = sizeof(T) == 8 ? 200 : 24, most = sizeof(T) == 8 ? 1000 : 120;
  E rest, exponent = Exponent<E>::split(largest > 0 ? largest : E{} + T(1), &rest);
  exponent = exponent > most ? E{} + most : exponent < -most ? E{} - most : exponent;
  exponent = exponent > within || exponent < -within ? exponent : E{};
  return Exponent<E>::power(-exponent);
}

}  // namespace GL_LEVEL
}  // namespace gluon_linalg
