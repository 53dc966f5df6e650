// SPDX-License-Identifier: Apache-2.0
// test/support/fibers.h — functions with stacks of their own that give way to one another on one thread.
#pragma once
#include <cstddef>
#include <exception>

namespace fovea::test {

/// A function that can stop in its middle. AddressSanitizer knows of its stack. Not for use under ThreadSanitizer.
class Fiber {
 public:
  Fiber();
  ~Fiber();
  Fiber(const Fiber&) = delete;
  Fiber& operator=(const Fiber&) = delete;

  /// Begins function(context) anew; what ran here before must have ended. Like resume(), it returns at the next
  /// give_way() or at the function's end.
  void begin(void (*function)(void* context), void* context);
  void resume();
  void give_way();                                 // by the function itself
  bool ended() const { return ended_; }
  /// What the function threw; null: nothing.
  std::exception_ptr error() const { return error_; }

 private:
  static void enter();
  static void enter(Fiber* self);
  void prepare();                                  // the stack, so that the first switch enters
  void switch_in();
  void switch_out();

  static constexpr size_t kStack = size_t{256} << 10;
  std::byte* stack_;
  void *inside_ = nullptr, *outside_ = nullptr;    // where either side stopped
  void (*function_)(void*) = nullptr;
  void* context_ = nullptr;
  bool ended_ = true;
  std::exception_ptr error_;
  const void* outer_bottom_ = nullptr;             // AddressSanitizer's words for the stack that resumed
  size_t outer_size_ = 0;
};

}  // namespace fovea::test
