// SPDX-License-Identifier: Apache-2.0
#include "test/support/fibers.h"

#include <sys/mman.h>

#include <cstdint>
#include <new>

#if !defined(__x86_64__)
#include <ucontext.h>
#endif
#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/common_interface_defs.h>
#endif

namespace fovea::test {
namespace {

thread_local Fiber* entering = nullptr;

void leaves_for(void** fake, const void* bottom, size_t size) {
#if defined(__SANITIZE_ADDRESS__)
  __sanitizer_start_switch_fiber(fake, bottom, size);
#else
  (void)fake, (void)bottom, (void)size;
#endif
}
void arrived(void* fake, const void** bottom, size_t* size) {
#if defined(__SANITIZE_ADDRESS__)
  __sanitizer_finish_switch_fiber(fake, bottom, size);
#else
  (void)fake, (void)bottom, (void)size;
#endif
}

}  // namespace

#if defined(__x86_64__)

// What a call preserves goes on the stack, and the stacks change places. A system call, as ucontext makes for signal
// masks, would take a hundred times as long.
extern "C" void fovea_test_switch_stacks(void** from, void* to);
asm(R"(
.text
.globl fovea_test_switch_stacks
.type fovea_test_switch_stacks, @function
fovea_test_switch_stacks:
  pushq %rbp
  pushq %rbx
  pushq %r12
  pushq %r13
  pushq %r14
  pushq %r15
  movq %rsp, (%rdi)
  movq %rsi, %rsp
  popq %r15
  popq %r14
  popq %r13
  popq %r12
  popq %rbx
  popq %rbp
  ret
.size fovea_test_switch_stacks, .-fovea_test_switch_stacks
)");

void Fiber::prepare() {
  auto* top = reinterpret_cast<void**>(stack_ + kStack);
  *--top = nullptr;                                // a frame of the called function is aligned as after a call
  *--top = reinterpret_cast<void*>(static_cast<void (*)()>(enter));
  for (int i = 0; i < 6; ++i) *--top = nullptr;
  inside_ = top;
}
void Fiber::switch_in() { fovea_test_switch_stacks(&outside_, inside_); }
void Fiber::switch_out() { fovea_test_switch_stacks(&inside_, outside_); }

#else

void Fiber::prepare() {
  auto* inside = static_cast<ucontext_t*>(inside_ ? inside_ : (inside_ = new ucontext_t));
  if (!outside_) outside_ = new ucontext_t;
  getcontext(inside);
  inside->uc_stack.ss_sp = stack_;
  inside->uc_stack.ss_size = kStack;
  inside->uc_link = nullptr;
  makecontext(inside, static_cast<void (*)()>(enter), 0);
}
void Fiber::switch_in() { swapcontext(static_cast<ucontext_t*>(outside_), static_cast<ucontext_t*>(inside_)); }
void Fiber::switch_out() { swapcontext(static_cast<ucontext_t*>(inside_), static_cast<ucontext_t*>(outside_)); }

#endif

Fiber::Fiber() {
  void* p = ::mmap(nullptr, kStack, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (p == MAP_FAILED) throw std::bad_alloc();
  stack_ = static_cast<std::byte*>(p);
}
Fiber::~Fiber() {
  ::munmap(stack_, kStack);
#if !defined(__x86_64__)
  delete static_cast<ucontext_t*>(inside_);
  delete static_cast<ucontext_t*>(outside_);
#endif
}

void Fiber::begin(void (*function)(void*), void* context) {
  function_ = function, context_ = context;
  ended_ = false;
  error_ = nullptr;
  prepare();
  entering = this;
  resume();
}

void Fiber::resume() {
  void* fake = nullptr;
  leaves_for(&fake, stack_, kStack);
  switch_in();
  arrived(fake, nullptr, nullptr);
}

void Fiber::give_way() {
  void* fake = nullptr;
  leaves_for(ended_ ? nullptr : &fake, outer_bottom_, outer_size_);
  switch_out();
  arrived(fake, &outer_bottom_, &outer_size_);
}

void Fiber::enter() { enter(entering); }

void Fiber::enter(Fiber* self) {
  arrived(nullptr, &self->outer_bottom_, &self->outer_size_);
  try {
    self->function_(self->context_);
  } catch (...) { self->error_ = std::current_exception(); }
  self->ended_ = true;
  self->give_way();                                // for good
}

}  // namespace fovea::test
