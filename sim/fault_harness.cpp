// A Verilated convolution engine under faults in its memories: words are written through the configuration port, then
// images are pushed through.
// usage: engine PIXELS_PER_IMAGE CODES_PER_IMAGE < commands > codes
// A command is 'W' and eight bytes, least significant first: the word for the configuration port (data in bits 0…31,
// address above); or 'R': a reset, which leaves the memories as they are; or 'I' and an image's pixels: its codes
// are written.
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <vector>

#include "Vtop.h"
#include "verilated.h"

int main(int argc, char** argv) {
    if (argc != 3) return 2;
    const size_t pixels_each = std::strtoul(argv[1], nullptr, 10), codes_each = std::strtoul(argv[2], nullptr, 10);
    std::vector<unsigned char> pixels(pixels_each), codes;
    auto context = std::make_unique<VerilatedContext>();
    auto top = std::make_unique<Vtop>(context.get());
    auto clock = [&] {
        top->clk = 1;
        top->eval();
        top->clk = 0;
        top->eval();
    };
    auto reset = [&] {
        top->rst = 1;
        for (int k = 0; k < 4; ++k) clock();
        top->rst = 0;
    };
    top->clk = 0;
    top->s_axis_config_tvalid = 0;
    top->s_axis_image_tvalid = 0;
    top->m_axis_codes_tready = 1;
    reset();
    for (int command; (command = std::getchar()) != EOF;) {
        if (command == 'R') {
            reset();
        } else if (command == 'W') {
            uint64_t word = 0;
            for (int k = 0; k < 8; ++k) word |= static_cast<uint64_t>(std::getchar() & 0xff) << 8 * k;
            top->s_axis_config_tdata = word;
            top->s_axis_config_tvalid = 1;
            size_t waited = 0;
            for (bool taken = false; !taken; ++waited) {
                if (waited > 1000) return 6;
                top->eval();
                taken = top->s_axis_config_tready;
                clock();
            }
            top->s_axis_config_tvalid = 0;
            clock();
        } else if (command == 'I') {
            if (std::fread(pixels.data(), 1, pixels_each, stdin) != pixels_each) return 3;
            codes.clear();
            size_t sent = 0, idle = 0;
            while (codes.size() < codes_each) {
                if (++idle > 1000000) return 5;
                top->s_axis_image_tvalid = sent < pixels_each;
                if (sent < pixels_each) {
                    top->s_axis_image_tdata = pixels[sent];
                    top->s_axis_image_tlast = sent + 1 == pixels_each;
                }
                top->eval();
                const bool taken = top->s_axis_image_tvalid && top->s_axis_image_tready;
                if (top->m_axis_codes_tvalid) {
                    codes.push_back(top->m_axis_codes_tdata);
                    if (top->m_axis_codes_tlast != (codes.size() == codes_each)) return 4;
                    idle = 0;
                }
                clock();
                sent += taken;
            }
            top->s_axis_image_tvalid = 0;
            std::fwrite(codes.data(), 1, codes.size(), stdout);
        } else {
            return 7;
        }
    }
    top->final();
    return 0;
}
