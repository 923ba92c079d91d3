"""The twelve objects, each painted into the square -1..1 (x right, y up) with details in fixed colours.

The object's own colour covers the largest part of every one; hair, pages, glass and wood keep theirs.
"""

from __future__ import annotations

from collections.abc import Callable

import torch

from swapgate.standins.shapes import (
    Brush,
    both,
    box,
    circle,
    ellipse,
    melt,
    path,
    polygon,
    segment,
    turn,
    union,
    without,
)


def person(b: Brush) -> None:
    """A portrait bust: jumper and beret in the colour, dark bob, a calm face."""
    x, y, p = b.x, b.y, b.palette
    hair, skin = p.tone(0.22, 0.15, 0.14), p.tone(0.96, 0.80, 0.69)
    b.fill(melt(ellipse(x, y, 0, 0.26, 0.50, 0.50), box(x, y, 0, -0.08, 0.47, 0.28, 0.14), 0.1), hair)
    shoulders = both(ellipse(x, y, 0, -1.0, 0.80, 0.78), -(y + 0.98))
    b.body(shoulders, -1.1, 0.2)
    b.fill(box(x, y, 0, -0.22, 0.13, 0.20, 0.06), p.tone(0.88, 0.69, 0.58))
    b.glaze(ellipse(x, y, 0, -0.36, 0.26, 0.12), p.light)
    b.glaze(ellipse(x, y, 0, -0.30, 0.17, 0.10), p.tone(0.88, 0.69, 0.58))
    b.fill(ellipse(x, y, 0, 0.17, 0.34, 0.40), skin)
    ax = x.abs()
    b.glaze(both(ellipse(x, y, 0, 0.44, 0.40, 0.22), -circle(x, y, 0.12, 0.16, 0.25)), hair)
    b.glaze(ellipse(ax, y, 0.21, 0.03, 0.09, 0.06), p.tone(0.95, 0.58, 0.52), 0.6, 0.08)
    b.glaze(ellipse(ax, y, 0.145, 0.15, 0.045, 0.06), p.tone(0.16, 0.11, 0.12))
    smile = without(ellipse(x, y, 0, -0.055, 0.10, 0.075), ellipse(x, y, 0, -0.01, 0.15, 0.075))
    b.glaze(smile, p.tone(0.78, 0.30, 0.30))
    hx, hy = turn(x, y, 8, 0, 0.6)
    b.body(melt(ellipse(hx, hy, 0, 0.66, 0.55, 0.26), circle(hx, hy, 0.02, 0.94, 0.05), 0.06), 0.0, 1.0)


def cup(b: Brush) -> None:
    """A mug on a saucer, with steam."""
    x, y, p = b.x, b.y, b.palette
    b.body(ellipse(x, y, -0.06, -0.78, 0.82, 0.18), -1.2, 0.5)
    handle = without(ellipse(x, y, 0.52, -0.22, 0.34, 0.33), ellipse(x, y, 0.52, -0.22, 0.18, 0.17))
    b.body(handle, -0.9, 0.2, 0.04)
    sides = polygon(x, y, [(-0.66, 0.24), (-0.46, -0.8), (0.34, -0.8), (0.54, 0.24)])
    mug = union(both(sides, -(y + 0.7)), ellipse(x, y, -0.06, -0.68, 0.44, 0.16))
    b.body(union(mug, ellipse(x, y, -0.06, 0.22, 0.60, 0.17)), -0.8, 0.75)
    b.glaze(both(sides + 0.05, (y + 0.36).abs() - 0.07), p.pale, 0.75)
    b.glaze(ellipse(x, y, -0.06, 0.23, 0.54, 0.125), p.pale)
    b.glaze(ellipse(x, y, -0.06, 0.20, 0.46, 0.085), p.tone(0.36, 0.22, 0.15))
    b.glaze(segment(x, y, (-0.50, 0.02), (-0.40, -0.52), 0.045), p.pale, 0.8, 0.05)
    steam = p.tone(0.97, 0.97, 0.98)
    for cx, phase in ((-0.24, 0.0), (0.12, 1.6)):
        wave = x - cx - 0.07 * torch.sin(7.0 * y + phase)
        b.fill(both(wave.abs() - 0.055, (y - 0.68).abs() - 0.26), steam, 0.62)


