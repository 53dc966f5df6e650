// SPDX-License-Identifier: Apache-2.0
// engine/core/error.h — the one exception type. Bad input throws it; asserts are only for fovea's own bugs.
#pragma once
#include <exception>
#include <string>
#include <string_view>

#include "engine/core/text.h"

namespace fovea {

class Error : public std::exception {
 public:
  enum class Kind {
    argument,     // a value that cannot be: rate -1, axis 7 of a rank-4 tensor
    shape,        // operands whose shapes, dtypes or devices do not go together
    not_found,    // a model, tag, file or tensor that does not exist
    format,       // bytes that are not what they claim to be
    weights,      // weights that do not fit a model
    unsupported,  // nothing here can do this
    io,           // the operating system said no
    internal,     // a bug in fovea
  };
  /// `what` says what is wrong with the values in it; `help` (may be empty) where, and what would fix it.
  Error(Kind kind, std::string what, std::string help = {});

  Kind kind() const { return kind_; }
  const char* what() const noexcept override { return text_.c_str(); }   // both lines, without a "fovea: " prefix
  const std::string& summary() const { return summary_; }               // the first line alone

 private:
  Kind kind_;
  std::string summary_, text_;
};

}  // namespace fovea
