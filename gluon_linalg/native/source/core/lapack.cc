#include "lapack.h"

#include <dlfcn.h>

namespace gluon_linalg {
namespace {

void* openblas() {
  // Loaded by libmxnet.so, and found by the name under which it was.
  static void* const handle = dlopen("libopenblas.so.0", RTLD_LAZY | RTLD_NOLOAD);
  return handle;
}

template <class Function>
Function* threading(const char* name) {
  return reinterpret_cast<Function*>(blas_routine(name));
}

}  // namespace

void* blas_routine(const char* name) { return openblas() ? dlsym(openblas(), name) : nullptr; }

BlasThreads::BlasThreads(int count) : before_(0) {
  static const auto get = threading<int()>("omp_get_max_threads");
  static const auto set = threading<void(int)>("omp_set_num_threads");
  if (get && set) {
    before_ = get();
    set(count);
  }
}

BlasThreads::~BlasThreads() {
  static const auto set = threading<void(int)>("omp_set_num_threads");
  if (before_ > 0 && set) set(before_);
}

}  // namespace gluon_linalg
