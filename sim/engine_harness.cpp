// Pushes images through a Verilated convolution engine as fast as it takes them, and writes the codes that come out.
// usage: engine IMAGES PIXELS_PER_IMAGE CODES_PER_IMAGE < pixels > codes      (cycles go to standard error)
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <vector>

#include "Vtop.h"
#include "verilated.h"

int main(int argc, char** argv) {
    if (argc != 4) return 2;
    const size_t images = std::strtoul(argv[1], nullptr, 10);
    const size_t pixels_each = std::strtoul(argv[2], nullptr, 10), codes_each = std::strtoul(argv[3], nullptr, 10);
    std::vector<unsigned char> pixels(images * pixels_each), codes;
    if (std::fread(pixels.data(), 1, pixels.size(), stdin) != pixels.size()) return 3;
    codes.reserve(images * codes_each);

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
    top->m_axis_codes_tready = 1;
    top->rst = 1;
    for (int k = 0; k < 4; ++k) clock();
    top->rst = 0;

    size_t sent = 0, cycle = 0, first_end = 0, idle = 0;
    while (codes.size() < images * codes_each && idle < 1000000) {
        top->s_axis_image_tvalid = sent < pixels.size();
        if (sent < pixels.size()) {
            top->s_axis_image_tdata = pixels[sent];
            top->s_axis_image_tlast = (sent + 1) % pixels_each == 0;
        }
        top->eval();
        const bool taken = top->s_axis_image_tvalid && top->s_axis_image_tready;
        ++idle;
        if (top->m_axis_codes_tvalid) {
            codes.push_back(top->m_axis_codes_tdata);
            if (top->m_axis_codes_tlast != (codes.size() % codes_each == 0)) return 4;
            if (codes.size() == codes_each) first_end = cycle;
            idle = 0;
        }
        clock();
        ++cycle;
        sent += taken;
    }
    if (codes.size() < images * codes_each) return 5;
    std::fwrite(codes.data(), 1, codes.size(), stdout);
    std::fprintf(stderr, "%zu %zu\n", cycle, cycle - 1 - first_end);
    top->final();
    return 0;
}
