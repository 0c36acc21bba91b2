// The last failure of a thread, as one line for a person.
#ifndef POCKETPHI_ERROR_H_
#define POCKETPHI_ERROR_H_

#include "pocketphi.h"

namespace pp {

// Stores the formatted message for pp_last_error() and returns `status`, so that a check reads
// `return fail(PP_INVALID, "...")`.
__attribute__((format(printf, 2, 3))) pp_status fail(pp_status status, const char* format, ...);

}  // namespace pp

// Leaves the function with a status that is not PP_OK.
#define PP_TRY(call)                                                         \
  do {                                                                       \
    if (const pp_status tried = (call); tried != PP_OK) return tried;        \
  } while (false)

#endif  // POCKETPHI_ERROR_H_