def butterfly(b: Brush) -> None:
    """Open wings with a dark margin, pale eye spots and curled feelers."""
    x, y, p = b.x.abs(), b.y, b.palette
    ux, uy = turn(x, y, 38, 0.1, 0.05)
    lx, ly = turn(x, y, -42, 0.08, -0.1)
    upper = ellipse(ux, uy, 0.58, 0.10, 0.56, 0.36)
    lower = ellipse(lx, ly, 0.48, -0.10, 0.44, 0.29)
    b.body(lower, -0.9, 0.6, 0.09)
    b.body(upper, -0.5, 1.1, 0.10)
    b.glaze(circle(ux, uy, 0.80, 0.14, 0.12), p.pale)
    b.glaze(circle(ux, uy, 0.80, 0.14, 0.06), p.deep)
    b.glaze(ellipse(ux, uy, 0.42, 0.08, 0.17, 0.09), p.pale, 0.7)
    b.glaze(circle(lx, ly, 0.60, -0.10, 0.11), p.pale)
    dark = p.tone(0.20, 0.15, 0.17)
    b.fill(path(x, y, [(0.02, 0.34), (0.12, 0.62), (0.26, 0.78)], 0.03), dark)
    b.fill(circle(x, y, 0.27, 0.79, 0.06), dark)
    b.fill(union(ellipse(x, y, 0, -0.06, 0.10, 0.44), circle(x, y, 0, 0.34, 0.12)), dark)
    b.glaze(ellipse(x, y, 0.0, 0.0, 0.035, 0.26), p.tone(0.55, 0.45, 0.40), 0.7)


def cat(b: Brush) -> None:
    """A sitting cat seen from the front, tail to the right."""
    x, y, p = b.x, b.y, b.palette
    ax = x.abs()
    b.body(path(x, y, [(0.36, -0.82), (0.68, -0.74), (0.80, -0.44), (0.72, -0.16)], 0.11), -1.2, 0.4)
    b.body(both(ellipse(x, y, 0, -0.56, 0.54, 0.66), -(y + 0.97)), -1.2, 0.5)
    b.glaze(ellipse(x, y, 0, -0.42, 0.24, 0.34), p.pale, 0.85, 0.06)
    b.fill(ellipse(ax, y, 0.20, -0.88, 0.17, 0.11), p.pale)
    ear = polygon(ax, y, [(0.10, 0.60), (0.54, 0.40), (0.50, 0.98)])
    b.body(union(ear - 0.03, ellipse(x, y, 0, 0.26, 0.60, 0.47)), -0.5, 1.1)
    b.glaze(polygon(ax, y, [(0.26, 0.62), (0.45, 0.54), (0.44, 0.82)]), p.tone(0.97, 0.66, 0.66))
    b.glaze(segment(ax, y, (0.0, 0.66), (0.0, 0.50), 0.04), p.deep, 0.8)
    b.glaze(segment(ax, y, (0.15, 0.65), (0.13, 0.53), 0.035), p.deep, 0.8)
    b.glaze(ellipse(x, y, 0, 0.08, 0.26, 0.17), p.pale, 0.9, 0.04)
    b.glaze(ellipse(ax, y, 0.24, 0.29, 0.09, 0.12), p.tone(0.13, 0.13, 0.14))
    b.glaze(circle(x, y, -0.27, 0.34, 0.035), p.tone(1, 1, 1))
    b.glaze(circle(x, y, 0.21, 0.34, 0.035), p.tone(1, 1, 1))
    b.glaze(ellipse(x, y, 0, 0.13, 0.07, 0.05), p.tone(0.86, 0.42, 0.44))
    b.glaze(path(ax, y, [(0.0, 0.08), (0.05, 0.01), (0.13, 0.02)], 0.02), p.tone(0.30, 0.18, 0.18))


