// SPDX-License-Identifier: Apache-2.0
#include "data/loader.h"

#include <algorithm>
#include <condition_variable>
#include <deque>
#include <exception>
#include <map>
#include <mutex>
#include <numeric>
#include <thread>

#include "data/repeats.h"
#include "data/sample.h"
#include "data/sequence_training.h"
#include "engine/core/error.h"
#include "engine/core/out_of_memory.h"

namespace fovea::data {
namespace {

constexpr int kTries = 10;                         // neighbours of an image that cannot be read
constexpr int64_t kAhead = 2;                      // batches beyond the one that is asked for

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

std::array<int64_t, 2> Shard::run(int64_t n) const {
  const int64_t units = (n + unit - 1) / unit, each = units / of, more = units % of;
  const int64_t first = number * each + std::min(number, more), behind = first + each + (number < more ? 1 : 0);
  return {std::min(n, first * unit), std::min(n, behind * unit)};
}

namespace {

// A batch of an epoch: images in their order, and what becomes of them.
struct Piece {
  int64_t first = 0, images = 0;
  int size = 0;                                    // 0: the input size
  SequenceLimits sequence{};                       // of batches of sequences
};

// A batch that is being filled.
struct Slot {
  int64_t number = 0, begun = 0, left = 0;         // images that somebody reads or has read; those not read yet
  Batch batch{};
  std::vector<Tensor> views{};                     // of sequences, before they are cut into patches
  std::map<size_t, std::string> bad{};
  std::exception_ptr error{};
  bool ready = false;
};

}  // namespace

// One epoch under way. Threads take images in their order and put each where it belongs in its batch; who reads a
// batch's last one completes it.
struct Loader::Work {
  Work(const Reader& r, const LoaderOptions& options, BatchMemory& m, std::vector<Piece> all, int64_t e,
       int64_t first)
      : reader(r), o(options), memory(m),
        sample_options{o.train, o.eval, o.decode, o.fast_decode}, pieces(std::move(all)),
        epoch(e), next_slot(first), wanted(first), end(static_cast<int64_t>(pieces.size())) {
    if (o.train && o.mix) sample_options.train->erasing.prob = 0;      // mixtures are erased, not what is mixed
    int64_t images = 0;
    for (const Piece& p : pieces) images = std::max(images, (p.first + p.images) * o.shard.of);
    // an epoch of a given number of batches may go through the images several times
    for (uint64_t turn = 0; o.train && static_cast<int64_t>(order.size()) < images; ++turn) {
      std::vector<size_t> more = shuffled(r.size(), mixed(o.seed, static_cast<uint64_t>(e)) + (o.sizes ? turn : 0));
      if (o.repeats > 0) more = repeated(more, o.repeats);
      order.insert(order.end(), more.begin(), more.end());
    }
    for (int i = 0; i < o.workers; ++i) threads.emplace_back([this] { run(); });
  }
  ~Work() {
    {
      const std::lock_guard lock(mutex);
      stopped = true;
    }
    changed.notify_all();
    for (std::thread& t : threads) t.join();
  }

  int64_t ahead() const { return std::max(kAhead, (2 * o.workers + o.batch - 1) / o.batch); }
  int64_t views() const { return o.train ? o.views : 1; }

  // A slot with an image that nobody has begun, if there may be one now. The mutex is held.
  Slot* open_slot() {
    for (Slot& s : slots)
      if (s.begun < pieces[static_cast<size_t>(s.number)].images) return &s;
    if (next_slot >= end || next_slot > wanted + ahead()) return nullptr;
    Slot& s = slots.emplace_back();
    s.number = next_slot++;
    s.left = pieces[static_cast<size_t>(s.number)].images;
    return &s;
  }

  void run() {
    SampleReader samples(reader, sample_options);
    std::unique_lock lock(mutex);
    while (!stopped) {
      if (Slot* slot = open_slot()) {
        fill_one(*slot, samples, lock);
        continue;
      }
      if (next_slot >= end) return;
      changed.wait(lock);
    }
  }

