/* What version 2 of the shop does with its pictures, again and again: all of a CPU. `thumbnails SECONDS`. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { WIDTH = 1600, HEIGHT = 1200, SMALL = 160 };
static uint8_t picture[WIDTH * HEIGHT], small[SMALL * SMALL];

__attribute__((noinline)) static uint8_t average_block(int left, int top)
{
    unsigned sum = 0;
    for (int y = 0; y < HEIGHT / SMALL; y++)
        for (int x = 0; x < WIDTH / SMALL; x++)
            sum += picture[(top + y) * WIDTH + left + x];
    return sum / ((HEIGHT / SMALL) * (WIDTH / SMALL));
}

__attribute__((noinline)) static void resize_row(int row)
{
    for (int column = 0; column < SMALL; column++)
        small[row * SMALL + column] = average_block(column * (WIDTH / SMALL), row * (HEIGHT / SMALL));
}

__attribute__((noinline)) static void resize_picture(void)
{
    for (int row = 0; row < SMALL; row++)
        resize_row(row);
}

__attribute__((noinline)) static void decode_picture(unsigned seed)
{
    for (int at = 0; at < WIDTH * HEIGHT; at++) {
        seed = seed * 1103515245 + 12345;
        picture[at] = seed >> 16;
    }
}

int main(int argc, char **argv)
{
    time_t end = time(NULL) + (argc > 1 ? atoi(argv[1]) : 10);
    for (unsigned number = 0; time(NULL) < end; number++) {
        decode_picture(number);
        for (int again = 0; again < 4; again++)
            resize_picture();
    }
    return small[0] & 1;
}
