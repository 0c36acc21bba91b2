#include "lanes_avx512.h"
#include "vector_ops_impl.h"

namespace pp {

const VectorOps* vector_ops_avx512() { return &kOps; }

}  // namespace pp
