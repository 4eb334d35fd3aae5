// Products with matrices that are mostly 0 in the same places for all batch elements, as transitions
// of structural models are: where these places are is found once for a call.
#pragma once

#include "over_time.h"

namespace gluon_linalg {
namespace GL_LEVEL {

// Of each column of a matrix the rows in which it may be other than 0.
class Columns {
 public:
  static constexpr int64_t most = 32;

  bool any() const { return columns_ > 0; }
  // Of a matrix with no more rows or columns than `most`, if less than half of it counts.
  template <class Counts>
  void find(int64_t rows, int64_t columns, const Counts& counts) {
    columns_ = 0;
    if (rows > most || columns > most) return;
    int64_t total = 0;
    for (int64_t j = 0; j < columns; ++j) {
      count_[j] = 0;
      for (int64_t i = 0; i < rows; ++i)
        if (counts(i, j)) row_[j][count_[j]++] = uint8_t(i);
      total += count_[j];
    }
    if (2 * total < rows * columns) columns_ = columns;
  }

  // C = A B, C += A B or C -= A B, B being that matrix, of lanes.
  template <Result result, class E>
  __attribute__((noinline)) void product(int64_t rows, const E* a, int64_t a_row, const E* b,
                                         int64_t b_row, E* c, int64_t c_row) const {
    // As many rows at once as hide how long a sum takes, all pieces being about as large.
    for (int64_t pieces = (rows + 7) / 8; pieces > 0; --pieces) {
      const int64_t own = rows / pieces;
      switch (own) {
        case 8: some<result, 8>(a, a_row, b, b_row, c, c_row); break;
        case 7: some<result, 7>(a, a_row, b, b_row, c, c_row); break;
        case 6: some<result, 6>(a, a_row, b, b_row, c, c_row); break;
        case 5: some<result, 5>(a, a_row, b, b_row, c, c_row); break;
        case 4: some<result, 4>(a, a_row, b, b_row, c, c_row); break;
        case 3: some<result, 3>(a, a_row, b, b_row, c, c_row); break;
        case 2: some<result, 2>(a, a_row, b, b_row, c, c_row); break;
        default: some<result, 1>(a, a_row, b, b_row, c, c_row);
      }
      rows -= own, a += own * a_row, c += own * c_row;
    }
  }

  // C += Bᵀ A where that is symmetric, (columns, columns).
  template <class E>
  __attribute__((noinline)) void add_symmetric_product(const E* b, int64_t b_row, const E* a,
                                                       int64_t a_row, E* c, int64_t c_row) const {
    for (int64_t i = 0; i < columns_; ++i) {
      int64_t j = i;
      for (; j + 4 <= columns_; j += 4) combine<4>(i, b + i, b_row, a + j, a_row, c + i * c_row + j);
      for (; j < columns_; ++j) combine<1>(i, b + i, b_row, a + j, a_row, c + i * c_row + j);
      for (j = i + 1; j < columns_; ++j) c[j * c_row + i] = c[i * c_row + j];
    }
  }

 private:
  template <Result result, int rows, class E>
  GL_INLINE void some(const E* a, int64_t a_row, const E* b, int64_t b_row, E* c,
                      int64_t c_row) const {
    for (int64_t j = 0; j < columns_; ++j) {
      E sum[rows];
      for (int i = 0; i < rows; ++i) sum[i] = result == set ? E{} : c[i * c_row + j];
      for (int l = 0; l < count_[j]; ++l) {
        const int64_t k = row_[j][l];
        const E x = b[k * b_row + j];
        for (int i = 0; i < rows; ++i)
          sum[i] = result == subtract ? sum[i] - a[i * a_row + k] * x
                                      : sum[i] + a[i * a_row + k] * x;
      }
      for (int i = 0; i < rows; ++i) c[i * c_row + j] = sum[i];
    }
  }
  template <int count, class E>
  GL_INLINE void combine(int64_t i, const E* b, int64_t b_row, const E* a, int64_t a_row,
                         E* c) const {
    E sum[count];
    for (int j = 0; j < count; ++j) sum[j] = c[j];
    for (int l = 0; l < count_[i]; ++l) {
      const int64_t k = row_[i][l];
      const E x = b[k * b_row];
      for (int j = 0; j < count; ++j) sum[j] += x * a[k * a_row + j];
    }
    for (int j = 0; j < count; ++j) c[j] = sum[j];
  }

  int64_t columns_ = 0;
  int count_[most];
  uint8_t row_[most][most];
};

// `product` by a matrix of which that may be known.
template <Result result, class E, class M, class K, class N>
GL_INLINE void product_by(const Columns& places, M rows, K inner, N across, const E* a,
                          int64_t a_row, const E* b, int64_t b_row, E* c, int64_t c_row) {
  if constexpr (is_batch<E> && !is_known<K>)
    if (places.any()) return places.product<result>(rows, a, a_row, b, b_row, c, c_row);
  product<result, E>(rows, inner, across, {a, a_row, 1}, b, b_row, c, c_row);
}

// Where an array may be other than 0 at any time, for any batch element, as `counts` above: all over
// in large ones, whose numbers take longer to look through than is gained.
template <class T>
inline auto places_of(const Steps& steps) {
  return [steps](int64_t i, int64_t j) {
    const T* numbers = static_cast<const T*>(steps.data);
    const int64_t count = steps.times * steps.batch * steps.size;
    if (count > 4096) return true;
    for (int64_t k = i * steps.columns + j; k < count; k += steps.size)
      if (!(numbers[k] == T(0))) return true;
    return false;
  };
}

}  // namespace GL_LEVEL
}  // namespace gluon_linalg
