// SPDX-License-Identifier: Apache-2.0
// examples/camera.cpp — frames of a camera on their way through two sessions: a bounded queue, in which new frames take
// the places of the oldest ones when the sessions cannot keep up.
#include <atomic>
#include <condition_variable>
#include <cstdio>
#include <deque>
#include <fovea.hpp>
#include <mutex>
#include <thread>

namespace {

struct Frame {
  int number;
  std::vector<std::uint8_t> nv12;
};

// Stands for a camera: a grey ramp that moves, with the chroma planes behind the luma.
constexpr int kWidth = 320, kHeight = 240;
Frame next_frame(int number) {
  Frame f{number, std::vector<std::uint8_t>(kWidth * kHeight * 3 / 2, 128)};
  for (int y = 0; y < kHeight; ++y)
    for (int x = 0; x < kWidth; ++x)
      f.nv12[static_cast<std::size_t>(y * kWidth + x)] = static_cast<std::uint8_t>(16 + (x + y + 8 * number) % 220);
  return f;
}

class Queue {
 public:
  explicit Queue(std::size_t most) : most_(most) {}
  // How many frames had to go for it.
  int push(Frame f) {
    const std::lock_guard<std::mutex> lock(mutex_);
    int dropped = 0;
    for (; frames_.size() >= most_; ++dropped) frames_.pop_front();
    frames_.push_back(std::move(f));
    some_.notify_one();
    return dropped;
  }
  // Nothing once it is closed and empty.
  std::optional<Frame> pop() {
    std::unique_lock<std::mutex> lock(mutex_);
    some_.wait(lock, [&] { return closed_ || !frames_.empty(); });
    if (frames_.empty()) return {};
    Frame f = std::move(frames_.front());
    frames_.pop_front();
    return f;
  }
  void close() {
    const std::lock_guard<std::mutex> lock(mutex_);
    closed_ = true;
    some_.notify_all();
  }

 private:
  std::mutex mutex_;
  std::condition_variable some_;
  std::deque<Frame> frames_;
  std::size_t most_;
  bool closed_ = false;
};

}  // namespace

int main(int argc, char** argv) try {
  if (argc != 4) {
    std::fprintf(stderr, "usage: camera MODEL WEIGHTS FRAMES\n");
    return 1;
  }
  const fovea::Environment env;
  const fovea::Model model(env, {argv[1], argv[2]});
  fovea::SessionOptions options;
  options.threads = 1;                             // each session has a thread of its own
  fovea::Session first(model, options), second = first.fork();

  Queue queue(4);
  std::atomic<int> seen = 0;
  const auto work = [&](fovea::Session& session) {
    while (const std::optional<Frame> frame = queue.pop()) {
      fovea::Image image = fovea::Image::pixels(FOVEA_NV12, frame->nv12.data(), kWidth, kHeight);
      image.chroma = frame->nv12.data() + kWidth * kHeight;
      try {
        const std::string label = session.classify(image, 1)[0].label;
        std::printf("frame %d: %s\n", frame->number, label.c_str());
        ++seen;
      } catch (const fovea::Error& e) { std::fprintf(stderr, "frame %d: %s\n", frame->number, e.what()); }
    }
  };
  std::thread a(work, std::ref(first)), b(work, std::ref(second));
  const int frames = std::atoi(argv[3]);
  int dropped = 0;
  for (int i = 0; i < frames; ++i) {
    dropped += queue.push(next_frame(i));
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  queue.close();
  a.join();
  b.join();
  std::printf("%d frames: %d seen, %d dropped\n", frames, seen.load(), dropped);
  return seen + dropped == frames ? 0 : 1;
} catch (const std::exception& e) {
  std::fprintf(stderr, "%s\n", e.what());
  return 1;
}
