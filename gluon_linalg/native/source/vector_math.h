// Elementary functions of registers of float64, to about one unit in the last place.
#pragma once

#include "lanes.h"

namespace gluon_linalg {
namespace GL_LEVEL {

using Real = Lanes<double>;
typedef uint64_t Words __attribute__((vector_size(GL_BYTES)));

// e^x for x <= 700; 0 below -708, where it is smaller than normal numbers.
inline Real exponential_below(Real x) {
  // Adding it rounds to a whole number, which the last bits of the sum then hold.
  constexpr double rounder = 0x1.8p52;
  const Real shifted = x * 1.4426950408889634 + rounder;
  const Real n = shifted - rounder;
  // x - n log 2 in two parts: the first product and difference are exact.
  const Real most = x - n * 6.93147180369123816490e-01, rest = n * 1.90821492927058770002e-10;
  const Real r = most - rest, lost = (most - r) - rest;
  Real tail = all(1.0 / 6227020800.0);
  tail = tail * r + 1.0 / 479001600.0;
  tail = tail * r + 1.0 / 39916800.0;
  tail = tail * r + 1.0 / 3628800.0;
  tail = tail * r + 1.0 / 362880.0;
  tail = tail * r + 1.0 / 40320.0;
  tail = tail * r + 1.0 / 5040.0;
  tail = tail * r + 1.0 / 720.0;
  tail = tail * r + 1.0 / 120.0;
  tail = tail * r + 1.0 / 24.0;
  tail = tail * r + 1.0 / 6.0;
  tail = tail * r + 0.5;
  const Real value = 1.0 + (r + (r * r * tail + lost));
  const Words exponent = ((Words)shifted << 52) + 0x3ff0000000000000;
  return x < -708.0 ? Real{} : value * (Real)exponent;
}

// log(1 + x) for x >= 0, after fdlibm.
inline Real log1p_above(Real x) {
  constexpr double rounder = 0x1.8p52;
  const Real u = 1.0 + x;
  // What was lost in u.
  const Real lost = x > 1.0 ? 1.0 - (u - x) : x - (u - 1.0);
  // u = 2^k m with m between sqrt(½) and sqrt(2).
  const Words bits = (Words)u;
  const Words exponent = (bits - 0x3fe6a09e00000000) >> 52;
  const Real f = (Real)(bits - (exponent << 52)) - 1.0;
  const Real k = (Real)(exponent + 0x4338000000000000) - rounder;
  const Real s = f / (2.0 + f), z = s * s;
  Real series = all(1.479819860511658591e-01);
  series = series * z + 1.531383769920937332e-01;
  series = series * z + 1.818357216161805012e-01;
  series = series * z + 2.222219843214978396e-01;
  series = series * z + 2.857142874366239149e-01;
  series = series * z + 3.999999999940941908e-01;
  series = series * z + 6.666666666666735130e-01;
  series = series * z;
  const Real half = 0.5 * f * f;
  const Real low = k * 1.90821492927058770002e-10 + lost / u;
  return k * 6.93147180369123816490e-01 - ((half - (s * (half + series) + low)) - f);
}

inline double sum_of_lanes(Real x) {
  double sum = 0.0;
  for (int i = 0; i < width<double>; ++i) sum += x[i];
  return sum;
}

// Registers at addresses that need not be aligned to them.
inline Real load_from(const double* p) {
  Real x;
  __builtin_memcpy(&x, p, sizeof x);
  return x;
}
inline void store_to(double* p, Real x) { __builtin_memcpy(p, &x, sizeof x); }

}  // namespace GL_LEVEL
}  // namespace gluon_linalg
