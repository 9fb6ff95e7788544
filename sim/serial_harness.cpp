// Runs a Verilated design with ports clk, rst, rx and tx, and is the other end of its serial line.
//
// usage: engine DIVISOR < commands > bytes
//
// DIVISOR is how many clocks a bit takes. Commands: S, a length (32 bits, lowest byte first) and so many bytes sends
// them; R and a length waits for so many bytes and writes them; B sends a break and forgets what has been received.
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <deque>
#include <memory>

#include "Vtop.h"
#include "verilated.h"

static const size_t LONGEST = 50000000;  // clocks until a byte comes

int main(int argc, char** argv) {
    if (argc != 2) return 2;
    const unsigned divisor = std::strtoul(argv[1], nullptr, 10);
    auto context = std::make_unique<VerilatedContext>();
    auto top = std::make_unique<Vtop>(context.get());
    std::deque<unsigned char> received;
    unsigned bits = 0, wait = 0, shift = 0;
    bool framed = true;

    auto clock = [&] {
        top->clk = 1;
        top->eval();
        top->clk = 0;
        top->eval();
        if (bits == 0) {
            if (!top->tx) bits = 9, wait = divisor + divisor / 2 - 1;  // to the middle of the first bit
        } else if (wait != 0) {
            --wait;
        } else if (--bits != 0) {
            shift = shift >> 1 | top->tx << 7;
            wait = divisor - 1;
        } else {
            framed = framed && top->tx;
            received.push_back(static_cast<unsigned char>(shift));
        }
    };
    auto line = [&](int level, unsigned times) {
        top->rx = level;
        for (unsigned k = 0; k < times * divisor; ++k) clock();
    };
    auto length = [] {
        uint32_t value = 0;
        for (int k = 0; k < 4; ++k) value |= static_cast<uint32_t>(std::getchar() & 255) << (8 * k);
        return value;
    };

    top->clk = 0;
    top->rx = 1;
    top->rst = 1;
    for (int k = 0; k < 4; ++k) clock();
    top->rst = 0;
    for (int command; (command = std::getchar()) != EOF;) {
        if (command == 'B') {
            line(0, 12);
            line(1, 12);  // a byte that was on its way ends
            received.clear();
        } else if (command == 'S') {
            for (uint32_t left = length(); left != 0; --left) {
                const int byte = std::getchar();
                if (byte == EOF) return 3;
                line(0, 1);
                for (int k = 0; k < 8; ++k) line(byte >> k & 1, 1);
                line(1, 1);
            }
        } else if (command == 'R') {
            for (uint32_t left = length(); left != 0; --left) {
                for (size_t idle = 0; received.empty(); ++idle) {
                    if (idle == LONGEST) return 5;
                    clock();
                }
                std::putchar(received.front());
                received.pop_front();
            }
            if (!framed) return 4;
            std::fflush(stdout);
        } else {
            return 2;
        }
    }
    top->final();
    return 0;
}
