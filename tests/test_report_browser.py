"""The report of the demo in a real browser: no request, no error, and it reads well at every width, light and dark."""

import pytest
from browser import binary, tab

from indexer import demo

WITHOUT = "no Chromium on this machine: `apt-get install -y chromium` (as .ci/run does), or put chromium on PATH"
# Contrast of every visible piece of text with what it stands on, as the browser computes colours (WCAG 2, relative luminance).
TOO_PALE = """
(() => {
  const parts = colour => colour.match(/[\\d.]+/g).map(Number);
  const light = ([r, g, b]) => [r, g, b].map(c => c / 255).map(c => c <= 0.03928 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4)
    .reduce((sum, c, i) => sum + c * [0.2126, 0.7152, 0.0722][i], 0);
  const behind = element => {
    for (let at = element; at; at = at.parentElement) {
      const [r, g, b, a = 1] = parts(getComputedStyle(at).backgroundColor);
      if (a > 0) return [r, g, b];
    }
    return [255, 255, 255];
  };
  const pale = [];
  for (const element of document.querySelectorAll('body *')) {
    const own = [...element.childNodes].some(node => node.nodeType === 3 && node.textContent.trim());
    if (!own || !element.getClientRects().length || element.closest('.skip')) continue;
    const style = getComputedStyle(element);
    const [a, b] = [light(parts(element instanceof SVGElement ? style.fill : style.color)), light(behind(element))];
    const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    if (ratio < 4.5) pale.push([element.textContent.slice(0, 40), ratio]);
  }
  return pale;
})()
"""
# What sticks out of the page, and text of drawings smaller than a reader can make out.
WIDER = "Math.max(0, document.documentElement.scrollWidth - window.innerWidth)"
SHOWN = "[...document.querySelectorAll('figure [role=img]')].filter(one => one.getClientRects().length).length"
SMALLEST = """
Math.min(...[...document.querySelectorAll('figure text')].filter(one => one.getClientRects().length)
  .map(one => parseFloat(getComputedStyle(one).fontSize) * one.getScreenCTM().a))
"""
CUT = """
[...document.querySelectorAll('figure [role=img]')].filter(one => one.getClientRects().length).flatMap(one => {
  const edge = one.querySelector('svg').getBoundingClientRect();
  return [...one.querySelectorAll('text')].filter(text => {
    const box = text.getBoundingClientRect();
    return box.width && (box.right > edge.right + 2 || box.left < edge.left - 2);
  }).map(text => text.textContent);
})
"""


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    "The report that the demo writes."
    out = tmp_path_factory.mktemp("demo")

    assert demo.run(out, lambda *_, **__: None) == 0
    return out / "report.html"


@pytest.mark.skipif(binary() is None, reason=WITHOUT)
def test_report_in_a_browser(page, tmp_path):
    "One file and nothing else is read; nothing goes wrong; at three widths, light and dark, all can be read."
    n_drawn = page.read_text(encoding="utf-8").count('<div class="narrow"')

    assert n_drawn >= 12
    with tab(tmp_path / "profile") as chromium:
        chromium.open(page)
        for width in (390, 820, 1440):
            chromium.ask(
                "Emulation.setDeviceMetricsOverride", width=width, height=900, deviceScaleFactor=1, mobile=False
            )
            for theme in ("light", "dark"):
                chromium.ask("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": theme}])
                where = f"{width} {theme}"

                assert chromium.value(TOO_PALE) == [], where
                assert chromium.value(WIDER) == 0, where
                assert chromium.value(SHOWN) == n_drawn, where
                assert chromium.value(SMALLEST) >= 9, where
                assert chromium.value(CUT) == [], where
        chromium.ask("Emulation.setEmulatedMedia", media="print")
        printed = chromium.value("getComputedStyle(document.querySelector('nav')).display")
        paper = chromium.value("getComputedStyle(document.documentElement).backgroundColor")
        requests = [event["request"]["url"] for event in chromium.seen("Network.requestWillBeSent")]
        wrong = [*chromium.seen("Runtime.exceptionThrown"), *chromium.seen("Runtime.consoleAPICalled")]
        wrong += chromium.seen("Log.entryAdded")

    assert requests == [page.as_uri()]
    assert wrong == []
    assert (printed, paper) == ("none", "rgb(253, 252, 249)")
