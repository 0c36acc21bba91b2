#include "lanes_generic.h"
#include "vector_ops_impl.h"

namespace pp {

const VectorOps* vector_ops_scalar() { return &kOps; }

}  // namespace pp