def book(b: Brush) -> None:
    """A closed book, slightly turned, with a gilt emblem and a ribbon."""
    p = b.palette
    x, y = turn(b.x, b.y, 9)
    gold = p.tone(0.95, 0.80, 0.42)
    b.fill(polygon(x, y, [(0.26, -0.98), (0.36, -0.90), (0.46, -0.98), (0.46, -0.6), (0.26, -0.6)]), gold)
    b.body(box(x, y, 0.06, -0.06, 0.66, 0.84, 0.07), -1.2, 0.6)
    b.fill(box(x, y, 0.07, -0.06, 0.62, 0.77, 0.04), p.tone(0.97, 0.94, 0.85))
    for k in range(2):
        b.glaze(box(x, y, 0.66 - 0.05 * k, -0.05, 0.011, 0.75), p.tone(0.74, 0.69, 0.58), 0.7)
    b.body(box(x, y, -0.08, 0.03, 0.62, 0.86, 0.07), -0.9, 1.0)
    b.glaze(box(x, y, -0.60, 0.03, 0.10, 0.86), p.deep, 0.6)
    frame = without(box(x, y, 0.02, 0.03, 0.42, 0.70, 0.05), box(x, y, 0.02, 0.03, 0.37, 0.65, 0.04))
    b.glaze(frame, gold, 0.85)
    b.glaze((x - 0.02).abs() + (y - 0.12).abs() - 0.22, gold)
    b.glaze((x - 0.02).abs() + (y - 0.12).abs() - 0.10, p.base)
    b.glaze(box(x, y, 0.02, -0.36, 0.20, 0.035, 0.03), gold)


def leaf(b: Brush) -> None:
    """A broad leaf on a stalk, half of it in shade, with pale veins."""
    p = b.palette
    x, y = turn(b.x, b.y, -32)
    b.fill(path(x, y, [(0.0, -0.55), (0.02, -0.8), (0.10, -1.0)], 0.055), p.deep)
    blade = both(circle(x, y, 0.44, 0.13, 1.0), circle(x, y, -0.44, 0.13, 1.0))
    b.body(blade, -1.0, 1.0)
    b.glaze(both(blade + 0.05, -x), p.dark, 0.6)
    for k in range(4):
        foot = -0.42 + 0.30 * k
        reach = 0.34 - 0.05 * abs(k - 1.3)
        vein = segment(x.abs(), y, (0.0, foot), (reach, foot + 0.28), 0.026)
        b.glaze(both(vein, blade + 0.07), p.pale, 0.85)
    b.glaze(segment(x, y, (0.0, -0.68), (0.0, 0.90), 0.036), p.pale, 0.95)


def lamp(b: Brush) -> None:
    """A table lamp with a glowing shade on a brass stand."""
    x, y, p = b.x, b.y, b.palette
    brass, shine = p.tone(0.66, 0.50, 0.28), p.tone(0.93, 0.79, 0.50)
    warm = p.tone(1.0, 0.93, 0.66)
    b.fill(box(x, y, 0, -0.40, 0.06, 0.48), brass)
    b.fill(ellipse(x, y, 0, -0.42, 0.17, 0.20), brass)
    b.glaze(ellipse(x, y, -0.05, -0.37, 0.06, 0.12), shine, 1.0, 0.05)
    b.body(both(ellipse(x, y, 0, -0.96, 0.46, 0.22), -(y + 0.97)), -1.4, 0.0)
    b.fill(ellipse(x, y, 0, -0.03, 0.56, 0.09), warm)
    shade = both(polygon(x, y, [(-0.74, 0.0), (0.74, 0.0), (0.40, 0.94), (-0.40, 0.94)]) - 0.03)
    b.body(shade, -0.5, 1.0)
    b.glaze(both(ellipse(x, y, 0, 0.20, 0.34, 0.42), shade + 0.05), p.pale, 0.75, 0.5)
    b.glaze(both((y - 0.03).abs() - 0.045, shade + 0.03), p.pale, 0.9)
    b.glaze(both((y - 0.90).abs() - 0.04, shade + 0.03), p.pale, 0.9)


