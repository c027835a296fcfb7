"""Plots as inline SVG, one file each: numbers in, the text of an `<svg>` out. No dependency, no script.

Colours are the page's own, by class (`good`, `bad`, `soft`), so that dark mode works. Sizes are those of a phone, so
that no text shrinks there. `svg` is the only place that writes markup, `axes` the only one that scales.
"""