  // The next batch, read here as far as nobody else does.
  Slot take() {
    std::unique_lock lock(mutex);
    SampleReader samples(reader, sample_options);
    while (slots.empty() || !slots.front().ready) {
      Slot* slot = threads.empty() ? open_slot() : nullptr;
      if (slot) fill_one(*slot, samples, lock);
      else changed.wait(lock);
    }
    Slot out = std::move(slots.front());
    slots.pop_front();
    ++wanted;
    lock.unlock();
    changed.notify_all();
    return out;
  }

  // Called and left with the lock held, which is let go of meanwhile.
  void fill_one(Slot& slot, SampleReader& samples, std::unique_lock<std::mutex>& lock) {
    const int64_t i = slot.begun++;
    std::map<size_t, std::string> bad;
    std::exception_ptr error;
    try {
      if (slot.batch.samples.empty()) make_room(slot);
      lock.unlock();
      read_image(slot, i, samples, bad);
    } catch (...) {
      error = std::current_exception();
    }
    if (!lock.owns_lock()) lock.lock();
    slot.bad.merge(bad);
    if (error && !slot.error) slot.error = error;
    if (--slot.left > 0) return;
    lock.unlock();
    if (!slot.error) try {
        complete(slot);
      } catch (...) {
        slot.error = std::current_exception();
      }
    lock.lock();
    slot.ready = true;
    changed.notify_all();
  }

  void make_room(Slot& slot) {
    const Piece& piece = pieces[static_cast<size_t>(slot.number)];
    const auto [channels, height, width] = o.train ? o.train->input_size : o.eval.input_size;
    const int64_t n = piece.images * views();
    slot.batch.samples.resize(static_cast<size_t>(n));
    if (o.sequences) return slot.views.resize(static_cast<size_t>(n));
    if (piece.size > 0) slot.batch.images = memory.take({n, channels, piece.size, piece.size});
    else slot.batch.images = memory.take({n, channels, height, width});
  }

  // Of all views of image i.
  std::vector<Tensor> places_of(const Slot& slot, int64_t i) const {
    std::vector<Tensor> places;
    if (o.sequences) return places;
    const Shape all = slot.batch.images.shape();
    const int64_t each = all[1] * all[2] * all[3];
    for (int64_t v = 0; v < views(); ++v)
      places.push_back(view_of(slot.batch.images, {1, all[1], all[2], all[3]}, {each, all[2] * all[3], all[3], 1},
                               (v * pieces[static_cast<size_t>(slot.number)].images + i) * each));
    return places;
  }

  // Image i of the batch, or another one where it cannot be read, into all its views.
  void read_image(Slot& slot, int64_t i, SampleReader& samples, std::map<size_t, std::string>& bad) {
    const Piece& piece = pieces[static_cast<size_t>(slot.number)];
    const int64_t mine = piece.first + i;
    const auto at = static_cast<size_t>(o.train ? mine * o.shard.of + o.shard.number : mine);
    std::vector<Tensor> places = places_of(slot, i);
    const size_t wished = order.empty() ? at : order[at];
    size_t turn = 0;                               // how often this image came right before
    while (!order.empty() && turn < at && order[at - turn - 1] == wished) ++turn;
    const uint64_t key = mixed(mixed(o.seed ^ 0x5A17u, static_cast<uint64_t>(epoch)), wished + turn * reader.size());
    const bool spared = o.spare_first && (views() > 1 || i < piece.images / 2);
    size_t sample = wished;
    for (int attempt = 1;; ++attempt) try {
        if (o.sequences) slot.views[static_cast<size_t>(i)] = samples.read_sequence(sample, key, piece.sequence);
        else samples.read(sample, key, places, spared);
        break;
      } catch (const OutOfMemory&) {
        throw;
      } catch (const Error& e) {
        bad.emplace(sample, e.what());
        if (attempt == kTries)
          throw Error(Error::Kind::io, str_cat(kTries, " images in a row could not be read"), e.what());
        sample = (sample + 1) % reader.size();
      }
    for (int64_t v = 0; v < views(); ++v) slot.batch.samples[static_cast<size_t>(v * piece.images + i)] = sample;
  }

