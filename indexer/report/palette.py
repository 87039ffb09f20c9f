"""The colours of the report: one meaning each, on light paper and on dark."""

from __future__ import annotations

# Meaning: light, dark. Text keeps a contrast of at least 4.5 with the paper, in both (tested).
COLOURS = {
    "paper": ("#fdfcf9", "#15181c"),
    "panel": ("#f4f1ea", "#1e2227"),
    "ink": ("#1c2024", "#ece9e3"),
    "muted": ("#5a6068", "#a9b0b8"),
    "rule": ("#dcd7cc", "#3a4048"),
    "grid": ("#ebe7de", "#2b3037"),
    "link": ("#1d5a8a", "#82bdec"),
    "long": ("#b83a0e", "#ff9466"),
    "short": ("#1a6a9e", "#66b8ea"),
    "unsided": ("#7b8189", "#8d949c"),
    "perp": ("#5a4a9c", "#a99af0"),
    "lending": ("#1b7a63", "#56c2a4"),
    "cdp": ("#8f6a00", "#d9ae3c"),
    "cefi": ("#8d3f68", "#e08bb8"),
    "band": ("#d6d0c2", "#434a53"),
    "wave": ("#ece5d6", "#262c33"),
    "good": ("#1b6b3a", "#6fcf97"),
    "bad": ("#a3242b", "#ff8f8f"),
}
# What is hatched on the page is an estimate, or was not observed: never a measured amount.
HATCHES = {"hatch_cefi": ("#c99ab4", "cefi"), "hatch_gap": ("#cfc8b8", "muted")}
LIGHT = {name: light for name, (light, _) in COLOURS.items()} | {name: plain for name, (plain, _) in HATCHES.items()}


def css(theme: int) -> str:
    "Custom properties of the light (0) or the dark (1) colours."
    return " ".join(f"--{name}: {pair[theme]};" for name, pair in COLOURS.items())


def themed(svg: str) -> str:
    "An SVG drawn in the light colours that follows the page's theme instead; what stands for an estimate is hatched."
    for name, (light, _) in COLOURS.items():
        svg = svg.replace(f'"{light}"', f'"var(--{name},{light})"')
    for name, (plain, _) in HATCHES.items():
        svg = svg.replace(f'"{plain}"', f'"url(#{name})"')
    return svg


def hatched(svg: str) -> str:
    "An SVG that stands alone: estimates hatched in light colours, on paper."
    for name, (plain, _) in HATCHES.items():
        svg = svg.replace(f'"{plain}"', f'"url(#{name})"')
    at = svg.index(">") + 1
    return f'{svg[:at]}<defs>{patterns(themes=False)}</defs><rect width="100%" height="100%" fill="{LIGHT["paper"]}"/>{svg[at:]}'


def patterns(*, themes: bool = True) -> str:
    "The hatches as SVG patterns."
    each = []
    for name, (_, colour) in HATCHES.items():
        stroke = f"var(--{colour})" if themes else LIGHT[colour]
        each.append(
            f'<pattern id="{name}" width="6" height="6" patternUnits="userSpaceOnUse" patternTransform="rotate(45)">'
            f'<line x1="0" y1="0" x2="0" y2="6" stroke="{stroke}" stroke-width="{2.4 if name == "hatch_cefi" else 1}"/></pattern>'
        )
    return "".join(each)
