"""Functions with parameters of all kinds, whose values at a call are known."""

from __future__ import annotations

PARAMETERS = r"""
#include <cstdio>
struct Small { int a, b; };
struct Mixed { long a; double b; };
struct Pair { double x, y; };
struct Floats { float x, y; };
struct Big { long a[4]; };
struct Copied { int v; Copied(int x) : v(x) {} Copied(const Copied &o) : v(o.v) {} ~Copied() { v = 0; } };
enum Colour { red = 1, green = 17 };
namespace shop { struct Cart { int total; static int made;
  __attribute__((noinline)) int add(int price, const char *what) { total += price; return total + what[0]; } }; }
#ifdef __clang__
#define ALONE __attribute__((noinline, optnone))
#else
#define ALONE __attribute__((noipa))
#endif
#define KEPT extern "C" __attribute__((noinline))
long sink;
KEPT int scalars(int i, long l, char c, short s, bool b, const char *text) {
  sink += i + l + c + s + b + text[0]; return 1; }
KEPT long many(int a, int b, int c, int d, int e, int f, int g, char h, long i) {
  sink += a + b + c + d + e + f + g + h + i; return sink; }
KEPT double numbers(double d, float f, int i, double e) { sink += i; return d + f + i + e; }
KEPT int structs(Small s, Mixed m, Pair p, Floats f, int last) {
  sink += s.a + m.a; return s.b + last + (int)(p.x + p.y + f.x + m.b); }
KEPT int large(int first, Big big, int last) { sink += big.a[2]; return first + last; }
KEPT Copied copied(Copied c, int i) { sink += c.v; return Copied(c.v + i); }
KEPT Big big_result(int i) { Big b{}; b.a[1] = i; sink += i; return b; }
KEPT Pair pair_result(int i) { sink += i; return Pair{1.0 * i, 2.0}; }
KEPT int enumerated(Colour c, Colour *p, int &r) { sink += c; return c + *p + r; }
KEPT int wide(__int128 w, int i) { sink += (long)w; return (int)w + i; }
KEPT int quad(long double q, int i) { sink += i; return (int)q + i; }
KEPT int open_ended(const char *format, ...) { sink += format[0]; return 2; }
KEPT int called(int (*back)(int, char *), void *p) { sink += (long)p; return back(1, nullptr); }
static int back(int i, char *) { return i; }
int main() {
  Colour c = green; int r = 5; shop::Cart cart{100};
  scalars(-3, 1L << 40, 'x', -7, true, "text");
  many(1, 2, 3, 4, 5, 6, 77, 'h', 99);
  numbers(2.5, 0.5f, 42, -1.25);
  structs({11, 22}, {33, 4.5}, {6.5, 7.5}, {8.5f, 9.5f}, 44);
  large(55, {{1, 2, 3, 4}}, 66);
  copied(Copied(88), 89); big_result(90); pair_result(91);
  enumerated(green, &c, r); wide(((__int128)7 << 64) | 9, 10); quad(1.5L, 12); open_ended("%d", 3); called(back, &r);
  printf("%d %ld\n", cart.add(23, "w"), sink); return 0;
}
"""

MEMBERS = r"""
#include <stdio.h>
#include <stddef.h>
struct inner { char tag; union { int whole; short half[2]; }; struct { long deep; } named; };
struct list { struct list *next; unsigned flags : 3, kind : 5; const char *name; struct inner in; struct inner *ptr;
  int ports[4]; struct inner table[3]; double load; int (*call)(int, char *); };
typedef struct list list_t;
__attribute__((noinline)) int look(list_t *l, struct inner by_value) { return l->ports[2] + by_value.tag; }
int main(int argc, char **argv) {
  list_t l = {0}; struct inner in = {0};
  printf("%zu %zu %zu %zu %zu %zu %zu\n", offsetof(list_t, name), offsetof(list_t, in.half[1]),
    offsetof(list_t, in.named.deep), offsetof(list_t, ports[2]), offsetof(list_t, table[1].whole),
    offsetof(list_t, load),
    offsetof(struct inner, named)); return look(&l, in); }
"""
