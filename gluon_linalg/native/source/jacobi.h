// Singular values of small matrices.
#pragma once

#include "lanes.h"

namespace gluon_linalg {
namespace GL_LEVEL {

inline void rotate(int64_t n, double cosine, double sine, double* x, double* y) {
  for (int64_t k = 0; k < n; ++k) {
    const double before = x[k];
    x[k] = cosine * before - sine * y[k];
    y[k] = sine * before + cosine * y[k];
  }
}

// A = U diag(s) Vᵀ of (n, n) by one-sided Jacobi rotations (Hestenes 1958): `a` holds the columns
// of A one after another, and then those of U (0 where s is 0); v gets the columns of V.
inline void singular_values(int64_t n, double* a, double* v, double* s) {
  for (int64_t k = 0; k < n * n; ++k) v[k] = k % (n + 1) == 0;
  const double enough = 0x1p-51;
  for (int sweep = 0; sweep < 40; ++sweep) {
    bool is_done = true;
    for (int64_t i = 0; i + 1 < n; ++i) {
      for (int64_t j = i + 1; j < n; ++j) {
        double *x = a + i * n, *y = a + j * n;
        double xx = 0, yy = 0, xy = 0;
        for (int64_t k = 0; k < n; ++k) xx += x[k] * x[k], yy += y[k] * y[k], xy += x[k] * y[k];
        if (!(xy * xy > enough * enough * xx * yy) || xx == 0 || yy == 0) continue;
        is_done = false;
        const double zeta = (yy - xx) / (2 * xy);
        const double tangent =
            (zeta < 0 ? -1 : 1) / ((zeta < 0 ? -zeta : zeta) + __builtin_sqrt(1 + zeta * zeta));
        const double cosine = 1 / __builtin_sqrt(1 + tangent * tangent), sine = cosine * tangent;
        rotate(n, cosine, sine, x, y);
        rotate(n, cosine, sine, v + i * n, v + j * n);
      }
    }
    if (is_done) break;
  }
  for (int64_t i = 0; i < n; ++i) {
    double square = 0;
    for (int64_t k = 0; k < n; ++k) square += a[i * n + k] * a[i * n + k];
    s[i] = __builtin_sqrt(square);
    for (int64_t k = 0; k < n; ++k) a[i * n + k] = s[i] > 0 ? a[i * n + k] / s[i] : square;
  }
}

}  // namespace GL_LEVEL
}  // namespace gluon_linalg