def fish(b: Brush) -> None:
    """A round fish swimming left, with scales and two bubbles."""
    x, y, p = b.x, b.y, b.palette
    tail = union(ellipse(*turn(x, y, 38, 0.55, 0.0), 0.80, 0.0, 0.30, 0.17),
                 ellipse(*turn(x, y, -38, 0.55, 0.0), 0.80, 0.0, 0.30, 0.17))  # fmt: skip
    b.body(tail, -1.2, 0.4)
    b.body(both(ellipse(x, y, 0.02, 0.36, 0.40, 0.34), -(y - 0.2)), -0.6, 0.6)
    b.body(ellipse(*turn(x, y, 30, 0.1, -0.42), 0.14, -0.50, 0.22, 0.13), -1.0, 0.2)
    trunk = ellipse(x, y, -0.12, -0.04, 0.72, 0.52)
    b.body(trunk, -0.9, 0.9)
    b.glaze(both(ellipse(x, y, -0.16, -0.36, 0.52, 0.22), trunk + 0.05), p.pale, 0.7, 0.12)
    for cx, cy in ((0.06, 0.18), (0.06, -0.14), (0.26, 0.02), (0.26, 0.30), (0.44, 0.14), (0.44, -0.16)):
        arc = both(without(circle(x, y, cx, cy, 0.15), circle(x, y, cx - 0.05, cy, 0.135)), trunk + 0.07)
        b.glaze(arc, p.pale, 0.8)
    gill = both(without(circle(x, y, -0.46, -0.04, 0.34), circle(x, y, -0.53, -0.04, 0.335)), trunk + 0.1)
    b.glaze(gill, p.deep, 0.7)
    b.fill(circle(x, y, -0.50, 0.12, 0.125), p.tone(0.99, 0.98, 0.94))
    b.fill(circle(x, y, -0.53, 0.12, 0.075), p.tone(0.12, 0.12, 0.15))
    b.glaze(segment(x, y, (-0.80, -0.16), (-0.66, -0.19), 0.03), p.deep)
    bubble = p.tone(0.93, 0.97, 1.0)
    b.fill(circle(x, y, -0.84, 0.42, 0.085), bubble, 0.8)
    b.fill(circle(x, y, -0.68, 0.66, 0.12), bubble, 0.8)


def flower(b: Brush) -> None:
    """Eight round petals around a seeded heart, on a stalk with two leaves."""
    x, y, p = b.x, b.y, b.palette
    stalk, blade = p.tone(0.24, 0.46, 0.27), p.tone(0.36, 0.60, 0.34)
    b.fill(segment(x, y, (0.0, 0.2), (0.0, -0.97), 0.05), stalk)
    left, right = turn(x, y, -38, -0.0, -0.80), turn(x, y, 38, 0.0, -0.80)
    b.fill(ellipse(*left, -0.32, -0.80, 0.32, 0.12), blade)
    b.fill(ellipse(*right, 0.32, -0.80, 0.32, 0.12), stalk)
    for offset in (45.0, 0.0):
        for k in range(4):
            px, py = turn(x, y, offset + 90.0 * k, 0, 0.30)
            b.body(ellipse(px, py, 0.40, 0.30, 0.29, 0.215), -0.5, 1.2, 0.045)
            b.glaze(segment(px, py, (0.18, 0.30), (0.46, 0.30), 0.03), p.dark, 0.6)
    b.fill(circle(x, y, 0, 0.30, 0.225), p.tone(0.50, 0.30, 0.14))
    b.glaze(circle(x, y, -0.02, 0.325, 0.175), p.tone(0.96, 0.74, 0.28))
    b.glaze(circle(x, y, -0.05, 0.36, 0.07), p.tone(1.0, 0.90, 0.55), 0.9, 0.06)


def house(b: Brush) -> None:
    """A cottage with coloured walls, a slate roof and lit windows."""
    x, y, p = b.x, b.y, b.palette
    ax = x.abs()
    slate, edge = p.tone(0.37, 0.33, 0.37), p.tone(0.54, 0.49, 0.51)
    brick, wood = p.tone(0.60, 0.40, 0.33), p.tone(0.42, 0.27, 0.18)
    b.fill(box(x, y, 0.44, 0.62, 0.13, 0.30), brick)
    b.fill(box(x, y, 0.44, 0.92, 0.17, 0.06, 0.02), slate)
    walls = union(box(x, y, 0, -0.44, 0.74, 0.53), polygon(ax, y, [(0.0, -0.2), (0.74, -0.0), (0.0, 0.78)]))
    walls = union(walls, polygon(x, y, [(-0.74, 0.05), (0.74, 0.05), (0.0, 0.80)]))
    b.body(walls, -1.1, 0.9)
    b.fill(segment(ax, y, (0.0, 0.84), (0.90, 0.06), 0.10), slate)
    b.glaze(segment(ax, y, (0.0, 0.90), (0.88, 0.14), 0.030), edge)
    for cx in (-0.42, 0.42):
        b.glaze(box(x, y, cx, -0.30, 0.20, 0.22, 0.03), p.pale)
        b.glaze(box(x, y, cx, -0.30, 0.15, 0.17), p.tone(1.0, 0.88, 0.52))
        b.glaze(union(box(x, y, cx, -0.30, 0.022, 0.17), box(x, y, cx, -0.30, 0.15, 0.022)), p.pale)
    b.glaze(circle(x, y, 0, 0.36, 0.15), p.pale)
    b.glaze(circle(x, y, 0, 0.36, 0.10), p.tone(1.0, 0.88, 0.52))
    door = union(box(x, y, 0, -0.74, 0.155, 0.23), circle(x, y, 0, -0.53, 0.155))
    b.glaze(door, wood)
    b.glaze(circle(x, y, 0.08, -0.70, 0.035), p.tone(0.97, 0.82, 0.45))
    b.fill(box(x, y, 0, -0.95, 0.82, 0.045, 0.02), p.tone(0.58, 0.56, 0.54))


