// SPDX-License-Identifier: Apache-2.0
#include "engine/graph/batch_session.h"

#include <atomic>

#include "engine/core/backend.h"
#include "engine/core/cancel.h"
#include "engine/core/error.h"
#include "engine/core/threads.h"
#include "engine/graph/busy.h"

namespace fovea {
namespace {

// One at a time: a session with its own working memory, and the slice that it is given.
struct Seat {
  Session session;
  Tensor slice;
  std::atomic<bool> taken{false};
};

// Leaves the seat, and lets go of the batch.
struct Sitting {
  explicit Sitting(Seat& s) : seat(s) {}
  ~Sitting() {
    seat.slice.impl()->storage.reset();
    seat.taken.store(false, std::memory_order_release);
  }
  Sitting(const Sitting&) = delete;
  Sitting& operator=(const Sitting&) = delete;
  Seat* operator->() const { return &seat; }
  Seat& seat;
};

Meta times(Meta m, int64_t n) {
  const Memory order = m.memory();
  m.shape[0] *= n;
  m.strides = strides_for(m.shape, order);
  return m;
}

void check(const Session& s) {
  const std::vector<Meta> in = s.inputs();
  if (in.size() != 1 || in[0].rank() == 0 || !s.graph().state.empty())
    throw Error(Error::Kind::argument,
                cat("BatchSession: the graph has ", in.size(), " inputs and ", s.graph().state.size(),
                    " values of state"),
                "slices are of one input, and must not change one another");
  for (const int v : s.graph().outputs)
    if (const Meta& m = s.graph().meta(v); m.rank() == 0 || m.shape[0] != in[0].shape[0])
      throw Error(Error::Kind::argument, cat("BatchSession: a result is ", m, " for an input of ", in[0]),
                  "results must have the first dimension of the input");
}

}  // namespace

struct BatchSession::State {
  State(Session one, int team) : seats(static_cast<size_t>(team)), in(one.inputs()[0]) {
    for (const int v : one.graph().outputs) out.push_back(one.graph().meta(v));
    for (size_t i = 1; i < seats.size(); ++i) seats[i].session = one.fork();
    seats[0].session = std::move(one);
    for (Seat& s : seats) s.slice = meta_tensor(in);
  }

  // There are as many seats as threads, so that one is free.
  Seat& sit() {
    for (;;)
      for (Seat& s : seats)
        if (!s.taken.exchange(true, std::memory_order_acquire)) return s;
  }

  void run_slice(const Tensor& batch, int64_t i) {
    Sitting seat(sit());
    TensorImpl& slice = *seat->slice.impl();
    slice.meta = in;
    slice.meta.strides = batch.meta().strides;
    slice.storage = batch.impl()->storage;
    slice.offset = batch.impl()->offset + i * in.shape[0] * batch.meta().strides[0];
    const std::span<const Tensor> mine = seat->session.run_borrowed(seat->slice);
    for (size_t k = 0; k < mine.size(); ++k) {
      const int64_t bytes = mine[k].meta().bytes(), at = mine[k].impl()->offset;
      copy_bytes(*mine[k].impl()->storage, at * static_cast<int64_t>(size_of(mine[k].dtype())),
                 *results[k].impl()->storage, i * bytes, bytes);
    }
  }

  std::vector<Seat> seats;
  Meta in;                                         // of a slice
  std::vector<Meta> out;
  int64_t slices = 0;                              // of the last batch
  Tensors results;
  std::atomic<bool> busy{false};
};

BatchSession::BatchSession() = default;
BatchSession::~BatchSession() = default;
BatchSession::BatchSession(BatchSession&&) noexcept = default;
BatchSession& BatchSession::operator=(BatchSession&&) noexcept = default;

BatchSession::BatchSession(Session slice, int threads) {
  check(slice);
  state_ = std::make_unique<State>(std::move(slice), threads > 0 ? threads : fovea::threads());
}

bool BatchSession::suits(int64_t batch) { return batch > 1 && (batch % threads() == 0 || batch >= 4 * threads()); }

std::span<const Tensor> BatchSession::run_borrowed(const Tensor& batch) {
  if (!state_) throw Error(Error::Kind::argument, "an empty BatchSession was used", "make it of a compiled Session");
  State& s = *state_;
  const Busy busy(s.busy, "BatchSession", "each thread needs one of its own, made of a fork() of its session");
  const Meta& m = batch.meta();
  const int64_t each = s.in.shape[0], n = m.rank() == s.in.rank() ? m.shape[0] / each : 0;
  if (n < 1 || m.shape != times(s.in, n).shape || m.dtype != s.in.dtype || m.device != s.in.device)
    throw Error(Error::Kind::shape, cat("run(): a batch is ", m, ", the graph was compiled for slices of ", s.in),
                "compile again for another shape");
  if (!m.is_contiguous() && !m.is_channels_last())
    throw Error(Error::Kind::argument, cat("run(): a batch of ", m, " is not dense"),
                "contiguous() brings it into order");
  if (n != s.slices) {
    s.results.clear();
    for (const Meta& o : s.out) s.results.push_back(empty(times(o, n)));
    s.slices = n;
  }
  const UseThreads use(static_cast<int>(s.seats.size()));
  const Stream stream = current_stream(m.device);
  const std::atomic<bool>* const cancelled = cancellation();
  on_host_threads(n, 1, [&](int64_t first, int64_t last) {
    const UseStream same(stream);
    const UseCancellation also(cancelled);
    for (int64_t i = first; i < last; ++i) s.run_slice(batch, i);
  });
  return s.results;
}

Session& BatchSession::slice() {
  if (!state_) throw Error(Error::Kind::argument, "an empty BatchSession was used", "make it of a compiled Session");
  return state_->seats[0].session;
}

int64_t BatchSession::arena_bytes() const {
  return state_ ? static_cast<int64_t>(state_->seats.size()) * state_->seats[0].session.arena_bytes() : 0;
}

}  // namespace fovea
