// SPDX-License-Identifier: Apache-2.0
#include "data/loader.h"

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <cstring>
#include <exception>
#include <map>
#include <mutex>
#include <numeric>
#include <thread>

#include "engine/core/error.h"

namespace fovea::data {
namespace {

constexpr int kTries = 10;                         // neighbours of an image that cannot be read

uint64_t mixed(uint64_t a, uint64_t b) {           // splitmix64's finaliser
  uint64_t z = a + 0x9E3779B97F4A7C15u * (b + 1);
  z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
  z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
  return z ^ (z >> 31);
}

}  // namespace

std::vector<size_t> shuffled(size_t n, uint64_t key) {
  std::vector<size_t> order(n);
  std::iota(order.begin(), order.end(), size_t{0});
  Chance chance(key);
  for (size_t i = n; i > 1; --i)
    std::swap(order[i - 1], order[std::min(i - 1, static_cast<size_t>(chance.uniform() * static_cast<double>(i)))]);
  return order;
}

// One epoch under way: threads take the numbers of batches and put what they read where next() looks for it.
struct Loader::Work {
  Work(const ImageFolder& f, const LoaderOptions& options, int64_t e, int64_t first, int64_t count)
      : folder(f), o(options), epoch(e), taken(first), wanted(first), end(count) {
    if (o.train) order = shuffled(f.samples().size(), mixed(o.seed, static_cast<uint64_t>(e)));
    for (int i = 0; i < std::max(1, o.workers); ++i) threads.emplace_back([this] { run(); });
  }
  ~Work() {
    {
      const std::lock_guard lock(mutex);
      stopped = true;
    }
    changed.notify_all();
    for (std::thread& t : threads) t.join();
  }

  void run() {
    while (true) {
      int64_t number;
      {
        std::unique_lock lock(mutex);
        // a few batches ahead are enough
        changed.wait(lock, [&] { return stopped || taken >= end || taken < wanted + 1 + std::max(1, o.workers); });
        if (stopped || taken >= end) return;
        number = taken++;
      }
      Batch batch;
      std::exception_ptr error;
      try {
        batch = read(number);
      } catch (...) {
        error = std::current_exception();
      }
      {
        const std::lock_guard lock(mutex);
        ready.emplace(number, std::pair{std::move(batch), error});
      }
      changed.notify_all();
    }
  }

  Batch read(int64_t number) {
    const auto all = static_cast<int64_t>(folder.samples().size());
    const int64_t first = number * o.batch, n = std::min(o.batch, all - first);
    Batch out;
    std::vector<int64_t> labels;
    for (int64_t i = 0; i < n; ++i) {
      const auto at = static_cast<size_t>(first + i);
      size_t sample = order.empty() ? at : order[at];
      const Tensor image = read_sample(sample);
      if (!out.images) {
        Shape s = image.shape();
        s[0] = n;
        out.images = empty(s);
      }
      const std::span<const float> from = image.data<float>();
      std::copy(
          from.begin(), from.end(),
          out.images.mutable_data<float>().begin() + static_cast<ptrdiff_t>(from.size() * static_cast<size_t>(i)));
      out.samples.push_back(sample);
      labels.push_back(folder.samples()[sample].label);
    }
    out.targets = from<int64_t>(labels, {n});
    return out;
  }

  // `sample` becomes another one where this one cannot be read.
  Tensor read_sample(size_t& sample) {
    const size_t wished = sample;
    for (int attempt = 0;; ++attempt) {
      try {
        const Image image = read_image(folder.samples()[sample].path, o.decode);
        if (!o.train) return eval_transform(image, o.eval);
        return train_transform(image, *o.train, mixed(mixed(o.seed ^ 0x5A17u, static_cast<uint64_t>(epoch)), wished));
      } catch (const Error& e) {
        const int64_t so_far = bad.fetch_add(1) + 1;
        if (attempt + 1 >= kTries || so_far > o.most_bad)
          throw Error(Error::Kind::io, cat(so_far, " images could not be read"), e.what());
        sample = (sample + 1) % folder.samples().size();
      }
    }
  }

  const ImageFolder& folder;
  const LoaderOptions& o;
  // batches: the next that a thread takes, the next for next(), how many
  int64_t epoch, taken, wanted, end;
  std::vector<size_t> order;                       // empty: that of the folder
  std::atomic<int64_t> bad{0};
  std::mutex mutex;
  std::condition_variable changed;
  std::map<int64_t, std::pair<Batch, std::exception_ptr>> ready;
  bool stopped = false;
  std::vector<std::thread> threads;
};

Loader::Loader(const ImageFolder& folder, LoaderOptions options) : folder_(folder), o_(std::move(options)) {
  if (o_.batch < 1) throw Error(Error::Kind::argument, cat("batches of ", o_.batch, " images"));
  if (batches() == 0)
    throw Error(Error::Kind::argument, cat(folder.samples().size(), " images do not fill a batch of ", o_.batch));
}
Loader::~Loader() = default;

int64_t Loader::batches() const {
  const auto n = static_cast<int64_t>(folder_.samples().size());
  return o_.train ? n / o_.batch : (n + o_.batch - 1) / o_.batch;
}

void Loader::begin(int64_t epoch, int64_t first_batch) {
  work_.reset();
  work_ = std::make_unique<Work>(folder_, o_, epoch, first_batch, batches());
}

bool Loader::next(Batch& batch) {
  if (!work_ || work_->wanted >= work_->end) return false;
  std::pair<Batch, std::exception_ptr> got;
  {
    std::unique_lock lock(work_->mutex);
    work_->changed.wait(lock, [&] { return work_->ready.contains(work_->wanted); });
    got = std::move(work_->ready.extract(work_->wanted++).mapped());
  }
  work_->changed.notify_all();
  if (got.second) std::rethrow_exception(got.second);
  batch = std::move(got.first);
  return true;
}

int64_t Loader::bad() const { return work_ ? work_->bad.load() : 0; }

}  // namespace fovea::data
