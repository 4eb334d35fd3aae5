// Products of matrices, of numbers and of registers: all of the linear algebra here comes down to
// them. Written for either in product.cc.
#pragma once

#include "view.h"

namespace gluon_linalg {
namespace GL_LEVEL {

// What is known of the factors of C = A B and wanted of it; sums of these. Triangles have zeros on
// their other side, which are not always read. Of a result that is wanted on one side of its
// diagonal what is on the other is undefined.
enum Form {
  general = 0,
  lower_result = 1,
  upper_result = 2,
  lower_left = 4,
  upper_left = 8,
  lower_right = 16,
  upper_right = 32,
};

// C += s A B, (m, k) and (k, n), on several threads where that is allowed and worth it. Columns or
// rows of C follow each other without gaps unless they are registers.
void add_product(double s, View<double> a, View<double> b, View<double> c, int64_t m, int64_t n,
                 int64_t k, bool threads, int form = general);
void add_product(float s, View<float> a, View<float> b, View<float> c, int64_t m, int64_t n,
                 int64_t k, bool threads, int form = general);
void add_product(double s, View<Lanes<double>> a, View<Lanes<double>> b, View<Lanes<double>> c,
                 int64_t m, int64_t n, int64_t k, bool threads, int form = general);
void add_product(float s, View<Lanes<float>> a, View<Lanes<float>> b, View<Lanes<float>> c,
                 int64_t m, int64_t n, int64_t k, bool threads, int form = general);

// C = s A B; rows of C are without gaps.
template <class V>
inline void set_product(Number<V> s, View<V> a, View<V> b, View<V> c, int64_t m, int64_t n,
                        int64_t k, bool threads, int form = general) {
  fill(c, m, n, 0);
  add_product(s, a, b, c, m, n, k, threads, form);
}
void set_product(double s, View<Lanes<double>> a, View<Lanes<double>> b, View<Lanes<double>> c,
                 int64_t m, int64_t n, int64_t k, bool threads, int form = general);
void set_product(float s, View<Lanes<float>> a, View<Lanes<float>> b, View<Lanes<float>> c,
                 int64_t m, int64_t n, int64_t k, bool threads, int form = general);

// The lower triangle of C += s B Bᵀ, B (n, k).
template <class V>
inline void add_square(Number<V> s, View<V> b, View<V> c, int64_t n, int64_t k, bool threads) {
  add_product(s, b, b.transposed(), c, n, n, k, threads, lower_result);
}

}  // namespace GL_LEVEL
}  // namespace gluon_linalg
