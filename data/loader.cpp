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

#include "data/repeats.h"
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

namespace {

// A batch of an epoch: images in their order, and what becomes of them.
struct Piece {
  int64_t first = 0, images = 0;
  int size = 0;                                    // 0: the input size
};

}  // namespace

// One epoch under way: threads take the numbers of batches and put what they read where next() looks for it.
struct Loader::Work {
  Work(const ImageFolder& f, const LoaderOptions& options, std::vector<Piece> all, int64_t e, int64_t first)
      : folder(f), o(options), pieces(std::move(all)), epoch(e), taken(first), wanted(first),
        end(static_cast<int64_t>(pieces.size())) {
    int64_t images = 0;
    for (const Piece& p : pieces) images = std::max(images, p.first + p.images);
    // an epoch of a given number of batches may go through the folder several times
    for (uint64_t turn = 0; o.train && static_cast<int64_t>(order.size()) < images; ++turn) {
      std::vector<size_t> more = shuffled(f.samples().size(), mixed(o.seed, static_cast<uint64_t>(e)) + turn);
      if (o.repeats > 0) more = repeated(more, o.repeats);
      order.insert(order.end(), more.begin(), more.end());
    }
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
    const Piece& piece = pieces[static_cast<size_t>(number)];
    const int64_t first = piece.first, n = piece.images, views = o.train ? o.views : 1;
    Batch out;
    std::vector<int64_t> labels(static_cast<size_t>(n * views));
    out.samples.resize(labels.size());
    for (int64_t i = 0; i < n; ++i) {
      const auto at = static_cast<size_t>(first + i);
      size_t sample = order.empty() ? at : order[at];
      size_t turn = 0;                             // how often this image came right before
      while (!order.empty() && turn < at && order[at - turn - 1] == sample) ++turn;
      const std::vector<Tensor> images = read_sample(sample, turn, piece.size, o.spare_first && i < n / 2);
      if (!out.images) {
        Shape s = images[0].shape();
        s[0] = n * views;
        out.images = empty(s);
      }
      for (int64_t view = 0; view < views; ++view) {
        const auto place = static_cast<size_t>(view * n + i);
        const std::span<const float> from = images[static_cast<size_t>(view)].data<float>();
        std::copy(from.begin(), from.end(),
                  out.images.mutable_data<float>().begin() + static_cast<ptrdiff_t>(from.size() * place));
        out.samples[place] = sample;
        labels[place] = folder.samples()[sample].label;
      }
    }
    out.targets = from<int64_t>(labels, {n * views});
    if (o.train && o.mix) {
      Chance chance(mixed(mixed(o.seed ^ 0x313Du, static_cast<uint64_t>(epoch)), static_cast<uint64_t>(number)));
      const bool on = o.mix->off_epoch <= 0 || epoch < o.mix->off_epoch;
      out.targets = mix(out.images, out.targets, *o.mix, chance, on);
      out.samples.resize(static_cast<size_t>(out.images.dim(0)));
      // Mixtures are erased, as timm's loader does it, not what is mixed.
      erase(out.images, o.train->erasing, chance, o.spare_first ? out.images.dim(0) / 2 : 0);
    }
    return out;
  }

  // `sample` becomes another one where this one cannot be read. `whole`: if there is one view, nothing of it is erased.
  std::vector<Tensor> read_sample(size_t& sample, size_t turn, int size, bool whole) {
    const size_t wished = sample;
    for (int attempt = 0;; ++attempt) {
      try {
        const Image image = read_image(folder.samples()[sample].path, o.decode);
        if (!o.train) return {eval_transform(image, o.eval)};
        const uint64_t key = mixed(mixed(o.seed ^ 0x5A17u, static_cast<uint64_t>(epoch)),
                                   wished + turn * folder.samples().size());
        TrainConfig config = *o.train;
        if (size > 0) config.input_size = {config.input_size[0], size, size};
        if (o.views > 1) return train_views(image, config, key, o.views, o.spare_first);
        if (whole || o.mix) config.erasing.prob = 0;
        return {train_transform(image, config, key)};
      } catch (const Error& e) {
        const int64_t so_far = bad.fetch_add(1) + 1;
        if (attempt + 1 >= kTries || so_far > o.most_bad)
          throw Error(Error::Kind::io, str_cat(so_far, " images could not be read"), e.what());
        sample = (sample + 1) % folder.samples().size();
      }
    }
  }

  const ImageFolder& folder;
  const LoaderOptions& o;
  std::vector<Piece> pieces;
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
  if (o_.train && o_.sizes) sizes_.emplace(*o_.sizes, static_cast<int64_t>(folder.samples().size()), o_.seed);
  if (o_.sizes && o_.repeats > 0)
    throw Error(Error::Kind::argument, "images are repeated, and of several sizes", "one of them");
  if (o_.batch < 1) throw Error(Error::Kind::argument, str_cat("batches of ", o_.batch, " images"));
  if (batches() == 0)
    throw Error(Error::Kind::argument, str_cat(folder.samples().size(), " images do not fill a batch of ", o_.batch));
}
Loader::~Loader() = default;

double Loader::average_batch() const { return sizes_ ? sizes_->average_batch() : static_cast<double>(o_.batch); }

int64_t Loader::batches() const {
  if (sizes_) return sizes_->batches();
  auto n = static_cast<int64_t>(folder_.samples().size());
  if (o_.train && o_.repeats > 0) n = repeated_samples(n);
  return o_.train ? n / o_.batch : (n + o_.batch - 1) / o_.batch;
}

void Loader::begin(int64_t epoch, int64_t first_batch) {
  work_.reset();
  std::vector<Piece> pieces;
  int64_t at = 0;
  const auto all = static_cast<int64_t>(folder_.samples().size());
  if (sizes_) {
    for (const SizeSchedule::Batch& b : sizes_->epoch(epoch)) {
      pieces.push_back({at, b.images, o_.sizes->sizes[static_cast<size_t>(b.size)]});
      at += b.images;
    }
  } else {
    for (int64_t i = 0; i < batches(); ++i, at += o_.batch) pieces.push_back({at, std::min(o_.batch, all - at)});
  }
  work_ = std::make_unique<Work>(folder_, o_, std::move(pieces), epoch, first_batch);
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