def boat(b: Brush) -> None:
    """A sailing boat: coloured hull, jib and pennant, a cream mainsail, a curl of water."""
    x, y, p = b.x, b.y, b.palette
    cream, wood = p.tone(0.99, 0.96, 0.88), p.tone(0.47, 0.31, 0.20)
    b.fill(segment(x, y, (0.02, -0.4), (0.02, 0.92), 0.042), wood)
    b.fill(polygon(x, y, [(0.04, 0.98), (0.04, 0.76), (0.34, 0.87)]), p.base)
    main = both(polygon(x, y, [(0.10, -0.24), (0.84, -0.24), (0.10, 0.74)]) - 0.02)
    b.fill(main, p.tone(0.72, 0.68, 0.62))
    b.glaze(main + 0.045, cream)
    b.glaze(both(main + 0.045, (y - 0.06).abs() - 0.075), p.base)
    b.body(polygon(x, y, [(-0.72, -0.24), (-0.08, -0.24), (-0.08, 0.66)]) - 0.02, -0.5, 1.0)
    hull = both(ellipse(x, y, 0, -0.32, 0.94, 0.56), y + 0.32, -(y + 0.84))
    b.body(hull, -1.1, 0.2)
    b.glaze(both(hull + 0.05, (y + 0.45).abs() - 0.05), p.pale)
    for cx in (-0.34, 0.0, 0.34):
        b.glaze(circle(x, y, cx, -0.63, 0.07), p.pale)
    wave = (y + 0.88 + 0.035 * torch.sin(11 * x)).abs() - 0.055
    b.fill(both(wave, x.abs() - 0.92), p.tone(0.90, 0.96, 0.98), 0.9)


def umbrella(b: Brush) -> None:
    """An open umbrella with alternating panels and a crook handle."""
    x, y, p = b.x, b.y, b.palette
    wood = p.tone(0.50, 0.32, 0.20)
    b.fill(segment(x, y, (0.0, 0.9), (0.0, -0.70), 0.045), wood)
    hook = both(without(circle(x, y, 0.15, -0.72, 0.20), circle(x, y, 0.15, -0.72, 0.105)), y + 0.72)
    b.fill(hook, wood)
    b.fill(segment(x, y, (0.0, 0.80), (0.0, 0.96), 0.045), wood)
    dome = both(ellipse(x, y, 0, -0.06, 0.98, 0.90), -(y + 0.06))
    for cx in (-0.735, -0.245, 0.245, 0.735):
        dome = without(dome, ellipse(x, y, cx, -0.09, 0.245, 0.15))
    b.body(dome, -0.5, 1.0)
    spread = torch.sqrt((1 - ((y + 0.06) / 0.90) ** 2).clamp(min=1e-4))
    panel = without((x.abs() - 0.98 * spread), x.abs() - 0.50 * spread)
    b.glaze(both(panel, dome + 0.05, x), p.pale, 0.45)
    b.glaze(both(panel, dome + 0.05, -x), p.deep, 0.35)
    b.glaze(both((x.abs() - 0.50 * spread).abs() - 0.022, dome + 0.05), p.deep, 0.6)
    b.glaze(both(x.abs() - 0.02, dome + 0.05), p.deep, 0.6)
    b.glaze(ellipse(*turn(x, y, 35, -0.5, 0.45), -0.5, 0.45, 0.16, 0.06), p.pale, 0.6, 0.1)


PAINTERS: tuple[Callable[[Brush], None], ...] = (
    person, cup, butterfly, cat, book, leaf, lamp, fish, flower, house, boat, umbrella,
)  # fmt: skip
"""In the order of `scene.OBJECTS`."""
