// Pushes images through a Verilated engine, and writes the 32-bit words that come out: an image's logits and its class.
//
// usage: engine IMAGES PIXELS BEATS [STALLS SEED [WRITES]] < pixels > words
//
// PIXELS and BEATS are an image's. Each side of a stream stalls in STALLS of 256 clocks. WRITES is a file of 64-bit
// words for the configuration port, written before the first image. Standard error gets the clocks from the first
// image's last pixel to its class, and then the clock of each image's class.
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <random>
#include <vector>

#include "Vtop.h"
#include "verilated.h"

int main(int argc, char** argv) {
    if (argc < 4) return 2;
    const size_t images = std::strtoul(argv[1], nullptr, 10);
    const size_t pixels_each = std::strtoul(argv[2], nullptr, 10), beats_each = std::strtoul(argv[3], nullptr, 10);
    const unsigned stalls = argc > 4 ? std::strtoul(argv[4], nullptr, 10) : 0;
    std::mt19937 random(argc > 5 ? std::strtoul(argv[5], nullptr, 10) : 0);
    auto stalled = [&] { return stalls != 0 && random() % 256 < stalls; };
    std::vector<unsigned char> pixels(images * pixels_each);
    if (std::fread(pixels.data(), 1, pixels.size(), stdin) != pixels.size()) return 3;
    std::vector<int32_t> beats;
    beats.reserve(images * beats_each);

    auto context = std::make_unique<VerilatedContext>();
    auto top = std::make_unique<Vtop>(context.get());
    auto clock = [&] {
        top->clk = 1;
        top->eval();
        top->clk = 0;
        top->eval();
    };
    top->clk = 0;
    top->s_axis_config_tvalid = 0;
    top->s_axis_image_tvalid = 0;
    top->m_axis_results_tready = 1;
    top->rst = 1;
    for (int k = 0; k < 4; ++k) clock();
    if (argc > 6) {
        top->rst = 0;
        std::FILE* writes = std::fopen(argv[6], "rb");
        if (!writes) return 6;
        uint64_t word;
        top->s_axis_config_tvalid = 1;
        while (std::fread(&word, sizeof word, 1, writes) == 1) {
            top->s_axis_config_tdata = word;
            clock();
        }
        std::fclose(writes);
        top->s_axis_config_tvalid = 0;
        top->rst = 1;
        for (int k = 0; k < 4; ++k) clock();
    }
    top->rst = 0;

    size_t sent = 0, cycle = 0, first_pixels = 0, idle = 0;
    std::vector<size_t> ends;
    bool offering = false, offered = false;
    int32_t held = 0;
    while (beats.size() < images * beats_each && idle < 1000000) {
        if (!offering && sent < pixels.size() && !stalled()) {
            offering = true;
            top->s_axis_image_tdata = pixels[sent];
            top->s_axis_image_tlast = (sent + 1) % pixels_each == 0;
        }
        top->s_axis_image_tvalid = offering;
        top->m_axis_results_tready = !stalled();
        top->eval();
        const bool taken = offering && top->s_axis_image_tready;
        ++idle;
        if (top->m_axis_results_tvalid) {
            const int32_t beat = static_cast<int32_t>(top->m_axis_results_tdata);
            if (offered && beat != held) return 7;
            held = beat;
            offered = !top->m_axis_results_tready;
            if (top->m_axis_results_tready) {
                beats.push_back(beat);
                if (top->m_axis_results_tlast != (beats.size() % beats_each == 0)) return 4;
                if (top->m_axis_results_tlast) ends.push_back(cycle);
                idle = 0;
            }
        } else if (offered) {
            return 8;
        }
        top->clk = 1;
        top->eval();
        top->clk = 0;  // takes effect with the next inputs
        ++cycle;
        if (taken) {
            offering = false;
            idle = 0;  // a batch of great images takes its time
            if (++sent == pixels_each) first_pixels = cycle;
        }
    }
    if (beats.size() < images * beats_each) return 5;
    std::fwrite(beats.data(), sizeof(int32_t), beats.size(), stdout);
    std::fprintf(stderr, "%zu", ends[0] - first_pixels);
    for (const size_t end : ends) std::fprintf(stderr, " %zu", end);
    top->final();
    return 0;
}