  void complete(Slot& slot) {
    Batch& b = slot.batch;
    const int64_t classes = o.classes > 0 ? o.classes : static_cast<int64_t>(reader.classes().size());
    const bool several = o.several_labels || reader.multi_label();
    b.targets = several ? label_targets_of(reader, b.samples, classes) : targets_of(reader, b.samples);
    const int64_t number = slot.number * o.shard.of + o.shard.number;  // of all processes' batches
    Chance chance(mixed(mixed(o.seed ^ 0x313Du, static_cast<uint64_t>(epoch)), static_cast<uint64_t>(number)));
    const bool on = o.mix && (o.mix->off_epoch <= 0 || epoch < o.mix->off_epoch);
    if (o.sequences) return complete_sequences(slot, chance, on);
    if (!o.train || !o.mix) return;
    b.targets = mix(b.images, b.targets, *o.mix, chance, on);
    b.samples.resize(static_cast<size_t>(b.images.dim(0)));
    erase(b.images, o.train->erasing, chance, o.spare_first ? b.images.dim(0) / 2 : 0);
  }

  void complete_sequences(Slot& slot, Chance& chance, bool on) {
    Batch& b = slot.batch;
    const SequenceLimits& limits = pieces[static_cast<size_t>(slot.number)].sequence;
    if (o.mix) b.targets = mix_sequences(slot.views, b.targets, *o.mix, chance, on);
    std::vector<Patches> all;
    for (const Tensor& view : slot.views) all.push_back(patchify(view, limits.patch, limits.channels_last));
    slot.views.clear();
    SequenceBatch made = collate(all, limits.max_seq_len);
    const int64_t n = made.valid.dim(0), channels = o.train->input_size[0];
    erase_patches(made, o.train->erasing, {o.train->input_size[0], limits.channels_last}, chance,
                  o.spare_first ? n / 2 : 0);
    b.coords = made.coords, b.valid = made.valid, b.images = made.patches;
    if (!o.sequences->whole_patches) return;
    const int64_t h = limits.patch[0], w = limits.patch[1], length = limits.max_seq_len, each = h * w * channels;
    const Shape shape = limits.channels_last ? Shape{n, length, h, w, channels} : Shape{n, length, channels, h, w};
    b.images = view_of(made.patches, shape, {length * each, each, each / shape[2], shape[4], 1}, 0);
  }

