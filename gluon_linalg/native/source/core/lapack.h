// LAPACK and BLAS from the library that MXNet itself has loaded. Matrices are stored by columns.
#pragma once

#include "operator.h"

namespace gluon_linalg {

// The address of a routine such as "dpotrf_", nullptr where MXNet brings no OpenBLAS.
void* blas_routine(const char* name);

// For as long as it lives, routines that this thread calls take so many threads. MXNet's OpenBLAS
// takes those of OpenMP, whose number belongs to the calling thread: nothing else in the process
// notices. Everything that parallel_for calls has to set 1.
class BlasThreads {
 public:
  explicit BlasThreads(int count);
  BlasThreads(const BlasThreads&) = delete;
  BlasThreads& operator=(const BlasThreads&) = delete;
  ~BlasThreads();

 private:
  int before_;
};

// A routine as a function of the given type, looked up once at each place:
//   static void* const found = blas_routine("dpotrf_");
//   as_routine<void(const char*, const int*, double*, const int*, int*)>(found, "dpotrf_")(...);
// `fail` where it is not there. Integers are int, lengths of texts are left out.
template <class Function>
GL_INLINE Function* as_routine(void* address, const char* name) {
  if (!address) fail("MXNet has no LAPACK routine %s", name);
  return reinterpret_cast<Function*>(address);
}

}  // namespace gluon_linalg
