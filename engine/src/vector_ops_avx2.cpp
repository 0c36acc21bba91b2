#include "lanes_avx2.h"
#include "vector_ops_impl.h"

namespace pp {

const VectorOps* vector_ops_avx2() { return &kOps; }

}  // namespace pp