  const Reader& reader;
  const LoaderOptions& o;
  BatchMemory& memory;                             // taken from with the mutex held
  SampleOptions sample_options;
  std::vector<Piece> pieces;
  // batches: the next that is begun, the next for next(), how many
  int64_t epoch, next_slot, wanted, end;
  std::vector<size_t> order;                       // empty: that of the reader
  std::mutex mutex;
  std::condition_variable changed;
  std::deque<Slot> slots;                          // in their order, from `wanted` on
  bool stopped = false;
  std::vector<std::thread> threads;
};

Tensors Batch::operands() const {
  return coords ? Tensors{images, coords, valid, targets} : Tensors{images, targets};
}

Tensor targets_of(const Reader& reader, std::span<const size_t> samples) {
  std::vector<int64_t> labels;
  for (const size_t sample : samples) labels.push_back(reader.label(sample));
  return from<int64_t>(labels, {static_cast<int64_t>(labels.size())});
}

Tensor label_targets_of(const Reader& reader, std::span<const size_t> samples, int64_t classes) {
  const auto n = static_cast<int64_t>(samples.size());
  Tensor out = zeros({n, classes});
  for (int64_t i = 0; i < n; ++i)
    for (const int64_t label : reader.labels(samples[static_cast<size_t>(i)])) {
      if (label < 0 || label >= classes)
        throw Error(Error::Kind::argument, str_cat("a sample is of class ", label, " of ", classes));
      out.mutable_data<float>()[static_cast<size_t>(i * classes + label)] = 1;
    }
  return out;
}

Loader::Loader(const Reader& reader, LoaderOptions options) : reader_(reader), o_(std::move(options)) {
  if (o_.shard.of < 1 || o_.shard.number < 0 || o_.shard.number >= o_.shard.of || o_.shard.unit < 1)
    throw Error(Error::Kind::argument, str_cat("part ", o_.shard.number, " of ", o_.shard.of, " of the images"));
  if (o_.train && o_.sizes) sizes_.emplace(*o_.sizes, images(), o_.seed);
  if (!o_.train) o_.sequences.reset();
  if (o_.sequences) sequences_.emplace(*o_.sequences, images(), o_.seed);
  if (o_.sequences && (o_.sizes || o_.repeats > 0 || o_.views > 1 || o_.shard.of > 1))
    throw Error(Error::Kind::argument, "sequences of patches beside several sizes, repeats, views or processes",
                "one of them");
  if (o_.sizes && o_.repeats > 0)
    throw Error(Error::Kind::argument, "images are repeated, and of several sizes", "one of them");
  if (o_.batch < 1) throw Error(Error::Kind::argument, str_cat("batches of ", o_.batch, " images"));
  if (o_.workers < 0) throw Error(Error::Kind::argument, str_cat(o_.workers, " threads cannot read"));
  if (batches() == 0 && (o_.train || o_.shard.of == 1))
    throw Error(Error::Kind::argument, str_cat(reader.size(), " images do not fill a batch of ", images_at_a_time()));
}
Loader::~Loader() = default;

double Loader::average_batch() const { return sizes_ ? sizes_->average_batch() : static_cast<double>(o_.batch); }

int64_t Loader::images() const {
  const auto n = static_cast<int64_t>(reader_.size());
  if (!o_.train) {
    const auto [first, behind] = o_.shard.run(n);
    return behind - first;
  }
  // as timm's samplers: a part of what is repeated is rounded down, of all images up
  return o_.repeats > 0 ? repeated_samples(n) / o_.shard.of : (n + o_.shard.of - 1) / o_.shard.of;
}

int64_t Loader::batches() const {
  if (sizes_) return sizes_->batches();
  if (sequences_) return sequences_->batches();
  const int64_t n = images();
  return o_.train ? n / o_.batch : (n + o_.batch - 1) / o_.batch;
}

void Loader::begin(int64_t epoch, int64_t first_batch, std::span<const size_t> bad) {
  work_.reset();
  bad_.clear();
  for (const size_t sample : bad) bad_.emplace(sample, "");
  std::vector<Piece> pieces;
  const auto n = static_cast<int64_t>(reader_.size());
  int64_t at = o_.train ? 0 : o_.shard.run(n)[0];
  const int64_t all = o_.train ? n : o_.shard.run(n)[1];
  if (sizes_) {
    for (const SizeSchedule::Batch& b : sizes_->epoch(epoch)) {
      pieces.push_back({at, b.images, o_.sizes->sizes[static_cast<size_t>(b.size)], {}});
      at += b.images;
    }
  } else if (sequences_) {
    for (const SequenceSchedule::Batch& b : sequences_->epoch(epoch)) {
      pieces.push_back({at, b.images, 0, {.patch = o_.sequences->patches[static_cast<size_t>(b.patch)],
                                          .max_seq_len = b.length,
                                          .channels_last = o_.sequences->channels_last}});
      at += b.images;
    }
  } else {
    for (int64_t i = 0; i < batches(); ++i, at += o_.batch) pieces.push_back({at, std::min(o_.batch, all - at), 0, {}});
  }
  work_ = std::make_unique<Work>(reader_, o_, memory_, std::move(pieces), epoch, first_batch);
}

bool Loader::next(Batch& batch) {
  if (!work_ || work_->wanted >= work_->end) return false;
  Slot slot = work_->take();
  bad_.merge(slot.bad);
  if (slot.error) std::rethrow_exception(slot.error);
  if (static_cast<int64_t>(bad_.size()) > o_.most_bad)
    throw Error(Error::Kind::io, str_cat(bad_.size(), " images could not be read, the limit is ", o_.most_bad),
                bad_.rbegin()->second);
  batch = std::move(slot.batch);
  return true;
}

}  // namespace fovea::data
