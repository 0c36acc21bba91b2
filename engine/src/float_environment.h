// Rounding to nearest with denormals, whatever the calling thread has set; restored at the end of the scope.
#ifndef POCKETPHI_FLOAT_ENVIRONMENT_H_
#define POCKETPHI_FLOAT_ENVIRONMENT_H_

#include <cfenv>

namespace pp {

class DefaultFloatEnvironment {
 public:
  DefaultFloatEnvironment() {
    fegetenv(&saved_);
    fesetenv(FE_DFL_ENV);
  }
  ~DefaultFloatEnvironment() { fesetenv(&saved_); }
  DefaultFloatEnvironment(const DefaultFloatEnvironment&) = delete;
  DefaultFloatEnvironment& operator=(const DefaultFloatEnvironment&) = delete;

 private:
  fenv_t saved_;
};

}  // namespace pp

#endif  // POCKETPHI_FLOAT_ENVIRONMENT_H_
