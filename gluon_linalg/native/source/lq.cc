// The LQ factorization.
//
// gelqf              Q and L with A = L Q, Q Qᵀ = I, the diagonal of L >= 0, m <= n
// independent_rows   1 where the rows of L are independent up to rounding

#include "lq.h"
#include "pieces.h"

namespace gluon_linalg {
namespace GL_LEVEL {
namespace {

// Whether batch elements share registers.
template <class T>
bool small(int64_t m, int64_t n, int64_t batch) {
  return (m <= 16 && n <= 48) || (m <= 64 && n <= 2 * m + 16 && batch >= 4 && 2 * batch >= width<T>);
}

double cost_of(int64_t m, int64_t n) { return 0.3 * double(m) * double(m) * double(n) + 50; }

// 1 where |L⁻¹| < 1 / (32 ε) for the rows of L (m, m) at length 1, as functional/lq.py says.
template <class V>
V independent(View<V> l, View<V> room, int64_t m, bool threads) {
  using T = Number<V>;
  const V one = V{} + 1, none{};
  for (int64_t i = 0; i < m; ++i) {
    V largest{}, squares{};
    for (int64_t j = 0; j <= i; ++j) largest = larger(magnitude(l(i, j)), largest);
    for (int64_t j = 0; j <= i; ++j) {
      room(i, j) = l(i, j) / largest;
      squares += room(i, j) * room(i, j);
    }
    const V length = root(squares);
    for (int64_t j = 0; j <= i; ++j) room(i, j) /= length;
  }
  invert_lower(room, m, threads);
  V squares{};
  for (int64_t i = 0; i < m; ++i)
    for (int64_t j = 0; j <= i; ++j) squares += room(i, j) * room(i, j);
  const T bound = 32 * (sizeof(T) == 8 ? T(0x1p-53) : T(0x1p-24));
  return squares * (bound * bound) < 1 ? one : none;
}

// ---- gelqf

void orthogonal_and_lower(const Attributes&, const Shape* input, Shape* output) {
  const Shape& a = input[0];
  if (a.axes < 2 || a[-2] > a[-1]) fail("gelqf takes matrices (..., m, n) with m <= n");
  output[0] = output[1] = a;
  output[1].size[a.axes - 1] = a[-2];
}

void gelqf(const Call& call) {
  const Shape& shape = call.input[0].shape;
  const int64_t m = shape[-2], n = shape[-1], batch = shape.product(0, -2);
  by_type(call.input[0].type, [&](auto zero) {
    using T = decltype(zero);
    const T* a = call.input[0].as<T>();
    T *to_q = call.output[0].as<T>(), *to_l = call.output[1].as<T>();
    const int64_t room = room_of(m);
    for_each<T>(batch, small<T>(m, n, batch), cost_of(m, n), m * n + 2 * m * m + m + room + 64,
                m * (m + n), [&](auto piece) {
                  const auto q = piece.target(to_q, m, n), l = piece.target(to_l, m, m);
                  const auto v = piece.space(m, n), t = piece.space(m, m);
                  const auto m_of = piece.space(m, m), signs = piece.space(1, m);
                  piece.copy(a, v, m, n);
                  const bool threads = piece.threads && m >= least_of_threads;
                  const auto failure = decompose(v, l, t, m_of, signs.at, m, n,
                                                 piece.space(1, room).at, threads);
                  orthogonal_rows(v, m_of, signs.at, q, m, n, failure, threads);
                  piece.put(q, to_q, m, n);
                  piece.put(l, to_l, m, m);
                });
  });
}

template <class T>
bool all_zero(const T* x, int64_t size) {
  for (int64_t first = 0; first < size; first += 1024) {
    const int64_t past = first + 1024 < size ? first + 1024 : size;
    bool some = false;
    for (int64_t i = first; i < past; ++i) some |= !(x[i] == 0);
    if (some) return false;
  }
  return true;
}

// The gradient that functional/lq.py states, with U the part above the diagonal and
// N = Lᵀ tril(L̄), S = Q̄ Qᵀ:
//
//   Ā = tril(L̄) Q + L⁻ᵀ (Q̄ - S Q + U(S - N - (S - N)ᵀ) Q).
//
// With `uses_q`, Q̄ lies where Ā will be; else it is 0. NaN where the rows are dependent and Q̄ is not 0.
template <class V>
void decompose_adjoint(View<V> q, View<V> l, View<V> by_l, View<V> out, View<V> scaled, View<V> inner,
                       View<V> work, V* kept, int64_t m, int64_t n, bool uses_q, bool threads) {
  using T = Number<V>;
  const V one = V{} + 1, none{};
  // Pivots that are rounding are left out, with their rows.
  const T rounding = 32 * (sizeof(T) == 8 ? T(0x1p-53) : T(0x1p-24));
  V greatest{};
  for (int64_t i = 0; i < m; ++i) {
    V largest{};
    const V* row = &l(i, 0);
    for (int64_t j = 0; j <= i; ++j) largest = larger(magnitude(row[j]), largest);
    kept[i] = magnitude(row[i]) > rounding * largest ? one : none;
    greatest = larger(largest, greatest);
  }
  const V inverse = 1 / power_below(greatest);
  const auto rows = [&](const auto& body) {
    parallel_if(threads, m, 0.3 * double(n), [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) body(i);
    });
  };
  const auto lower_part = [&] {
    rows([&](int64_t i) {
      V* to = &work(i, 0);
      const V* from = &by_l(i, 0);
      for (int64_t j = 0; j <= i; ++j) to[j] = from[j];
      for (int64_t j = i + 1; j < m; ++j) to[j] = none;
    });
  };
  lower_part();
  rows([&](int64_t i) {
    V* to = &scaled(i, 0);
    const V* from = &l(i, 0);
    for (int64_t j = 0; j < m; ++j) to[j] = from[j] * inverse;
  });
  // -N, then S - N.
  set_product(-1, scaled.transposed(), work, inner, m, m, m, threads, upper_left | lower_right);
  V failure{};
  if (uses_q) {
    V used{};
    for (int64_t i = 0; i < m; ++i) {
      V* row = &out(i, 0);
      used += sum_over(row, row, n, [](auto x, auto) { return x < 0 ? -x : x; });
      for (int64_t j = 0; j < n; ++j) row[j] *= inverse;
    }
    const V holds = independent(l, work, m, threads);
    failure = holds > 0 ? none : used > 0 ? not_a_number(one) : none;
    set_product(1, out, q.transposed(), work, m, m, n, threads, lower_result);
  } else {
    fill(work, m, m, 0);
  }
  // Above the diagonal U - S, below it -S: in squares, of which some are read against their rows.
  constexpr int64_t block = 16;
  parallel_if(threads, (m + block - 1) / block, double(block * m), [&](int64_t begin, int64_t end) {
    for (int64_t i0 = begin * block; i0 < end * block; i0 += block)
      for (int64_t j0 = i0; j0 < m; j0 += block)
        for (int64_t i = i0; i < m && i < i0 + block; ++i) {
          for (int64_t j = i < j0 ? j0 : i + 1; j < m && j < j0 + block; ++j) {
            inner(i, j) = inner(i, j) - inner(j, i) - work(j, i);
            inner(j, i) = -work(j, i);
          }
          if (i0 == j0) inner(i, i) = -work(i, i);
        }
  });
  for (int64_t i = 0; i < m; ++i) {
    V* row = &scaled(i, 0);
    for (int64_t j = 0; j < i; ++j) row[j] = kept[i] > 0 ? row[j] : none;
    row[i] = kept[i] > 0 ? row[i] : one;
  }
  const auto solve_and_mask = [&](View<V> x, int64_t columns) {
    solve_upper(scaled.transposed(), x, m, columns, threads);
    rows([&](int64_t i) {
      V* row = &x(i, 0);
      for (int64_t j = 0; j < columns; ++j) row[j] = kept[i] > 0 ? row[j] : none;
    });
  };
  lower_part();
  if (uses_q) {
    add_product(1, inner, q, out, m, n, m, threads);
    solve_and_mask(out, n);
    add_product(1, work, q, out, m, n, m, threads, lower_left);
  } else {
    solve_and_mask(inner, m);
    for (int64_t i = 0; i < m; ++i) add_row(one, &inner(i, 0), &work(i, 0), m);
    set_product(1, work, q, out, m, n, m, threads);
  }
  spoil(out, m, n, failure);
}

void gelqf_backward(const Call& call) {
  const Shape& shape = call.input[0].shape;
  const int64_t m = shape[-2], n = shape[-1], batch = shape.product(0, -2);
  by_type(call.input[0].type, [&](auto zero) {
    using T = decltype(zero);
    const T *q_given = call.output[0].as<T>(), *l_given = call.output[1].as<T>();
    const T *by_q_given = call.output_gradient[0].as<T>();
    const T *by_l_given = call.output_gradient[1].as<T>();
    T* to = call.input_gradient[0].as<T>();
    const bool uses_q = !all_zero(by_q_given, batch * m * n);
    for_each<T>(batch, small<T>(m, n, batch), 2 * cost_of(m, n), 3 * m * m + m + 64, 2 * m * n + 2 * m * m,
                [&](auto piece) {
                  const auto q = piece.read(q_given, m, n), l = piece.read(l_given, m, m);
                  const auto by_l = piece.read(by_l_given, m, m), out = piece.target(to, m, n);
                  const auto scaled = piece.space(m, m), inner = piece.space(m, m);
                  const auto work = piece.space(m, m), kept = piece.space(1, m);
                  if (uses_q) piece.copy(by_q_given, out, m, n);
                  decompose_adjoint(q, l, by_l, out, scaled, inner, work, kept.at, m, n,
                                    uses_q, piece.threads);
                  piece.put(out, to, m, n);
                });
  });
}

GL_OPERATOR("_gluon_linalg_gelqf", one, two, orthogonal_and_lower, gelqf, gelqf_backward, false);

// ---- independent_rows

void one_number(const Attributes&, const Shape* input, Shape* output) {
  const Shape& l = input[0];
  if (l.axes < 2 || l[-1] != l[-2]) fail("independent_rows takes square matrices (..., m, m)");
  output[0] = l;
  output[0].axes -= 1;
  output[0].size[l.axes - 2] = 1;
}

void independent_rows(const Call& call) {
  const Shape& shape = call.input[0].shape;
  const int64_t m = shape[-1], batch = shape.product(0, -2);
  by_type(call.input[0].type, [&](auto zero) {
    using T = decltype(zero);
    const T* given = call.input[0].as<T>();
    T* to = call.output[0].as<T>();
    for_each<T>(batch, small<T>(m, m, batch), cost_of(m, m), m * m + 16, m * m + 1, [&](auto piece) {
      const auto l = piece.read(given, m, m), out = piece.target(to, 1, 1);
      out(0, 0) = independent(l, piece.space(m, m), m, piece.threads);
      piece.put(out, to, 1, 1);
    });
  });
}

GL_OPERATOR("_gluon_linalg_independent_rows", one, one, one_number, independent_rows, no_gradient,
            false);

}  // namespace
}  // namespace GL_LEVEL
}  // namespace gluon_linalg
